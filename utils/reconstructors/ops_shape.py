"""Ops that move, pick and join values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from utils.graph.ir import Node, Ref
from utils.graph.row import argument
from utils.reconstructors.ops_pointwise import common_order
from utils.reconstructors.rebuilding import (
    FIRST_RANKS,
    Rebuilding,
    RefusedError,
    float_or,
    open_sizes,
)
from utils.reconstructors.values import Value, channels_first, plain

_Function = Callable[[Rebuilding, Node], None]


def unblocked(rebuilding: Rebuilding, ref: Ref) -> Value:
    """Give a tensor as it is stored, but for a flattened map."""
    value = rebuilding.value(ref)
    return value if value.block is None else rebuilding.plain(ref)


def _output_shape(rebuilding: Rebuilding, node: Node) -> tuple[int | None, ...]:
    return rebuilding.graph.shape(Ref(node.name))


# -- axes that move: nothing happens to the stored tensor ---------------------------------------


def _permuted(find: Callable[[Node, int], Sequence[int]]) -> _Function:
    """Rename axes: axis j of the output is axis `perm[j]` of the input."""

    def function(rebuilding: Rebuilding, node: Node) -> None:
        value = unblocked(rebuilding, node.inputs[0])
        perm = [axis % value.rank for axis in find(node, value.rank)]
        order = tuple(perm.index(axis) for axis in value.order)
        rebuilding.put(Ref(node.name), value.handle, order)

    return function


def _swapped(node: Node, rank: int) -> list[int]:
    axes = list(range(rank))
    first, second = node.attrs["axis1"] % rank, node.attrs["axis2"] % rank
    axes[first], axes[second] = axes[second], axes[first]
    return axes


def _moved(node: Node, rank: int) -> list[int]:
    shape = np.broadcast_to(np.empty(()), range(2, rank + 2))
    moved = np.moveaxis(shape, node.attrs["source"], node.attrs["destination"])
    return [size - 2 for size in moved.shape]


def _transposed_axes(node: Node, rank: int) -> Sequence[int]:
    axes = node.attrs.get("axes")
    return list(range(rank))[::-1] if axes is None else axes


def _expanded(rebuilding: Rebuilding, node: Node) -> None:
    value = unblocked(rebuilding, node.inputs[0])
    axis = node.attrs["axis"]
    rank = len(_output_shape(rebuilding, node))
    added = sorted(each % rank for each in (axis if isinstance(axis, (list, tuple)) else [axis]))
    old = [each for each in range(rank) if each not in added]
    order = [old[each] for each in value.order]
    places = added if value.is_plain else list(range(value.rank, rank))
    for place, each in zip(places, added, strict=True):
        order.insert(place, each)
    rebuilding.put(Ref(node.name), rebuilding.target.unsqueeze(value.handle, places), tuple(order))


def _squeezed(rebuilding: Rebuilding, node: Node) -> None:
    value = unblocked(rebuilding, node.inputs[0])
    axis = node.attrs.get("axis")
    if axis is None:
        gone = [each for each, size in enumerate(value.shape) if size == 1]
    else:
        gone = [each % value.rank for each in (axis if isinstance(axis, (list, tuple)) else [axis])]
    _without(rebuilding, node, value, value.handle, gone)


def _without(
    rebuilding: Rebuilding, node: Node, value: Value, handle: Any, gone: Sequence[int]
) -> None:
    """Drop axes of size 1 and give what is left as the node's output."""
    rest = [axis for axis in range(value.rank) if axis not in gone]
    if gone:
        places = sorted(value.place(axis) for axis in gone)
        handle = rebuilding.target.squeeze(handle, places)
    order = tuple(rest.index(axis) for axis in value.order if axis not in gone)
    rebuilding.put(Ref(node.name), handle, order)


def _reshape(rebuilding: Rebuilding, node: Node) -> None:
    """Reshape in the order of Keras; a vector that becomes a map of 1x1 goes to where maps are."""
    new = _output_shape(rebuilding, node)
    value = rebuilding.plain(node.inputs[0])
    order = plain(len(new))
    if len(new) in FIRST_RANKS and all(size == 1 for size in new[1:-1]):
        order = channels_first(len(new))
    sizes = open_sizes(tuple(new[axis] for axis in order))
    if sizes[0] is None and (value.shape[:1] != new[:1]):
        raise RefusedError("it changes the batch and another open size")
    rebuilding.put(Ref(node.name), rebuilding.target.reshape(value.handle, sizes), order)


def _flatten(rebuilding: Rebuilding, node: Node) -> None:
    """Flatten a map as it is stored, and remember how: a Dense layer moves its rows instead."""
    source = node.inputs[0]
    value = unblocked(rebuilding, source)
    if node.attrs.get("data_format") == "channels_first" and value.rank > 2:
        order = (0, *range(2, value.rank), 1)  # the layer moves the channels last
        value = rebuilding.ordered(source, order)
        rebuilding.put(Ref(node.name), _flat(rebuilding, node, value.handle))
        return
    sizes = [size for size in value.shape[1:] if size is not None]
    first_stays = value.order[0] == 0 and len(sizes) == value.rank - 1
    if value.is_plain or not first_stays:
        found = rebuilding.plain(source).handle
        rebuilding.put(Ref(node.name), _flat(rebuilding, node, found))
        return
    block = (tuple(axis - 1 for axis in value.order[1:]), tuple(sizes))
    wide = [axis for axis in block[0] if sizes[axis] > 1]
    rebuilding.put(
        Ref(node.name),
        _flat(rebuilding, node, value.handle),
        block=None if wide == sorted(wide) else block,
    )


def _flat(rebuilding: Rebuilding, node: Node, x: Any) -> Any:
    size = _output_shape(rebuilding, node)[1]
    return rebuilding.target.reshape(x, [None, -1] if size is None else [-1, size])


def _repeat_vector(rebuilding: Rebuilding, node: Node) -> None:
    value = rebuilding.plain(node.inputs[0])
    row = rebuilding.target.unsqueeze(value.handle, [1])
    rebuilding.put(Ref(node.name), rebuilding.target.tile(row, [1, node.attrs["n"], 1]))


def _flip(rebuilding: Rebuilding, node: Node) -> None:
    value = unblocked(rebuilding, node.inputs[0])
    axis = node.attrs.get("axis")
    axes = (
        range(value.rank) if axis is None else axis if isinstance(axis, (list, tuple)) else [axis]
    )
    places = sorted(value.place(each) for each in axes)
    rebuilding.put_like(node, value, rebuilding.target.flip(value.handle, places))


# -- joining ------------------------------------------------------------------------------------


def _typed(rebuilding: Rebuilding, node: Node, value: Value) -> Any:
    dtype = float_or(node.output_dtypes[0])
    return value.handle if value.dtype == dtype else rebuilding.target.cast(value.handle, dtype)


def _concatenate(rebuilding: Rebuilding, node: Node) -> None:
    rank = len(_output_shape(rebuilding, node))
    order = common_order(rebuilding, node.inputs, rank)
    parts = [_typed(rebuilding, node, rebuilding.ordered(ref, order)) for ref in node.inputs]
    place = order.index(node.attrs.get("axis", -1) % rank)
    rebuilding.put(Ref(node.name), rebuilding.target.concat(parts, place), order)


def _stack(rebuilding: Rebuilding, node: Node) -> None:
    rank = len(_output_shape(rebuilding, node))
    axis = node.attrs.get("axis", 0) % rank
    target = rebuilding.target
    parts = [
        target.unsqueeze(_typed(rebuilding, node, rebuilding.plain(ref)), [axis])
        for ref in node.inputs
    ]
    rebuilding.put(Ref(node.name), target.concat(parts, axis))


# -- picking ------------------------------------------------------------------------------------


def _get_item(rebuilding: Rebuilding, node: Node) -> None:
    key = argument(node, 1, "key")
    key = list(key) if isinstance(key, (list, tuple)) else [key]
    if any(isinstance(entry, Ref) for entry in key):
        raise RefusedError("its index is a tensor")
    value = unblocked(rebuilding, node.inputs[0])
    entries = _spelled_out(key, value.rank)
    x, gone = _sliced(rebuilding, value, [entry for entry in entries if entry is not None])
    if None not in entries:
        _without(rebuilding, node, value, x, gone)
        return
    picked = Value(handle=x, shape=_picked_shape(value, entries), dtype=value.dtype,
                   order=value.order)  # fmt: skip
    x = rebuilding.moved(picked, plain(value.rank)).handle
    if gone:
        x = rebuilding.target.squeeze(x, sorted(gone))
    added = [
        place
        for place, entry in enumerate(each for each in entries if not _is_index(each))
        if entry is None
    ]
    rebuilding.put(Ref(node.name), rebuilding.target.unsqueeze(x, added))


def _is_index(entry: Any) -> bool:
    return isinstance(entry, (int, np.integer))


def _picked_shape(value: Value, entries: Sequence[Any]) -> tuple[int | None, ...]:
    """Sizes behind the slices; an index leaves 1."""
    found: list[int | None] = []
    for size, entry in zip(
        value.shape, [each for each in entries if each is not None], strict=True
    ):
        if _is_index(entry):
            found.append(1)
        else:
            found.append(None if size is None else len(range(size)[entry]))
    return tuple(found)


def _spelled_out(key: Sequence[Any], rank: int) -> list[Any]:
    """Write an index expression out: an int, slice or None each, with a slice for every axis left.

    Raises:
        RefusedError: if it holds arrays or the like.
    """
    consumed = sum(1 for entry in key if entry is not None and entry is not Ellipsis)
    filling = [slice(None)] * (rank - consumed)
    found: list[Any] = []
    for entry in key if Ellipsis in key else [*key, Ellipsis]:
        if entry is Ellipsis:
            found += filling
            filling = []
        elif entry is None or isinstance(entry, slice) or _is_index(entry):
            found.append(entry)
        else:
            raise RefusedError(f"its index holds {type(entry).__name__}")
    return found


def _sliced(rebuilding: Rebuilding, value: Value, entries: Sequence[Any]) -> tuple[Any, list[int]]:
    """Apply one entry per axis; give the tensor, and the axes of size 1 that indices leave."""
    x, gone = value.handle, []
    parts: dict[int, tuple[int, int | None, int]] = {}
    for axis, entry in enumerate(entries):
        place, size = value.place(axis), value.shape[axis]
        if _is_index(entry):
            gone.append(axis)
            parts[place] = (int(entry), None if entry == -1 else int(entry) + 1, 1)
        elif (entry.step or 1) < 0:
            x = _backwards(rebuilding, x, entry, size, place)
        elif entry != slice(None):
            parts[place] = (entry.start or 0, entry.stop, entry.step or 1)
    return (rebuilding.target.slice(x, parts) if parts else x), gone


def _backwards(rebuilding: Rebuilding, x: Any, entry: slice, size: int | None, place: int) -> Any:
    if entry == slice(None, None, -1):
        return rebuilding.target.flip(x, [place])
    if size is None:
        raise RefusedError("it slices an axis of open size backwards")
    return rebuilding.target.take(x, np.arange(size)[entry], place)


def _take(rebuilding: Rebuilding, node: Node) -> None:
    indices, axis = argument(node, 1, "indices"), node.attrs.get("axis")
    target = rebuilding.target
    if len(node.inputs) > 1 or axis is None or isinstance(indices, Ref):
        raise RefusedError("its indices are a tensor, or it has no `axis`")
    value = unblocked(rebuilding, node.inputs[0])
    picked = np.asarray(indices)
    size = value.shape[axis % value.rank]
    if picked.ndim > 1 or (size is None and (picked < 0).any()):
        raise RefusedError("its indices have several axes, or count back from an open size")
    picked = np.where(picked < 0, picked + (size or 0), picked)
    found = target.take(value.handle, np.atleast_1d(picked).astype(np.int64), value.place(axis))
    _without(rebuilding, node, value, found, [] if picked.ndim else [axis % value.rank])


def _split(rebuilding: Rebuilding, node: Node) -> None:
    value = unblocked(rebuilding, node.inputs[0])
    axis = node.attrs.get("axis", 0) % value.rank
    size = value.shape[axis]
    if size is None:
        raise RefusedError("it splits an axis of open size")
    sections = node.attrs["indices_or_sections"]
    ends = sections if isinstance(sections, int) else [int(each) for each in sections]
    for number, part in enumerate(np.array_split(np.arange(size), ends)):
        low = int(part[0]) if part.size else 0
        cut = {value.place(axis): (low, low + int(part.size), 1)}
        found = rebuilding.target.slice(value.handle, cut)
        rebuilding.put(Ref(node.name, number), found, value.order)


def _tile(rebuilding: Rebuilding, node: Node) -> None:
    value = unblocked(rebuilding, node.inputs[0])
    repeats = node.attrs["repeats"]
    repeats = [repeats] if isinstance(repeats, int) else list(repeats)
    if len(repeats) > value.rank:
        raise RefusedError("it adds axes")
    repeats = [1] * (value.rank - len(repeats)) + [int(each) for each in repeats]
    found = rebuilding.target.tile(value.handle, [repeats[axis] for axis in value.order])
    rebuilding.put(Ref(node.name), found, value.order)


_NUMPY = "keras.src.ops.numpy"
ROWS: Mapping[str, _Function] = {
    "keras.layers.Permute": _permuted(lambda node, rank: [0, *node.attrs["dims"]]),
    f"{_NUMPY}.Transpose": _permuted(_transposed_axes),
    f"{_NUMPY}.Swapaxes": _permuted(_swapped),
    f"{_NUMPY}.Moveaxis": _permuted(_moved),
    f"{_NUMPY}.ExpandDims": _expanded,
    f"{_NUMPY}.Squeeze": _squeezed,
    "keras.layers.Reshape": _reshape,
    f"{_NUMPY}.Reshape": _reshape,
    "keras.layers.Flatten": _flatten,
    "keras.layers.RepeatVector": _repeat_vector,
    f"{_NUMPY}.Flip": _flip,
    "keras.layers.Concatenate": _concatenate,
    f"{_NUMPY}.Concatenate": _concatenate,
    f"{_NUMPY}.Stack": _stack,
    f"{_NUMPY}.GetItem": _get_item,
    f"{_NUMPY}.Take": _take,
    f"{_NUMPY}.Split": _split,
    f"{_NUMPY}.ArraySplit": _split,
    f"{_NUMPY}.Tile": _tile,
}
