"""Rows of the op table: recurrent layers, whose units read themselves through a kernel.

    gate_k = a_k(x_t W_k + h_{t-1} U_k + b_k)     W = [W_1 W_2 …], the gates' blocks side by side

A unit's gates and states touch no other unit's; units meet only in `h U`. So a layer reads its own
units once more, through the rows of its recurrent kernel: a unit goes with its column in each
gate's block of kernel, recurrent kernel and bias, and with its row of the recurrent kernel. A 0/1
Multiply on what the loop reads is a recurrent kernel with zeros in those rows.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from utils.graph.ir import Graph, Node, Ref, leaves
from utils.graph.ops_weighted import freeze_mixed, source_ids
from utils.graph.row import IN, OUT, SELF, Cut, Label, Op, Scope, Window, argument

_NUM_GATES = {"keras.layers.SimpleRNN": 1, "keras.layers.GRU": 3, "keras.layers.LSTM": 4}
_WEIGHTS: Mapping[str, Mapping[int, str]] = {
    "kernel": {-2: IN, -1: OUT},
    "recurrent_kernel": {-2: SELF, -1: OUT},
    "bias": {-1: OUT},  # GRU's is [2, 3 * units] with `reset_after`
}
_KERNELS = ("kernel", "recurrent_kernel")
_FEATURES = 2  # axis of a sequence [batch, steps, features]


def _recurrent(node: Node, scope: Scope, row: Op) -> list[Label | None]:
    source = _read_sequence(node, scope)
    out = scope.produce(node, node.attrs["units"])
    _tie(node, node, scope, {name: name for name in row.weights}, source, out)
    _feed_back(node, scope, out)
    return _labels(node, scope, [out], out)


def _bidirectional(node: Node, scope: Scope, row: Op) -> list[Label | None]:
    """Couple unit i of one direction with unit i of the other: Keras wants equally many."""
    source = _read_sequence(node, scope)
    sides = directions(node)
    out = scope.produce(node, sides[0].attrs["units"])
    names = iter(row.weights)
    for side in sides:
        own = {name: next(names) for name in _weights_of(side)}
        _tie(node, side, scope, own, source, out)
    _feed_back(node, scope, out)
    mode = node.attrs.get("merge_mode")
    sequences = [out, out] if mode is None else [np.tile(out, 2) if mode == "concat" else out]
    return _labels(node, scope, sequences, out)


def _read_sequence(node: Node, scope: Scope) -> np.ndarray | None:
    source = source_ids(node, scope, _FEATURES)
    if source is not None:
        scope.read(node, _FEATURES, source)
    return source


def _tie(
    node: Node,
    side: Node,
    scope: Scope,
    names: Mapping[str, str],
    source: np.ndarray | None,
    out: np.ndarray,
) -> None:
    """Tie one cell's weights, given their names in the graph, to input channels and units."""
    columns = np.tile(out, _NUM_GATES[side.op])
    for weight, name in names.items():
        for axis, role in _WEIGHTS[weight].items():
            scope.follow_axis(node, name, axis, {IN: source, SELF: out, OUT: columns}[role], role)
    for attribute in ("activation", "recurrent_activation"):
        freeze_mixed(side, scope, out, attribute)


def _feed_back(node: Node, scope: Scope, out: np.ndarray) -> None:
    """Note that the units read themselves, from initial states that go with them one to one."""
    scope.feed_back(node, out)
    states = [state for state in leaves(argument(node, 1, "initial_state")) if state is not None]
    for state in states:
        label = scope.label(state) if isinstance(state, Ref) else None
        if label is None:
            what = repr(state.node) if isinstance(state, Ref) else "a constant"
            scope.freeze(out, f"{node.layer!r} starts from {what}, which is not cut")
        else:
            scope.unite(out, label.ids, f"{node.layer!r} starts from a state that is not cut")
    mask = argument(node, 2, "mask")
    label = scope.label(mask) if isinstance(mask, Ref) else None
    if label is not None:
        scope.freeze(label.ids, f"{node.layer!r} takes them as a mask")


def _labels(
    node: Node, scope: Scope, sequences: list[np.ndarray], states: np.ndarray
) -> list[Label | None]:
    """Label the outputs: the sequences (or last steps), then the states, [batch, units] each."""
    ids = sequences + [states] * (scope.outputs(node) - len(sequences))
    return [
        Label(len(scope.shape(Ref(node.name, index))) - 1, own) for index, own in enumerate(ids)
    ]


def _resize(node: Node, cut: Cut) -> tuple[Node, ...]:
    kept = cut.kept(Ref(node.name))
    return (node,) if kept is None else (node.with_attrs(units=int(kept[1].sum())),)


def _resize_bidirectional(node: Node, cut: Cut) -> tuple[Node, ...]:
    kept = cut.kept(Ref(node.name))
    changes: dict[str, Any] = {}
    if kept is not None:
        copies = 2 if node.attrs.get("merge_mode") == "concat" else 1
        changes["units"] = int(kept[1].sum()) // copies
    inner = {
        key: with_config(node.attrs[key], changes)
        for key in ("layer", "backward_layer")
        if node.attrs.get(key) is not None
    }
    return (node.with_attrs(**inner),)


def inner_node(node: Node, serialized: Mapping[str, Any]) -> Node:
    """View a wrapper's call as one of a layer inside of it, which it holds as Keras writes it."""
    op = f"{serialized.get('module')}.{serialized.get('class_name')}"
    return node.replace(op=serialized.get("registered_name") or op, attrs=serialized["config"])


def with_config(serialized: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Change a layer inside of another; the shape it was built with is forgotten."""
    copied = {key: value for key, value in serialized.items() if key != "build_config"}
    return {**copied, "config": {**serialized["config"], **changes}}


def directions(node: Node) -> tuple[Node, Node]:
    """View a Bidirectional's call as those of its two layers, forward and backward."""
    forward = node.attrs["layer"]
    return inner_node(node, forward), inner_node(node, node.attrs.get("backward_layer") or forward)


def _weights_of(side: Node) -> Iterable[str]:
    return [name for name in _WEIGHTS if name != "bias" or side.attrs.get("use_bias", True)]


def _bidirectional_row(graph: Graph, node: Node, row: Op) -> Op | str:
    """Name the weights of both directions: the graph has them in order, by paths of Keras'."""
    sides = directions(node)
    for side in sides:
        if side.op not in _NUM_GATES:
            return f"no row for {side.op!r}, which is inside of it, in the table of ops"
    if sides[0].attrs["units"] != sides[1].attrs["units"]:
        return "its two directions have different numbers of units"
    plain = [name for side in sides for name in _weights_of(side)]
    names = list(graph.params.get(node.layer, ()))
    if [name.rpartition("/")[2] for name in names] != plain:
        return f"its weights are not those of two recurrent layers: {', '.join(names)}"
    return dataclasses.replace(
        row,
        weights={name: _WEIGHTS[last] for name, last in zip(names, plain, strict=True)},
        uses=dict.fromkeys(
            (name for name, last in zip(names, plain, strict=True) if last in _KERNELS), step_uses
        ),
        kernel=names[0],
        of=None,
    )


def step_uses(graph: Graph, node: Node, skip_padding: bool) -> np.ndarray:
    """Once per time step; the first step's state, zero or not, is multiplied as well."""
    return np.array(graph.shape(node.inputs[0])[1] or 1)


_RECURRENT = Op(
    couple=_recurrent,
    note="reads the last axis and, through the recurrent kernel, its own `units`, in every gate",
    resize=_resize,
    weights=_WEIGHTS,
    uses=dict.fromkeys(_KERNELS, step_uses),
    kernel="kernel",
    timed=frozenset(
        "activation recurrent_activation use_bias return_sequences reset_after unroll".split()
    ),
    window=lambda attrs: Window(),  # what the input adds to the gates, at every time step
)

ROWS: dict[str, Op] = {
    **dict.fromkeys(_NUM_GATES, _RECURRENT),
    "keras.layers.Bidirectional": Op(
        couple=_bidirectional,
        note="two recurrent layers: unit i of one goes with unit i of the other",
        resize=_resize_bidirectional,
        weights=_WEIGHTS,
        uses=dict.fromkeys(_KERNELS, step_uses),
        kernel="kernel",
        timed=frozenset({"layer", "backward_layer", "merge_mode"}),
        window=lambda attrs: Window(),
        of=_bidirectional_row,
    ),
}
