"""Rows of the op table: ops that move channels to other places without changing their values."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np

from utils.graph.ir import Node, Ref
from utils.graph.row import FIXED, Cut, IntegerForm, Label, Op, Scope, always, argument, concrete

# A view is taken of a tensor of this many positions per unknown axis: no memory, only strides.
_VIEW_SIZE = 1024
# Reshaping needs the labels of all positions, at most this many (512 MiB).
_MAX_POSITIONS = 1 << 26


Rule = Callable[[Node, Scope, Op], list[Label | None]]


def unknown(node: Node, scope: Scope, reason: str) -> list[Label | None]:
    """Freeze all that the node reads; its outputs are not cuttable."""
    for ref in node.inputs:
        label = scope.label(ref)
        if label is not None:
            scope.freeze(label.ids, reason)
    return [None] * scope.outputs(node)


def view_rule(move: Callable[[Node, np.ndarray], np.ndarray]) -> Rule:
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


_SAME = IntegerForm(output="same")
_SHARED = IntegerForm(output="shared")


def _padding_form(node: Node) -> IntegerForm | None:
    """Padding by zeros, which every range holds, moves values only."""
    value = argument(node, 2, "constant_values")
    is_zero = node.attrs.get("mode", "constant") == "constant" and not value
    return _SAME if is_zero else None


_PERMUTE = "moves axes: channels keep their identity"
_REDUCE = Op(couple=_reduce, note="channels pass; if it reduces over them they are not cut")
_CONCATENATE = Op(
    couple=_concatenate,
    note="channels stand side by side; along another axis they couple one to one",
    integers=always(_SHARED),
)
_RESHAPE_NOTE = "channels keep their identity; split over two axes, only the last is cut"


def _moves(move: Callable[[Node, np.ndarray], np.ndarray]) -> Op:
    return Op(couple=view_rule(move), note=_PERMUTE, integers=always(_SAME), moves=move)


def reshaped(node: Node, values: np.ndarray) -> np.ndarray:
    """Do what a Reshape or Flatten does."""
    if node.attrs.get("data_format") == "channels_first":  # Flatten moves them last
        values = np.moveaxis(values, 1, -1)
    return values.reshape(len(values), *(size or -1 for size in node.output_shapes[0][1:]))


_NUMPY = "keras.src.ops.numpy"
ROWS: dict[str, Op] = {
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
    "keras.layers.Flatten": Op(
        couple=_reshape, note=_RESHAPE_NOTE, integers=always(_SAME), moves=reshaped
    ),
    "keras.layers.Reshape": Op(
        couple=_reshape,
        note=_RESHAPE_NOTE,
        resize=_resize_reshape("target_shape", 1),
        integers=always(_SAME),
        moves=reshaped,
    ),
    f"{_NUMPY}.Reshape": Op(
        couple=_reshape,
        note=_RESHAPE_NOTE,
        resize=_resize_reshape("newshape", 0),
        integers=always(_SAME),
        moves=reshaped,
    ),
    "keras.layers.Concatenate": _CONCATENATE,
    f"{_NUMPY}.Concatenate": _CONCATENATE,
    f"{_NUMPY}.Stack": Op(
        couple=_stack, note="channels couple one to one", integers=always(_SHARED)
    ),
    f"{_NUMPY}.Pad": Op(
        couple=_pad,
        note="padding channels come and go with what they meet",
        resize=_resize_pad,
        integers=_padding_form,
    ),
}
for _name in "All Amax Amin Any Max Mean Min Prod Std Sum Var".split():
    ROWS[f"{_NUMPY}.{_name}"] = _REDUCE
for _name, _form in (("Mean", IntegerForm()), ("Max", _SAME), ("Amax", _SAME)):
    ROWS[f"{_NUMPY}.{_name}"] = dataclasses.replace(_REDUCE, integers=always(_form))
