"""What a network's outputs are: probabilities by softmax or sigmoid, or numbers before either.

Followed from each output backwards through what only moves values (Reshape, Flatten, transposes,
casts, nested models), so that the softmax is found anywhere at the end.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from utils.graph.ir import Graph, Node, Ref, Shape, num_elements
from utils.graph.ops import TABLE, find
from utils.graph.ops_shape import reshaped

SOFTMAX, SIGMOID, LINEAR, UNKNOWN = "softmax", "sigmoid", "linear", "unknown"


@dataclasses.dataclass(frozen=True, eq=False)
class Ending:
    """What one output of a network is.

    Attributes:
        kind: "softmax", "sigmoid"; "linear" for the sums of a layer without activation, and for
            what log-softmax gives; else "unknown".
        layer: the layer that makes it so.
        axis: of the classes, in that layer's output; softmax only.
        shape: of that layer's output, batch axis (None) included. With open sizes the output has
            the same last axis.
        places: int64 [values of a sample], the place of each of the layer's values among the
            output's, flattened in row-major order; None where they stand in the same order.
    """

    kind: str
    layer: str
    shape: Shape
    axis: int = -1
    places: np.ndarray | None = None


def endings(graph: Graph) -> tuple[Ending, ...]:
    """Find what each output of a network is, in Keras' order."""
    return tuple(_ending(graph, ref) for ref in graph.outputs)


def _ending(graph: Graph, ref: Ref) -> Ending:
    moves: list[Node] = []
    node, shape = graph.node(ref.node), graph.shape(ref)
    while len(node.inputs) == 1:
        row = find(graph, node)
        stays = _is_linear_activation(node)
        if not stays and (row is None or row.moves is None):
            break
        if not stays:
            moves.append(node)
        shape = graph.shape(node.inputs[0])
        node = graph.node(node.inputs[0].node)
    kind, axis = _kind(graph, node)
    try:
        places = _places(shape, moves)
    except (TypeError, ValueError, IndexError):  # sizes that are open
        return Ending(UNKNOWN, node.layer, shape)
    return Ending(kind, node.layer, shape, axis, places)


def _kind(graph: Graph, node: Node) -> tuple[str, int]:
    """Tell the last op that changes values, and the axis of a softmax."""
    name = node.op.rpartition(".")[2]
    axis = node.attrs.get("axis", -1)
    axis = axis[0] if isinstance(axis, (list, tuple)) and len(axis) == 1 else axis
    if name == "LogSoftmax" and axis in (-1, len(node.output_shapes[0]) - 1):
        return LINEAR, -1
    if name == "Softmax":
        return (SOFTMAX, axis) if isinstance(axis, int) else (UNKNOWN, -1)
    kinds = {"softmax": SOFTMAX, "sigmoid": SIGMOID, "linear": LINEAR, "log_softmax": LINEAR}
    activation = _activation(graph, node)
    return kinds.get(activation, UNKNOWN) if isinstance(activation, str) else UNKNOWN, -1


def _activation(graph: Graph, node: Node) -> Any:
    """Name the activation that an op ends with."""
    row = find(graph, node)
    if node.op == "keras.layers.Activation":
        return node.attrs["activation"]
    if row is None:
        return None
    if row.activation is not None:
        return row.activation(node.attrs)
    if row.folds is not None or "equation" in node.attrs:  # a sum of products, then the activation
        return node.attrs.get("activation", "linear")
    return None


def _is_linear_activation(node: Node) -> bool:
    return node.op == "keras.layers.Activation" and node.attrs["activation"] == "linear"


def _places(shape: Shape, moves: list[Node]) -> np.ndarray | None:
    """Follow every value of one sample through the moves, the last of which comes first.

    Raises:
        ValueError: if the sizes are not known, or values are left out, repeated or mixed with
            those of other samples.
    """
    if not moves:
        return None
    if None in shape[1:]:
        _check_open(shape, moves)
        return None
    size = num_elements(shape)
    # Two samples: what mixes them shows.
    values = np.arange(2 * size).reshape(2, *(s or 0 for s in shape[1:]))
    for node in reversed(moves):
        values = _moved(node, values)
    first, second = values.reshape(2, -1)
    if first.size != size or not np.array_equal(first + size, second):
        raise ValueError("values are left out, repeated or mixed between samples.")
    places = np.argsort(first, kind="stable")
    if not np.array_equal(first[places], np.arange(size)):
        raise ValueError("values are left out, repeated or mixed between samples.")
    return None if np.array_equal(places, np.arange(size)) else places


def _moved(node: Node, values: np.ndarray) -> np.ndarray:
    move = TABLE[node.op].moves
    return values if move is None else move(node, values)


def _check_open(shape: Shape, moves: list[Node]) -> None:
    """Accept reshapes of open sizes that leave the last axis as it is.

    Raises:
        ValueError: for any other move.
    """
    for node in moves:
        same_shape = node.output_shapes[0] == shape
        same_rows = (
            TABLE[node.op].moves is reshaped
            and node.attrs.get("data_format") != "channels_first"
            and node.output_shapes[0][-1] == shape[-1] is not None
        )
        if not same_shape and not same_rows:
            raise ValueError("sizes are not known.")
