"""Count a network's parameters, multiply-adds and activation memory, per layer and in total.

    python tools/graph_tools/model_complexity.py --model_file=model.keras
    python tools/graph_tools/model_complexity.py --model_file=model.keras --format=csv
    python tools/graph_tools/model_complexity.py --graph-json=IR_for_reconstruct_graph.json \
        --params-file=IR_for_reconstruct_params.npz

FLOPs are multiply-adds counted once, of convolutions and matrix products, for one sample. Two
rules: all positions (every kernel entry at every output position; the default), and
--skip_padding (only positions inside the image). Sparse FLOPs leave out parameters that are
exactly zero. The peak is the most that activations take together at any one time.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import pathlib
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if not __package__:  # run as a script: the checkout takes this folder's place on the path
    sys.path[0] = str(pathlib.Path(__file__).resolve().parents[2])
    from utils import start

    start.prepare()

from rich import box
from rich.table import Table

from tools.command import run_command
from tools.graph_tools.source import SourceConfig
from utils.command import out
from utils.files import atomic_path, check_writable
from utils.flags import Parsed, flag, group

if TYPE_CHECKING:
    from utils.graph import Complexity

_COLUMNS = ("params", "nonzeros", "sparsity", "flops", "sparse_flops", "activation_bytes")
_FILE_WIDTH = 160  # characters of a table that is not shown in a terminal


@dataclasses.dataclass(frozen=True, kw_only=True)
class ComplexityConfig:
    """What to count, how to show it."""

    source: SourceConfig = group(SourceConfig)
    skip_padding: bool = flag(False, "Count multiply-adds only where the kernel meets the image.")
    format: str = flag("table", "How to write the figures.", choices=("table", "csv", "json"))
    out_file: str | None = flag(None, "File to write instead of the console.", path=True)


def main(argv: Sequence[str]) -> int:
    """Run the command.

    Args:
        argv: the arguments, without the program's name.

    Returns:
        The exit status.
    """
    return run_command(str(__doc__).strip(), lambda: [ComplexityConfig], _run, argv)


def _run(parsed: Parsed) -> None:
    config: ComplexityConfig = parsed.configs[ComplexityConfig]
    config.source.check()
    if config.out_file:
        check_writable(config.out_file)
    graph = config.source.graph()
    from utils.graph import complexity

    cost = complexity(graph, config.skip_padding)
    if config.format == "table" and config.out_file is None and out.is_terminal:
        out.print(as_table(cost, config.skip_padding))
        return
    texts = {"csv": as_csv, "json": as_json}
    text = texts.get(config.format, lambda cost: _plain_table(cost, config.skip_padding))(cost)
    if config.out_file is None:
        out.out(text, highlight=False, end="")
        return
    with atomic_path(config.out_file) as temporary:
        temporary.write_text(text, encoding="utf-8")


def figures(cost: Complexity) -> dict[str, Any]:
    """Give the figures as plain data.

    Args:
        cost: what was counted.

    Returns:
        `layers`, a list with a dict per layer, and `total`.
    """
    layers = [
        {
            "name": row.name,
            "op": row.op,
            "output_shape": list(row.output_shape),
            **{column: getattr(row, column) for column in _COLUMNS},
        }
        for row in cost.rows
    ]
    total = {column: getattr(cost, column) for column in _COLUMNS[:-1]}
    total["peak_activation_bytes"] = cost.peak_activation_bytes
    return {"layers": layers, "total": total}


def as_json(cost: Complexity) -> str:
    """Write the figures as JSON."""
    return json.dumps(figures(cost), indent=2) + "\n"


def as_csv(cost: Complexity) -> str:
    """Write the figures as CSV, one line per layer, the totals last."""
    stream = io.StringIO()
    data = figures(cost)
    writer = csv.DictWriter(stream, ("name", "op", "output_shape", *_COLUMNS), lineterminator="\n")
    writer.writeheader()
    for row in data["layers"]:
        shape = "x".join("?" if size is None else str(size) for size in row["output_shape"][1:])
        writer.writerow({**row, "output_shape": shape})
    total = dict(data["total"])
    total["activation_bytes"] = total.pop("peak_activation_bytes")
    writer.writerow({"name": "total", **total})
    return stream.getvalue()


def as_table(cost: Complexity, skip_padding: bool) -> Table:
    """Make the table for the console; layers without parameters and multiply-adds are left out."""
    rule = "positions inside the image" if skip_padding else "all positions"
    table = Table(title=f"One sample; FLOPs = multiply-adds, {rule}", box=box.SIMPLE_HEAD)
    for heading in ("layer", "op", "output"):
        table.add_column(heading, overflow="fold")
    for heading in ("params", "non-zero", "sparsity", "FLOPs", "sparse FLOPs", "activations"):
        table.add_column(heading, justify="right")
    from utils.graph.draw import shape_text

    for row in cost.rows:
        if row.params or row.flops:
            head = (row.name, row.op.rpartition(".")[2], shape_text(row.output_shape))
            table.add_row(*head, *_cells(row, row.activation_bytes))
    table.add_section()
    table.add_row("total", "", "peak", *_cells(cost, cost.peak_activation_bytes))
    return table


def _cells(item: Any, activation_bytes: int) -> list[str]:
    return [
        f"{item.params:,}",
        f"{item.nonzeros:,}",
        f"{100 * item.sparsity:.1f} %",
        f"{item.flops:,}",
        f"{item.sparse_flops:,}",
        f"{activation_bytes / 1024:,.1f} KiB",
    ]


def _plain_table(cost: Complexity, skip_padding: bool) -> str:
    from rich.console import Console

    stream = io.StringIO()
    Console(file=stream, width=_FILE_WIDTH, emoji=False).print(as_table(cost, skip_padding))
    return stream.getvalue()


if __name__ == "__main__":
    from utils import start

    start.finish(main(sys.argv[1:]))
