"""Recurrent layers, and layers around others."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from utils.graph.ir import INPUT_LAYER, Graph, Node, Ref, leaves
from utils.graph.ops_per_step import inside_steps
from utils.graph.ops_recurrent import directions
from utils.graph.row import argument
from utils.reconstructors.activations import describe
from utils.reconstructors.rebuilding import Rebuilding, RefusedError, open_sizes
from utils.reconstructors.target import Cell

_KINDS = {
    "keras.layers.SimpleRNN": "rnn",
    "keras.layers.GRU": "gru",
    "keras.layers.LSTM": "lstm",
}

_TIME = 1


def cell_of(side: Node, arrays: Sequence[np.ndarray]) -> Cell:
    """Describe one direction of a recurrent layer.

    Args:
        side: the layer.
        arrays: kernel, recurrent kernel and, where it has one, bias.

    Raises:
        RefusedError: for what frameworks do not share: states kept between calls, other classes.
    """
    if side.op not in _KINDS:
        raise RefusedError(f"it runs a {side.op.rpartition('.')[2]}")
    if side.attrs.get("stateful"):
        raise RefusedError("it keeps its state between calls (`stateful`)")
    activation, settings = describe(side.attrs.get("activation"))
    gate, gate_settings = describe(side.attrs.get("recurrent_activation", "sigmoid"))
    if settings or gate_settings:
        raise RefusedError("its activations have settings of their own")
    kind = _KINDS[side.op]
    return Cell(
        kind=kind,
        kernel=arrays[0],
        recurrent=arrays[1],
        bias=arrays[2] if len(arrays) > 2 else None,
        activation=activation,
        gate=gate,
        reset_after=bool(side.attrs.get("reset_after", True)) if kind == "gru" else True,
    )


def _refuse_mask(node: Node) -> None:
    if isinstance(argument(node, 2, "mask"), Ref):
        raise RefusedError("it is called with a mask")


def _states(rebuilding: Rebuilding, node: Node) -> list[Any]:
    """Give the handles of the states that a call starts from."""
    given = [leaf for leaf in leaves(argument(node, 1, "initial_state")) if leaf is not None]
    if any(not isinstance(leaf, Ref) for leaf in given):
        raise RefusedError("it starts from a constant state")
    return [rebuilding.plain(leaf).handle for leaf in given]


def _run(
    rebuilding: Rebuilding, side: Node, arrays: Sequence[np.ndarray], x: Any, states: list[Any]
) -> tuple[Any, Sequence[Any]]:
    """Run one direction; give what the layer returns (all steps or the last) and its states."""
    cell = cell_of(side, arrays)
    if side.attrs.get("go_backwards"):
        x = rebuilding.target.flip(x, [_TIME])
    sequence, last = rebuilding.target.recurrent(x, cell, states)
    return (sequence if side.attrs.get("return_sequences") else last[0]), last


def _recurrent(rebuilding: Rebuilding, node: Node) -> None:
    _refuse_mask(node)
    x = rebuilding.plain(node.inputs[0]).handle
    arrays = list(rebuilding.params(node).values())
    found, last = _run(rebuilding, node, arrays, x, _states(rebuilding, node))
    for number, handle in enumerate((found, *last)[: len(node.output_shapes)]):
        rebuilding.put(Ref(node.name, number), handle)


def _bidirectional(rebuilding: Rebuilding, node: Node) -> None:
    _refuse_mask(node)
    x = rebuilding.plain(node.inputs[0]).handle
    arrays, states = list(rebuilding.params(node).values()), _states(rebuilding, node)
    forward, backward = directions(node)
    if backward.op == forward.op and node.attrs.get("backward_layer") is None:
        reverse = not forward.attrs.get("go_backwards", False)
        backward = backward.with_attrs(go_backwards=reverse)
    half, middle = len(arrays) // 2, len(states) // 2
    target = rebuilding.target
    found: list[Any] = []
    last: list[Any] = []
    for name, side, own, start in (
        ("forward", forward, arrays[:half], states[:middle]),
        ("backward", backward, arrays[half:], states[middle:]),
    ):
        target.begin(f"{node.layer}_{name}", f"{node.name}_{name}")
        output, ends = _run(rebuilding, side, own, x, start)
        found.append(output)
        last += ends
    target.begin(node.layer, node.name)
    if forward.attrs.get("return_sequences"):
        found[1] = target.flip(found[1], [_TIME])
    outputs = [*_merged(rebuilding, node, found), *last]
    for number, handle in enumerate(outputs[: len(node.output_shapes)]):
        rebuilding.put(Ref(node.name, number), handle)


def _merged(rebuilding: Rebuilding, node: Node, found: list[Any]) -> list[Any]:
    """Merge both directions as `merge_mode` says."""
    mode, target = node.attrs.get("merge_mode", "concat"), rebuilding.target
    if mode is None:
        return found
    if mode == "concat":
        return [target.concat(found, len(node.output_shapes[0]) - 1)]
    if mode == "mul":
        return [target.binary("mul", *found)]
    total = target.binary("add", *found)
    return [target.binary("mul", total, 0.5) if mode == "ave" else total]


def per_step(table: Callable[[], Mapping[str, Any]]) -> Callable[[Rebuilding, Node], None]:
    """Make the function of TimeDistributed: steps become samples, and samples steps again.

    Args:
        table: gives the table that the layer inside is looked up in.
    """

    def function(rebuilding: Rebuilding, node: Node) -> None:
        if len(node.inputs) != 1:
            raise RefusedError("it is called with a mask")
        value = rebuilding.plain(node.inputs[0])
        steps, target = value.shape[_TIME], rebuilding.target
        if steps is None:
            raise RefusedError("it has an open number of steps")
        graph, inside = _samples(rebuilding.graph, node)
        inner = _Inside(graph, target)
        shape = graph.shape(graph.inputs[0])
        inner.put(graph.inputs[0], target.reshape(value.handle, open_sizes(shape)))
        inner.call(inside, table(), {})
        target.begin(node.layer, node.name)
        found = inner.plain(Ref(inside.name))
        sizes = open_sizes(node.output_shapes[0])
        rebuilding.put(Ref(node.name), target.reshape(found.handle, sizes))

    return function


class _Inside(Rebuilding):
    """The layer inside of a TimeDistributed on its way."""


def _samples(graph: Graph, node: Node) -> tuple[Graph, Node]:
    """Make the graph of the layer inside, whose samples are the steps of the one around."""
    source = node.inputs[0]
    shape = graph.shape(source)
    given = Node(
        name=source.node,
        layer=source.node,
        op=INPUT_LAYER,
        attrs={},
        output_shapes=((None, *shape[2:]),),
        output_dtypes=(graph.dtype(source),),
    )
    inside = inside_steps(node)
    inside = dataclasses.replace(
        inside,
        args=(Ref(given.name),),
        output_shapes=tuple((None, *each[2:]) for each in node.output_shapes),
    )
    made = Graph(
        name=node.name,
        nodes=(given, inside),
        params={inside.layer: graph.params.get(node.layer, {})},
        input_structure=Ref(given.name),
        output_structure=Ref(inside.name),
    )
    return made, inside


ROWS: Mapping[str, Callable[[Rebuilding, Node], None]] = {
    **dict.fromkeys(_KINDS, _recurrent),
    "keras.layers.Bidirectional": _bidirectional,
}
