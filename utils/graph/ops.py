"""The one table of ops: what every part of Flowpress knows about a Keras layer or operation.

A row (`utils.graph.row.Op`) says which axes of the weights follow which channels, how channels
couple, what changes when they are cut, and where the multiply-adds are. Channels, surgery, folding,
complexity and the exporters read it and have no list of their own. An op without a row is opaque:
kept, never cut, and named in the capability report.
"""

from __future__ import annotations

from collections.abc import Mapping

from utils.graph import ops_einsum, ops_pointwise, ops_shape, ops_weighted
from utils.graph.ir import Graph, Node
from utils.graph.row import Op

TABLE: Mapping[str, Op] = {
    **ops_weighted.ROWS,
    **ops_einsum.ROWS,
    **ops_pointwise.ROWS,
    **ops_shape.ROWS,
}


def find(graph: Graph, node: Node) -> Op | None:
    """Look up the row of a node's op.

    Returns:
        None for an op without a row, and for a layer that holds weights its row does not list (a
        quantized or LoRA layer has some): both are opaque.
    """
    row = TABLE.get(node.op)
    if row is None or not set(graph.params.get(node.layer, ())) <= set(row.weights):
        return None
    return row


def why_opaque(graph: Graph, node: Node) -> str:
    """Say why `find` returns None."""
    if node.op not in TABLE:
        return f"no row for {node.op!r} in the table of ops"
    extra = sorted(set(graph.params.get(node.layer, ())) - set(TABLE[node.op].weights))
    return f"{node.op!r} holds weights that its row does not list: {', '.join(extra)}"
