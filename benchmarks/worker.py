"""One row in a process of its own: `python -m benchmarks.worker MODULE ROW SEED WORK_DIR OUTCOME`.

Started by `benchmarks.runner`; writes what came of the row to the JSON file OUTCOME.
"""

from __future__ import annotations

import json
import logging
import math
import pathlib
import resource
import sys
import time
from collections.abc import Mapping, Sequence

from benchmarks.rows import Context, Row, SkipRow, parse_target
from benchmarks.topics import load_topic

_RESERVED = ("target", "peer")


def run_row(row: Row, context: Context) -> dict[str, object]:
    """Run one row and say what came of it.

    Args:
        row: the row.
        context: what it is given.

    Returns:
        `status` ("ok", "skipped" or "failed"), `seconds`, and with "ok" `figures`, `target` and
        `peer`, else `error`.
    """
    start = time.perf_counter()
    try:
        outcome = dict(row.run(context))
        outcome.setdefault("peak_memory_mib", peak_memory_mib())
        figures, target, peer = split_outcome(row, outcome)
        result: dict[str, object] = {"status": "ok", "figures": figures}
        result |= {"target": target, "peer": peer}
    except SkipRow as reason:
        result = {"status": "skipped", "error": str(reason)}
    except Exception as error:  # whatever a row raises: the other rows go on
        logging.getLogger("benchmarks").exception("row %s failed", row.name)
        result = {"status": "failed", "error": f"{type(error).__name__}: {error}"}
    return {**result, "seconds": round(time.perf_counter() - start, 3)}


def peak_memory_mib() -> int:
    """Largest resident memory of this process so far, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10))


def split_outcome(
    row: Row, outcome: Mapping[str, object]
) -> tuple[dict[str, object], dict[str, str], dict[str, object]]:
    """Take a row's return value apart.

    Args:
        row: the row.
        outcome: what its `run` returned: figures; under "target" and "peer" what goes with them.

    Returns:
        Figures, targets (the row's own, overruled by those returned), the peer's figures.

    Raises:
        ValueError: if a value is no number, text, bool or None, a target no target, or a target or
            peer names a figure that was not measured.
    """
    figures = {name: plain(value) for name, value in outcome.items() if name not in _RESERVED}
    target = {**row.target, **_mapping(outcome, "target")}
    peer = {name: plain(value) for name, value in _mapping(outcome, "peer").items()}
    for text in target.values():
        parse_target(str(text))
    for kind, names in (("target", target), ("peer", peer)):
        strange = sorted(set(names) - set(figures))
        if strange:
            raise ValueError(
                f"{kind} for figures that the row did not return: {', '.join(strange)}. "
                f"Measured: {', '.join(figures)}."
            )
    return figures, {name: str(text) for name, text in target.items()}, peer


def _mapping(outcome: Mapping[str, object], key: str) -> Mapping[str, object]:
    value = outcome.get(key, {})
    if not isinstance(value, Mapping):
        raise ValueError(f"{key!r} must map figures to values. Received: {value!r}.")
    return value


def plain(value: object) -> object:
    """Turn NumPy scalars, sequences and mappings into what JSON takes.

    Raises:
        ValueError: for anything else, and for NaN and infinity: nothing was measured.
    """
    item = getattr(value, "item", None)
    if callable(item) and getattr(value, "ndim", None) == 0:
        value = item()
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"a figure is {value}: it was not measured.")
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {str(name): plain(entry) for name, entry in value.items()}
    if isinstance(value, Sequence):
        return [plain(entry) for entry in value]
    raise ValueError(
        "a figure is a number, text, True, False, None or a list of those. "
        f"Received: {type(value).__name__}."
    )


def main(argv: Sequence[str]) -> int:
    """Run the row that `argv` names.

    Args:
        argv: path of the topic's module, row, seed, work folder, path of the outcome.

    Returns:
        0; what came of the row is in the outcome.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    module, name, seed, work_dir, outcome = argv
    topic = load_topic(pathlib.Path(module))
    context = Context(seed=int(seed), work_dir=pathlib.Path(work_dir))
    result = run_row(topic.row(name), context)
    pathlib.Path(outcome).write_text(json.dumps(result), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
