"""The checklist of a model: a row per published network, as JSON and as a table to read."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Sequence

from utils.files import atomic_path
from utils.json_reader import read_json
from utils.schema import Fields, Kind, ListOf, Maybe, Number, Text, Whole

JSON_FILE, TABLE_FILE = "checklist.json", "checklist.md"
_MAX_BYTES = 16 << 20


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """One network.

    Attributes:
        model: name of the model.
        folder: where it lies, beside the checklist.
        sparse_rate: percent of the original's weights that are gone or zero, in [0, 100].
        accuracy: top-1 in [0, 1], or what decides instead; None if nothing was measured.
        original_accuracy: that of the original.
        training_date: such as 20200712.
        input_shape: height and width such as 224x224; of other inputs all sizes.
        compiler_distance: of the graphs, written and read again, to the network.
        nnz: weights that are not zero.
        sparsity: fraction of weights that are zero, in [0, 1].
        dense_flops: multiply-adds of a sample.
        sparse_flops: those of them whose weight is not zero.
        torch_distance: of the network rebuilt in PyTorch.
        tf_distance: of the frozen graph.
        quantized_accuracy: of the int8 file; None without one.
        weights: digest of the weights, by which a network is known again.
    """

    model: str
    folder: str
    sparse_rate: float
    accuracy: float | None
    original_accuracy: float | None
    training_date: str
    input_shape: str
    compiler_distance: float
    nnz: int
    sparsity: float
    dense_flops: int
    sparse_flops: int
    torch_distance: float
    tf_distance: float
    quantized_accuracy: float | None
    weights: str


def _kind(type_name: str) -> Kind:
    kinds: dict[str, Kind] = {"str": Text(), "int": Whole(0), "float": Number()}
    kind = kinds[type_name.removesuffix(" | None")]
    return Maybe(kind) if type_name.endswith("None") else kind


_SCHEMA = ListOf(Fields({each.name: _kind(str(each.type)) for each in dataclasses.fields(Row)}))
_MOVED = "Move it away: it is written anew from the next publication on."


def read(folder: pathlib.Path) -> tuple[Row, ...]:
    """Read a model's checklist; none is an empty one.

    Raises:
        InputError: if it is damaged.
    """
    path = folder / JSON_FILE
    if not path.exists():
        return ()
    content = read_json(path, _SCHEMA, max_bytes=_MAX_BYTES, advice=_MOVED)
    return tuple(Row(**each) for each in content)


def write(folder: pathlib.Path, rows: Sequence[Row]) -> None:
    """Write a model's checklist, as JSON and as a table.

    Raises:
        InputError: if the folder cannot be written.
    """
    with atomic_path(folder / JSON_FILE) as temporary:
        content = [dataclasses.asdict(row) for row in rows]
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    with atomic_path(folder / TABLE_FILE) as temporary:
        temporary.write_text(table(rows), encoding="utf-8")


def table(rows: Sequence[Row]) -> str:
    """Write rows as a Markdown table; accuracies are in percent."""
    cells = [_cells(row) for row in rows]
    heads = list(_COLUMNS)
    lines = [heads, ["-" * len(head) for head in heads], *cells]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


_COLUMNS = (
    *("model", "sparse rate", "acc top1", "orig model top1", "training date", "input_shape"),
    *("compiler pass", "nnz/sparsity", "flops dense/sp M", "torch rt", "tf rt", "quantacc"),
)


def _cells(row: Row) -> list[str]:
    return [
        row.model,
        f"{row.sparse_rate:g}",
        _percent(row.accuracy),
        _percent(row.original_accuracy),
        row.training_date,
        row.input_shape,
        "yes",
        f"{row.nnz}/{row.sparsity:.4f}",
        f"{row.dense_flops / 1e6:.4g}/{row.sparse_flops / 1e6:.4g}",
        "yes",
        "yes",
        _percent(row.quantized_accuracy),
    ]


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2f}"
