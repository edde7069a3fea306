"""Which rows the peer has, which of them are measured, and the file that keeps them."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

FOLDER = pathlib.Path(__file__).parent
RESULTS = FOLDER / "results.json"
COUNTS = FOLDER / "counts.json"

DENSE_TOP1 = {"resnet20": 0.9173, "resnet56": 0.9339}
"""Accuracy of the public weights on the 10,000 test images."""

BUDGETS = ("0.5", "0.6", "0.73")
IMPORTANCES = ("l2", "l1", "taylor")
SCOPES = ("local", "global")
OPTIMIZERS = ("sgd", "muon")


@dataclasses.dataclass(frozen=True, kw_only=True)
class PeerRow:
    """One run of the peer.

    Attributes:
        network: a key of `DENSE_TOP1`.
        budget: share of the FLOPs that stays, a key of `counts.json`.
        importance: which channels stay: those of the largest group `l2` or `l1` norm, or of the
            largest first-order `taylor` term.
        scope: `local`: each layer keeps as many as Flowpress' uniform network; `global`: the
            layers' importances, each divided by its mean, are ranked together.
        distilled: the dense network teaches.
        seed: of the order and the augmentation.
        epochs: of fine-tuning; the rate falls to 0 at their end.
        rate: where it begins.
        optimizer: `sgd` with momentum, or `muon` as `--optimizer_ft=muon` is.
        batch_size: images a step.
        held_out: scored on training images that were held out, not on the test images.
    """

    network: str
    budget: str
    importance: str
    scope: str = "local"
    distilled: bool = False
    seed: int = 0
    epochs: int = 3
    rate: float = 0.02
    optimizer: str = "sgd"
    batch_size: int = 128
    held_out: bool = False

    def words(self) -> str:
        """Name the row in a line of progress."""
        taught = "distilled" if self.distilled else "plain"
        parts = [self.network, f"flops:{self.budget}", self.importance, self.scope, taught]
        parts += [f"{self.epochs} epochs", f"{self.optimizer} at {self.rate:g}"]
        return " ".join([*parts, f"seed {self.seed}"])


def rows(**axes: Sequence[Any]) -> list[PeerRow]:
    """List every combination.

    Args:
        **axes: values by the name of a field of `PeerRow`; the last one changes fastest.

    Example:
        >>> found = rows(seed=[0, 1], network=["resnet20"], budget=["0.5"], importance=["l2", "l1"])
        >>> [(row.importance, row.seed) for row in found]
        [('l2', 0), ('l1', 0), ('l2', 1), ('l1', 1)]
    """
    return [
        PeerRow(**dict(zip(axes, values, strict=True)))
        for values in itertools.product(*axes.values())
    ]


def load_counts(network: str, path: pathlib.Path = COUNTS) -> dict[str, Any]:
    """Read what Flowpress' uniform networks keep.

    Args:
        network: a key of `DENSE_TOP1`.
        path: the file, written by `python -m benchmarks.peer_counts`.

    Returns:
        `dense` -> {`flops`, `params`}, and budget -> the same and `keep`, {block: channels}.
    """
    return json.loads(path.read_text(encoding="utf-8"))[network]


def load_results(path: pathlib.Path = RESULTS) -> list[dict[str, Any]]:
    """Read what was measured, oldest first; nothing where there is no file."""
    return json.loads(path.read_text(encoding="utf-8"))["rows"] if path.exists() else []


def is_measured(row: PeerRow, results: Sequence[Mapping[str, Any]]) -> bool:
    """Tell whether a row has a result."""
    wanted = dataclasses.asdict(row)
    return any(wanted == {name: found.get(name) for name in wanted} for found in results)


def keep_result(row: PeerRow, figures: Mapping[str, Any], path: pathlib.Path = RESULTS) -> None:
    """Add a result, or replace that of the same row; the file is replaced whole."""
    wanted = dataclasses.asdict(row)
    others = [found for found in load_results(path) if not is_measured(row, [found])]
    text = json.dumps({"rows": [*others, {**wanted, **figures}]}, indent=1, allow_nan=False)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text + "\n", encoding="utf-8")
    os.replace(temporary, path)
