"""The process in which files are made and run for the first time: `python -m utils.export.child`.

TensorFlow's converter and the interpreter's delegates are C++ and can take their process along. So
they work here, and `utils.export.conversion` survives them. A request is one line of JSON on
standard input, an answer one line or two on standard output; networks and samples pass as files
(SavedModel, `.npz`). The process ends with its input, or when nothing is asked for a while.
"""

from __future__ import annotations

import json
import os
import pathlib
import select
from typing import Any, BinaryIO

from utils.errors import InputError
from utils.files import load_npz

#: An idle process holds some hundred MB.
IDLE_SECONDS = 300.0

CONVERTED, DONE, FAILED = "converted", "done", "failed"


def main() -> None:
    """Answer requests until there are no more."""
    # Libraries print to descriptor 1 as well: answers go through a copy that only this knows.
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    requests = os.fdopen(0, "rb", buffering=0)
    from utils.export import tflite  # TensorFlow: seconds, while the parent goes on

    while True:
        ready, _, _ = select.select([requests], [], [], IDLE_SECONDS)
        line = requests.readline() if ready else b""
        if not line:
            return
        request = json.loads(line)
        try:
            _make(request, answers)
        except InputError as error:
            _answer(answers, state=FAILED, reason=str(error))
        except Exception as error:  # the converter raises whatever its passes raise
            reason = tflite.explain(request["name"], request["kind"], error)
            _answer(answers, state=FAILED, reason=reason)


def _make(request: dict[str, Any], answers: BinaryIO) -> None:
    """Make one file and run it once with one thread and with all."""
    from utils.export import tflite
    from utils.export.exporters import EXPORTERS, Source, load_function

    row = EXPORTERS[request["kind"]]
    made = tflite.make_file(
        request["kind"],
        Source(
            saved_model=pathlib.Path(request["saved_model"]),
            samples=_samples(request),
            ranges_inside=request["ranges_inside"],
            io_format=request["io_format"],
            target=request["target_device"],
            outputs=request["outputs"],
        ),
    )
    pathlib.Path(request["target"]).write_bytes(made.content)
    _answer(answers, state=CONVERTED, notes=list(made.notes))
    if row.timed is not None:  # else its `make` has run it
        for num_threads in {1, os.cpu_count() or 1}:
            load_function(row.timed)(made.content, num_threads=num_threads)()
    _answer(answers, state=DONE)


def _samples(request: dict[str, Any]) -> list[dict[str, Any]]:
    """Read single samples; the file holds an array [n, …] per input, in the order of the names."""
    if request["samples"] is None:
        return []
    arrays = load_npz(request["samples"])
    names = request["inputs"]
    columns = {name: arrays[f"input_{number}"] for number, name in enumerate(names)}
    count = len(next(iter(columns.values())))
    return [{name: a[i : i + 1] for name, a in columns.items()} for i in range(count)]


def _answer(answers: BinaryIO, **values: Any) -> None:
    answers.write((json.dumps(values) + "\n").encode())


if __name__ == "__main__":
    main()
