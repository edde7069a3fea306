"""The one table of ops: what every part of Flowpress knows about a Keras layer or operation.

A row (`utils.graph.row.Op`) says which axes of the weights follow which channels, how channels
couple, what changes when they are cut, and where the multiply-adds are. Channels, surgery, folding,
complexity and the exporters read it and have no list of their own. An op without a row is opaque:
kept, never cut, and named in the capability report.
"""

from __future__ import annotations

from collections.abc import Mapping

from utils.graph import (
    ops_einsum,
    ops_per_step,
    ops_pointwise,
    ops_recurrent,
    ops_shape,
    ops_slice,
    ops_weighted,
)
from utils.graph.ir import Graph, Node
from utils.graph.row import IN, Op


def find(graph: Graph, node: Node) -> Op | None:
    """Look up the row of a node's op.

    Returns:
        The row; of a layer around others, as it is for this node. None for an op without a row, and
        for a layer that holds weights its row does not list (a quantized or LoRA layer has some):
        both are opaque.
    """
    row = _look_up(graph, node)
    return None if isinstance(row, str) else row


def why_opaque(graph: Graph, node: Node) -> str:
    """Say why `find` returns None; empty if it returns a row."""
    row = _look_up(graph, node)
    return row if isinstance(row, str) else ""


def _look_up(graph: Graph, node: Node) -> Op | str:
    """Find the row, or the reason why there is none."""
    row = TABLE.get(node.op)
    if row is None:
        return f"no row for {node.op!r} in the table of ops"
    found = row if row.of is None else row.of(graph, node, row)
    if isinstance(found, str):
        return found
    extra = sorted(set(graph.params.get(node.layer, ())) - set(found.weights))
    if extra:
        return f"{node.op!r} holds weights that its row does not list: {', '.join(extra)}"
    return found


TABLE: Mapping[str, Op] = {
    **ops_weighted.ROWS,
    **ops_einsum.ROWS,
    **ops_recurrent.ROWS,
    **ops_per_step.rows(_look_up),
    **ops_pointwise.ROWS,
    **ops_shape.ROWS,
    **ops_slice.ROWS,
}


def weight_axes(graph: Graph, node: Node, role: str) -> list[tuple[str, int]]:
    """List a node's weights that have an axis of a role, and that axis, counted from the back.

    Args:
        graph: the network.
        node: the node.
        role: `IN`, what reads a node's input channels (two of a Bidirectional); `SELF`, what reads
            a recurrent layer's own units.
    """
    row = find(graph, node)
    params = graph.params.get(node.layer, {})
    return [
        (weight, axis)
        for weight, roles in ({} if row is None else row.weights).items()
        for axis, found in roles.items()
        if found == role and weight in params
    ]


def input_axes(graph: Graph, node: Node) -> list[tuple[str, int]]:
    """Name the weights that read a node's input channels, and their axes, counted from the back.

    Raises:
        ValueError: if there is none.
    """
    found = weight_axes(graph, node, IN)
    if not found:
        raise ValueError(f"{node.name!r} ({node.op}) has no weight that reads channels.")
    return found


def markdown_table() -> str:
    """Write the table for the documentation: ops with one and the same row share a line."""
    names: dict[int, list[str]] = {}
    rows: dict[int, Op] = {}
    for path, row in TABLE.items():
        names.setdefault(id(row), []).append(_short(path))
        rows[id(row)] = row
    merged: dict[tuple[str, str, str], list[str]] = {}
    for key, row in rows.items():
        cut = [f"`{weight}`" for weight, axes in row.weights.items() if axes or row.kernel]
        cells = (row.note, ", ".join(cut), "yes" if row.uses else "")
        merged.setdefault(cells, []).extend(names[key])
    lines = ["| Ops | Channels | Weights that are cut | Counted |", "|:--|:--|:--|:--|"]
    for (note, weights, counted), ops in merged.items():
        lines.append(f"| {', '.join(ops)} | {note} | {weights} | {counted} |")
    return "\n".join(lines)


def _short(path: str) -> str:
    """`Conv2D` for a layer, ours or Keras', `ops.Pad` for an operation."""
    module, _, name = path.rpartition(">")[2].rpartition(".")
    return f"ops.{name}" if ".ops." in module else name
