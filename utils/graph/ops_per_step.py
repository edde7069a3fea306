"""Row of the op table: TimeDistributed, which does at every time step what the layer inside does.

The layer inside sees tensors without the time axis. Its own row is asked, through a scope and a cut
that leave that axis out.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from utils.graph.ir import INPUT_LAYER, Graph, Node, Ref, Shape
from utils.graph.ops_recurrent import inner_node, with_config
from utils.graph.row import Cut, Label, Op, Scope, Uses, Window

_OP = "keras.layers.TimeDistributed"
_TIME = 1
LookUp = Callable[[Graph, Node], Op | str]


class _StepScope:
    """The analysis as the rule of the layer inside sees it: tensors have no time axis."""

    def __init__(self, scope: Scope, outer: Node) -> None:
        self._scope = scope
        self._outer = outer

    def label(self, ref: Ref) -> Label | None:
        label = self._scope.label(ref)
        return None if label is None or label.axis == _TIME else Label(label.axis - 1, label.ids)

    def shape(self, ref: Ref) -> Shape:
        return _step_shape(self._scope.shape(ref))

    def outputs(self, node: Node) -> int:
        return self._scope.outputs(node)

    def produce(self, node: Node, size: int) -> np.ndarray:
        return self._scope.produce(self._outer, size)

    def invent(self, size: int) -> np.ndarray:
        return self._scope.invent(size)

    def read(self, node: Node, axis: int, ids: np.ndarray) -> None:
        self._scope.read(self._outer, axis + 1, ids)

    def feed_back(self, node: Node, ids: np.ndarray) -> None:
        self._scope.feed_back(self._outer, ids)

    def follow(self, node: Node, roles: Mapping[str, np.ndarray | None]) -> None:
        self._scope.follow(self._outer, roles)

    def follow_axis(
        self, node: Node, weight: str, axis: int, ids: np.ndarray | None, role: str
    ) -> None:
        self._scope.follow_axis(self._outer, weight, axis, ids, role)

    def unite(self, first: np.ndarray, second: np.ndarray, reason: str) -> None:
        self._scope.unite(first, second, reason)

    def merge(self, ids: Sequence[np.ndarray]) -> None:
        self._scope.merge(ids)

    def freeze(self, ids: np.ndarray, reason: str) -> None:
        self._scope.freeze(ids, reason)


class _StepCut:
    """A decided cut as the resizing rule of the layer inside sees it."""

    def __init__(self, cut: Cut) -> None:
        self._cut = cut

    def kept(self, ref: Ref) -> tuple[int, np.ndarray] | None:
        kept = self._cut.kept(ref)
        return None if kept is None or kept[0] == _TIME else (kept[0] - 1, kept[1])

    def shape(self, ref: Ref) -> Shape:
        return _step_shape(self._cut.shape(ref))

    def new_name(self, wanted: str) -> str:
        return self._cut.new_name(wanted)


def _step_shape(shape: Shape) -> Shape:
    return (*shape[:_TIME], *shape[_TIME + 1 :])


def inside_steps(node: Node) -> Node:
    """View the call of a TimeDistributed as one of the layer inside; others are given back."""
    return _layer_inside(node) if node.op == _OP else node


def _layer_inside(node: Node) -> Node:
    """View the call as one of the layer inside; its mask and the like are the wrapper's."""
    return inner_node(node, node.attrs["layer"]).replace(args=(node.inputs[0],), kwargs={})


def _per_step(node: Node, scope: Scope, row: Op) -> list[Label | None]:
    label = scope.label(node.inputs[0])
    if label is not None and label.axis == _TIME:
        scope.freeze(label.ids, f"{node.layer!r} takes them as time steps")
    if row.inner is None:  # a row that was not made for this node
        raise ValueError(f"the row of {node.op!r} must be looked up with `ops.find`.")
    labels = row.inner.couple(_layer_inside(node), _StepScope(scope, node), row.inner)
    return [None if own is None else Label(own.axis + 1, own.ids) for own in labels]


def _resize(row: Op) -> Callable[[Node, Cut], tuple[Node, ...]]:
    def resize(node: Node, cut: Cut) -> tuple[Node, ...]:
        (resized,) = row.resize(_layer_inside(node), _StepCut(cut))
        return (node.with_attrs(layer=with_config(node.attrs["layer"], resized.attrs)),)

    return resize


def _uses(count: Uses) -> Uses:
    def uses(graph: Graph, node: Node, skip_padding: bool) -> np.ndarray:
        num_steps = graph.shape(node.inputs[0])[_TIME] or 1
        return num_steps * count(*_one_step(graph, node), skip_padding)

    return uses


def _one_step(graph: Graph, node: Node) -> tuple[Graph, Node]:
    """Make the graph of the layer inside on a single time step, without weights."""
    source = node.inputs[0]
    given = Node(
        name=source.node,
        layer=source.node,
        op=INPUT_LAYER,
        attrs={},
        output_shapes=(_step_shape(graph.shape(source)),),
        output_dtypes=(graph.dtype(source),),
    )
    shapes = tuple(_step_shape(shape) for shape in node.output_shapes)
    inside = _layer_inside(node).replace(args=(Ref(given.name),), output_shapes=shapes)
    structures: dict[str, Any] = {
        "input_structure": Ref(given.name),
        "output_structure": Ref(inside.name),
    }
    return Graph(name=node.name, nodes=(given, inside), params={}, **structures), inside


def _window(node: Node, inner: Op) -> Callable[[Mapping[str, Any]], Window | None] | None:
    """Tell where the layer inside reads the last axis, as a Dense layer does."""
    found = None if inner.window is None else inner.window(_layer_inside(node).attrs)
    return (lambda attrs: found) if found == Window() else None


def rows(look_up: LookUp) -> dict[str, Op]:
    """Make the row, given what finds that of the layer inside (or the reason why it has none)."""

    def of(graph: Graph, node: Node, row: Op) -> Op | str:
        inner = look_up(graph, _layer_inside(node))
        if isinstance(inner, str):
            return f"the layer inside of it: {inner}"
        return dataclasses.replace(
            row,
            resize=_resize(inner),
            weights=inner.weights,
            uses={weight: _uses(count) for weight, count in inner.uses.items()},
            kernel=inner.kernel,
            window=_window(node, inner),
            timed=None if inner.timed is None else frozenset({"layer"}),
            inner=inner,
            of=None,
        )

    return {_OP: Op(couple=_per_step, note="at every time step as the layer inside", of=of)}
