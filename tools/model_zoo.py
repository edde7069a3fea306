r"""Publish finished runs in a model zoo: files in a fixed layout, and a checklist of what passed.

    python tools/model_zoo.py publish runs/sparse --zoo=MODEL_ZOO --task=classification \
        --model=resnet20

A run's folder holds report.json and the files that this names. The network before the run goes to
MODEL_ZOO/vision/classification/resnet20/original, once; the one that the run left to
…/{date}_sp{rate}_{height}x{width}. Both are compiled into graphs that are read again, rebuilt in
PyTorch and as a frozen TensorFlow graph, and counted; if anything fails, nothing is published.
"""

from __future__ import annotations

import dataclasses
import pathlib
import re
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if not __package__:  # run as a script: the checkout takes this folder's place on the path
    sys.path[0] = str(pathlib.Path(__file__).resolve().parents[1])
    from utils import start

    start.prepare()

from tools.command import run_command
from tools.conversion import compile_model
from utils.command import out
from utils.errors import InputError
from utils.export.quiet import quiet_native
from utils.flags import Parsed, flag
from utils.reconstructors.needs import require_torch
from utils.zoo.place import Place

if TYPE_CHECKING:
    from utils.graph import Graph
    from utils.zoo.passes import Check

_PUBLISH = "publish"
_DATE = re.compile(r"\d{8}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelZooConfig:
    """Where a run is published."""

    zoo: str = flag("MODEL_ZOO", "Root of the zoo; it is made if it is missing.", path=True)
    domain: str = flag("vision", "Its first folder.", choices=("vision", "nlp", "recommendation"))
    task: str = flag("classification", "What the model does: the second folder.")
    model: str | None = flag(None, "Name of the model: the third folder, and its files.")
    date: str | None = flag(
        None, "Of the training, such as 20200712; without it that of the report."
    )


def main(argv: Sequence[str]) -> int:
    """Run the command.

    Args:
        argv: `publish` and the run's folder; then flags.

    Returns:
        The exit status.
    """
    places = [i for i, argument in enumerate(argv) if argument.startswith("-")]
    count = min(places[0] if places else len(argv), 2)
    words, rest = list(argv[:count]), list(argv[count:])
    return run_command(
        str(__doc__).strip(), lambda: [ModelZooConfig], lambda parsed: _run(words, parsed), rest
    )


def _run(words: Sequence[str], parsed: Parsed) -> None:
    config: ModelZooConfig = parsed.configs[ModelZooConfig]
    if len(words) != 2 or words[0] != _PUBLISH:
        raise InputError(
            "say what to publish: model_zoo.py publish RUN --model=NAME, RUN the folder of a "
            f"finished run. Received: {' '.join(words) or 'none'}."
        )
    if not config.model:
        raise InputError("`model` must name the model. Received: none. Give --model=resnet20.")
    if config.date and not _DATE.fullmatch(config.date):
        raise InputError(f"`date` must be eight digits. Received: {config.date!r}.")
    require_torch()
    place = Place(
        zoo=pathlib.Path(config.zoo), domain=config.domain, task=config.task, model=config.model
    )
    place.check()
    with quiet_native():
        from utils.zoo.run import read_run

        run = read_run(pathlib.Path(words[1]))
        from utils.zoo.publishing import publish

    rows = publish(run, place, config.date or run.date, _write_graphs)
    from utils.zoo.checklist import table

    for row in rows:
        out.print(f"published {place.folder / row.folder}", markup=False, soft_wrap=True)
    out.out(table(rows), highlight=False, end="")


def _write_graphs(graphs: Mapping[str, Graph], folder: pathlib.Path, check: Check) -> None:
    compile_model.write(graphs, folder, check, picture=True)


if __name__ == "__main__":
    from utils import start

    start.finish(main(sys.argv[1:]))
