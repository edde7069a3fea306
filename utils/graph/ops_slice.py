"""Rows of the op table: ops that pick some of the channels."""

from __future__ import annotations

from typing import Any

import numpy as np

from utils.graph.ir import Node, Ref, Shape
from utils.graph.ops_shape import unknown, view_rule
from utils.graph.row import Cut, IntegerForm, Label, Op, Scope, always, argument, with_argument

_TAKE = "keras.src.ops.numpy.Take"
_NUMPY = "keras.src.ops.numpy"


def _get_item_key(node: Node) -> tuple[Any, ...]:
    key = argument(node, 1, "key")
    return tuple(key) if isinstance(key, (list, tuple)) else (key,)


def _resize_get_item(node: Node, cut: Cut) -> tuple[Node, ...]:
    """Give the slice of the channel axis its new bounds."""
    kept = cut.kept(node.inputs[0])
    if kept is None:
        return (node,)
    axis, mask = kept
    key = list(_get_item_key(node))
    position = _position_of_axis(key, axis, mask.size, len(cut.shape(node.inputs[0])))
    if position is None or key[position] == slice(None):
        return (node,)
    picked = np.arange(mask.size)[key[position]]
    places = (np.cumsum(mask) - 1)[picked[mask[picked]]]  # where the picked ones are after the cut
    steps = np.unique(np.diff(places))
    if places.size == 1 or steps.size == 1:
        step = 1 if places.size == 1 else int(steps[0])
        stop = int(places[-1]) + (1 if step > 0 else -1)
        key[position] = slice(int(places[0]), None if stop < 0 else stop, step)
        return (with_argument(node, 1, "key", tuple(key)),)
    key[position] = slice(None)
    source = node.inputs[0]
    name = cut.new_name(f"{node.name}_take")
    gather = take_node(name, source, axis, places, cut.shape(source), node.output_dtypes[0])
    sliced = with_argument(node, 1, "key", tuple(key))
    return gather, with_argument(sliced, 0, "x", Ref(gather.name))


def take_node(
    name: str, source: Ref, axis: int, indices: np.ndarray, shape: Shape, dtype: str
) -> Node:
    """Make a `keras.ops.take` of channels.

    Args:
        name: the node's name.
        source: the tensor it reads.
        axis: the channel axis.
        indices: int array, positions on that axis.
        shape: shape of `source`.
        dtype: data type of `source`.
    """
    return Node(
        name=name,
        layer=name,
        op=_TAKE,
        attrs={"name": name, "axis": axis},
        args=(source, indices.astype(np.int32)),
        output_shapes=((*shape[:axis], int(indices.size), *shape[axis + 1 :]),),
        output_dtypes=(dtype,),
    )


def _position_of_axis(key: list[Any], axis: int, size: int, rank: int) -> int | None:
    """Which entry of an index expression applies to an axis; None if an ellipsis covers it."""
    consumed = sum(1 for entry in key if entry is not None and entry is not Ellipsis)
    current = 0
    for position, entry in enumerate(key):
        if entry is None:
            continue
        if entry is Ellipsis:
            current += rank - consumed
            if current > axis:
                return None
            continue
        if current == axis:
            return position
        current += 1
    return None


def _take(node: Node, scope: Scope, row: Op) -> list[Label | None]:
    label = scope.label(node.inputs[0])
    indices, axis = argument(node, 1, "indices"), node.attrs["axis"]
    shape = scope.shape(node.inputs[0])
    if len(node.inputs) > 1 or axis is None or np.ndim(indices) != 1:
        return unknown(node, scope, f"{node.layer!r} picks them in a way that is not followed")
    if label is None or label.axis != axis % len(shape):
        return [label]
    return [Label(label.axis, label.ids[np.asarray(indices)])]


def _resize_take(node: Node, cut: Cut) -> tuple[Node, ...]:
    kept = cut.kept(node.inputs[0])
    if kept is None or kept[0] != node.attrs["axis"] % len(cut.shape(node.inputs[0])):
        return (node,)
    indices = np.asarray(argument(node, 1, "indices"))
    places = (np.cumsum(kept[1]) - 1)[indices[kept[1][indices]]]
    return (with_argument(node, 1, "indices", places.astype(np.int32)),)


def _split(node: Node, scope: Scope, row: Op) -> list[Label | None]:
    label = scope.label(node.inputs[0])
    axis = node.attrs["axis"] % len(scope.shape(node.inputs[0]))
    if label is None or label.axis != axis:
        return [label] * scope.outputs(node)
    parts = np.array_split(label.ids, _sections(node))
    return [Label(axis, part) for part in parts]


def _sections(node: Node) -> int | list[int]:
    sections = node.attrs["indices_or_sections"]
    return sections if isinstance(sections, int) else [int(index) for index in sections]


def _resize_split(node: Node, cut: Cut) -> tuple[Node, ...]:
    kept = cut.kept(node.inputs[0])
    if kept is None or kept[0] != node.attrs["axis"] % len(cut.shape(node.inputs[0])):
        return (node,)
    sizes = [int(part.sum()) for part in np.array_split(kept[1], _sections(node))]
    return (node.with_attrs(indices_or_sections=tuple(int(i) for i in np.cumsum(sizes)[:-1])),)


_SAME = always(IntegerForm(output="same"))
_SPLIT = Op(
    couple=_split,
    note="each output has its share of the channels",
    resize=_resize_split,
    integers=_SAME,
)

ROWS: dict[str, Op] = {
    f"{_NUMPY}.GetItem": Op(
        couple=view_rule(lambda node, view: view[_get_item_key(node)]),
        note="channels that the slice picks keep their identity",
        resize=_resize_get_item,
        integers=_SAME,
    ),
    _TAKE: Op(
        couple=_take,
        note="channels that it picks keep their identity",
        resize=_resize_take,
        picks=True,
        integers=_SAME,
    ),
    f"{_NUMPY}.Split": _SPLIT,
    f"{_NUMPY}.ArraySplit": _SPLIT,
}
