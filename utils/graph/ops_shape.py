"""Rows of the op table: ops that move channels to other places without changing their values."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from utils.graph.ir import Node, Ref, Shape
from utils.graph.row import FIXED, Cut, Label, Op, Scope, argument, concrete, with_argument

# A view is taken of a tensor of this many positions per unknown axis: no memory, only strides.
_VIEW_SIZE = 1024
# Reshaping needs the labels of all positions, at most this many (512 MiB).
_MAX_POSITIONS = 1 << 26
_TAKE = "keras.src.ops.numpy.Take"

Rule = Callable[[Node, Scope, Op], list[Label | None]]


def unknown(node: Node, scope: Scope, reason: str) -> list[Label | None]:
    """Freeze all that the node reads; its outputs are not cuttable."""
    for ref in node.inputs:
        label = scope.label(ref)
        if label is not None:
            scope.freeze(label.ids, reason)
    return [None] * scope.outputs(node)


def _view(move: Callable[[Node, np.ndarray], np.ndarray]) -> Rule:
    """Coupling rule of an op that NumPy can do as a view: only the channel axis has a stride."""

    def couple(node: Node, scope: Scope, row: Op) -> list[Label | None]:
        label = scope.label(node.inputs[0])
        if label is None:
            return [None]
        try:
            moved = move(node, _spread(label, scope.shape(node.inputs[0]), _VIEW_SIZE))
        except (TypeError, ValueError, IndexError):
            return unknown(node, scope, f"{node.layer!r} moves them in a way that is not followed")
        return [_strided_label(node, scope, moved)]

    return couple


def _spread(label: Label, shape: tuple[int | None, ...], stand_in: int) -> np.ndarray:
    """Element ids at every position of a tensor, as a view that takes no memory."""
    sizes = concrete(shape, stand_in)
    column = label.ids.reshape([-1 if axis == label.axis else 1 for axis in range(len(sizes))])
    return np.broadcast_to(column, sizes)


def _strided_label(node: Node, scope: Scope, moved: np.ndarray) -> Label | None:
    axes = [i for i in range(moved.ndim) if moved.strides[i] != 0 and moved.shape[i] > 1]
    if moved.ndim != len(scope.shape(Ref(node.name))) or moved.size == 0 or 0 in axes:
        scope.freeze(np.unique(moved), f"{node.layer!r} moves them in a way that is not followed")
        return None
    if not axes:  # a single channel is left
        scope.freeze(moved.flat[:1], f"{node.layer!r} picks a single one")
        return None
    index = tuple(slice(None) if i == axes[0] else 0 for i in range(moved.ndim))
    return Label(axes[0], np.array(moved[index]))


def _get_item_key(node: Node) -> tuple[Any, ...]:
    key = argument(node, 1, "key")
    return tuple(key) if isinstance(key, (list, tuple)) else (key,)


def _squeeze(node: Node, view: np.ndarray) -> np.ndarray:
    axis = node.attrs.get("axis")
    return np.squeeze(view, tuple(axis) if isinstance(axis, list) else axis)


def _repeat_vector(node: Node, view: np.ndarray) -> np.ndarray:
    batch, size = view.shape
    return np.broadcast_to(view[:, None, :], (batch, node.attrs["n"], size))


def _flip(node: Node, view: np.ndarray) -> np.ndarray:
    axis = node.attrs.get("axis")
    return np.flip(view, tuple(axis) if isinstance(axis, list) else axis)


def _expand(node: Node, view: np.ndarray) -> np.ndarray:
    axis = node.attrs["axis"]
    return np.expand_dims(view, tuple(axis) if isinstance(axis, list) else axis)


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


def _reshape(node: Node, scope: Scope, row: Op) -> list[Label | None]:
    label = scope.label(node.inputs[0])
    if label is None:
        return [None]
    old, new = scope.shape(node.inputs[0]), scope.shape(Ref(node.name))
    channels_first = node.attrs.get("data_format") == "channels_first"  # Flatten moves them last
    kept_axis = None if channels_first else _same_axis(old, new, label.axis)
    if kept_axis is not None:
        return [Label(kept_axis, label.ids)]
    spread = _spread(label, old, 2)
    if spread.size > _MAX_POSITIONS:
        return unknown(node, scope, f"{node.layer!r} rearranges too many positions to follow")
    if channels_first:
        spread = np.moveaxis(spread, 1, -1)
    sizes = _known_sizes(new, spread.size)
    if sizes is None:
        return unknown(node, scope, f"{node.layer!r} rearranges axes of unknown size")
    return [_rearranged(node, scope, spread.reshape(sizes))]


def _same_axis(old: tuple[int | None, ...], new: tuple[int | None, ...], axis: int) -> int | None:
    """Where an axis is after a reshape that leaves it alone (all that follows it is as large)."""
    behind = old[axis + 1 :]
    for candidate in range(1, len(new)):
        tail = new[candidate + 1 :]
        if None in behind or None in tail or new[candidate] != old[axis]:
            continue
        if _volume(behind) == _volume(tail):
            return candidate
    return None


def _volume(sizes: tuple[int | None, ...]) -> int:
    return math.prod(size or 0 for size in sizes)


def _known_sizes(shape: tuple[int | None, ...], total: int) -> list[int] | None:
    """Sizes for a shape whose unknown ones make up the rest of `total`, if that is unique."""
    known = math.prod(size for size in shape if size is not None)
    unknown_axes = [i for i, size in enumerate(shape) if size is None]
    if len(unknown_axes) == 2:  # the batch, which stands for 2, and one more
        sizes = [2 if i == 0 else -1 if size is None else size for i, size in enumerate(shape)]
        return sizes if total % (2 * known) == 0 else None
    if len(unknown_axes) <= 1 and total % known == 0:
        return [-1 if size is None else size for size in shape]
    return None


def _rearranged(node: Node, scope: Scope, ids: np.ndarray) -> Label | None:
    """Label of a tensor whose every position is known.

    Channels that now lie on several axes are coupled so that only the last one can be cut: what
    is kept must be a block again.
    """
    varying = [
        axis
        for axis in range(ids.ndim)
        if ids.shape[axis] > 1 and (ids != ids.take([0], axis=axis)).any()
    ]
    if not varying or 0 in varying:
        scope.freeze(np.unique(ids), f"{node.layer!r} mixes them with the batch axis")
        return None
    block = ids[tuple(slice(None) if axis in varying else 0 for axis in range(ids.ndim))]
    rows = block.reshape(-1, block.shape[-1])
    scope.unite(
        rows[1:],
        np.broadcast_to(rows[:1], rows[1:].shape),
        f"{node.layer!r} couples them to a fixed channel",
    )
    return Label(varying[-1], np.array(rows[0]))


def _resize_reshape(attribute: str, first: int) -> Callable[[Node, Cut], tuple[Node, ...]]:
    """Resizing rule of Reshape (`target_shape`, no batch axis) and of the operation."""

    def resize(node: Node, cut: Cut) -> tuple[Node, ...]:
        kept = cut.kept(Ref(node.name))
        target = node.attrs[attribute]
        target = [target] if isinstance(target, int) else list(target)
        if kept is None or target[kept[0] - first] in (-1, None):
            return (node,)
        target[kept[0] - first] = int(kept[1].sum())
        return (node.with_attrs(**{attribute: tuple(target)}),)

    return resize


def _concatenate(node: Node, scope: Scope, row: Op) -> list[Label | None]:
    labels = [scope.label(ref) for ref in node.inputs]
    axis = node.attrs["axis"] % len(scope.shape(Ref(node.name)))
    axes = {label.axis for label in labels if label is not None}
    if not axes:
        return [None]
    if axes == {axis}:
        parts = [
            np.full(scope.shape(ref)[axis] or 0, FIXED) if label is None else label.ids
            for ref, label in zip(node.inputs, labels, strict=True)
        ]
        return [Label(axis, np.concatenate(parts))]
    if axis in axes or len(axes) > 1:
        return unknown(node, scope, f"{node.layer!r} joins channels on different axes")
    return [_side_by_side(node, scope, labels, axes.pop())]


def _side_by_side(node: Node, scope: Scope, labels: list[Label | None], axis: int) -> Label | None:
    """Tensors joined along another axis than their channels': the channels couple one to one."""
    found = [label.ids for label in labels if label is not None]
    for ids in found[1:]:
        scope.unite(found[0], ids, f"{node.layer!r} joins it with a fixed channel")
    if len(found) < len(labels):
        scope.freeze(found[0], f"{node.layer!r} joins them with channels that are not cut")
    if len(found) > 1:
        scope.merge(found)
    return Label(axis, found[0])


def _stack(node: Node, scope: Scope, row: Op) -> list[Label | None]:
    labels = [scope.label(ref) for ref in node.inputs]
    axes = {label.axis for label in labels if label is not None}
    if len(axes) != 1:
        return unknown(node, scope, f"{node.layer!r} joins channels on different axes")
    axis = axes.pop()
    added = node.attrs["axis"] % len(scope.shape(Ref(node.name)))
    return [_side_by_side(node, scope, labels, axis + 1 if added <= axis else axis)]


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


def _pad(node: Node, scope: Scope, row: Op) -> list[Label | None]:
    label = scope.label(node.inputs[0])
    if label is None:
        return [None]
    before, after = _padding(node, len(scope.shape(node.inputs[0])))[label.axis]
    if before == after == 0:
        return [label]
    if node.attrs["mode"] != "constant":
        return unknown(node, scope, f"{node.layer!r} repeats some of them as padding")
    parts = [scope.invent(before), label.ids, scope.invent(after)]
    return [Label(label.axis, np.concatenate(parts))]


def _padding(node: Node, rank: int) -> list[tuple[int, int]]:
    widths = [tuple(width) for width in node.attrs["pad_width"]]
    widths = [width * 2 if len(width) == 1 else width for width in widths]
    return widths * rank if len(widths) == 1 else widths


def _resize_pad(node: Node, cut: Cut) -> tuple[Node, ...]:
    kept = cut.kept(Ref(node.name))
    if kept is None:
        return (node,)
    axis, mask = kept
    widths = _padding(node, len(cut.shape(Ref(node.name))))
    before, after = widths[axis]
    widths[axis] = (int(mask[:before].sum()), int(mask[mask.size - after :].sum()))
    return (node.with_attrs(pad_width=tuple(widths)),)


def _reduce(node: Node, scope: Scope, row: Op) -> list[Label | None]:
    label = scope.label(node.inputs[0])
    if label is None:
        return [None]
    rank = len(scope.shape(node.inputs[0]))
    axes = node.attrs.get("axis")
    axes = range(rank) if axes is None else [axes] if isinstance(axes, int) else axes
    reduced = {axis % rank for axis in axes}
    if label.axis in reduced:
        scope.freeze(label.ids, f"{node.layer!r} combines all of them into one")
        return [None]
    if node.attrs.get("keepdims"):
        return [label]
    return [Label(label.axis - sum(1 for axis in reduced if axis < label.axis), label.ids)]


_PERMUTE = "moves axes: channels keep their identity"
_REDUCE = Op(couple=_reduce, note="channels pass; if it reduces over them they are not cut")
_SPLIT = Op(couple=_split, note="each output has its share of the channels", resize=_resize_split)
_CONCATENATE = Op(
    couple=_concatenate,
    note="channels stand side by side; along another axis they couple one to one",
)
_RESHAPE_NOTE = "channels keep their identity; split over two axes, only the last is cut"


def _moves(move: Callable[[Node, np.ndarray], np.ndarray]) -> Op:
    return Op(couple=_view(move), note=_PERMUTE)


_NUMPY = "keras.src.ops.numpy"
ROWS: dict[str, Op] = {
    f"{_NUMPY}.GetItem": Op(
        couple=_view(lambda node, view: view[_get_item_key(node)]),
        note="channels that the slice picks keep their identity",
        resize=_resize_get_item,
    ),
    _TAKE: Op(couple=_take, note="channels that it picks keep their identity", resize=_resize_take),
    "keras.layers.Permute": _moves(lambda node, view: view.transpose(0, *node.attrs["dims"])),
    f"{_NUMPY}.Transpose": _moves(lambda node, view: view.transpose(node.attrs["axes"])),
    f"{_NUMPY}.Swapaxes": _moves(
        lambda node, view: view.swapaxes(node.attrs["axis1"], node.attrs["axis2"])
    ),
    f"{_NUMPY}.Moveaxis": _moves(
        lambda node, view: np.moveaxis(view, node.attrs["source"], node.attrs["destination"])
    ),
    f"{_NUMPY}.ExpandDims": _moves(_expand),
    f"{_NUMPY}.Squeeze": _moves(_squeeze),
    f"{_NUMPY}.Flip": _moves(_flip),
    "keras.layers.RepeatVector": _moves(_repeat_vector),
    "keras.layers.Flatten": Op(couple=_reshape, note=_RESHAPE_NOTE),
    "keras.layers.Reshape": Op(
        couple=_reshape, note=_RESHAPE_NOTE, resize=_resize_reshape("target_shape", 1)
    ),
    f"{_NUMPY}.Reshape": Op(
        couple=_reshape, note=_RESHAPE_NOTE, resize=_resize_reshape("newshape", 0)
    ),
    "keras.layers.Concatenate": _CONCATENATE,
    f"{_NUMPY}.Concatenate": _CONCATENATE,
    f"{_NUMPY}.Stack": Op(couple=_stack, note="channels couple one to one"),
    f"{_NUMPY}.Split": _SPLIT,
    f"{_NUMPY}.ArraySplit": _SPLIT,
    f"{_NUMPY}.Pad": Op(
        couple=_pad, note="padding channels come and go with what they meet", resize=_resize_pad
    ),
}
for _name in ["Amax", "Amin", "Max", "Mean", "Min", "Prod", "Std", "Sum", "Var"]:
    ROWS[f"{_NUMPY}.{_name}"] = _REDUCE
