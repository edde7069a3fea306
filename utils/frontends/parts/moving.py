"""Operators that move, pick, join, repeat or pad elements, and reductions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from utils.frontends import layout as axes
from utils.frontends.building import OPEN_SIZES, Building
from utils.frontends.parts.convolution import pad_positions
from utils.frontends.parts.pointwise import once_per_batch, without_stand_ins
from utils.frontends.source import NotConvertible, SourceNode
from utils.frontends.values import Value

_FAR = 1 << 31  # ends beyond it mean "to the end"


def slices(
    build: Building, node: SourceNode, value: Value, keys: dict[int, slice], suffix: str = ""
) -> Value:
    """Slice source axes as NumPy does.

    Raises:
        NotConvertible: if an axis of a size that is open is cut at a distance from its other end.
    """
    keys = {axis: _plain(key) for axis, key in keys.items() if not _is_whole(value, axis, key)}
    if not keys:
        return value
    tensor, order = build.in_order(node, value)
    sizes = {axis: len(range(*key.indices(value.shape[axis]))) for axis, key in keys.items()}
    if min(sizes.values()) < 1:
        raise NotConvertible("its slice is empty")
    picked = tuple(keys.get(axis, slice(None)) for axis in order)
    if _is_subsampling(picked) and tensor.dtype == "float32":
        # One pixel of a window, as a strided slice, but with fast kernels: 10 times in training.
        strides = tuple(key.step or 1 for key in picked[1:3])
        tensor = build.layer(
            node, keras.layers.MaxPooling2D, tensor, pool_size=1, strides=strides, suffix=suffix
        )
    else:
        tensor = build.op(node, lambda: tensor[picked], suffix=suffix)
    return build.result(tensor, order, sizes=sizes, like=value.axes).replace(
        nonnegative=value.nonnegative
    )


def _is_subsampling(picked: Sequence[slice]) -> bool:
    """Whether every n-th row and column of images is taken, and nothing else."""
    steps = [key.step or 1 for key in picked]
    whole = all(key.start in (None, 0) and key.stop is None for key in picked)
    return whole and len(steps) == 4 and steps[0] == steps[3] == 1 and min(steps[1:3]) > 0


def _plain(key: slice) -> slice:
    """Leave ends out that mean "to the end": no file can hold numbers so large."""
    far = [end if end is None or abs(end) < _FAR else None for end in (key.start, key.stop)]
    return slice(*far, key.step)


def _is_whole(value: Value, axis: int, key: slice) -> bool:
    size = value.shape[axis]
    is_whole = range(*key.indices(size)) == range(size)
    if axes.is_free(value.axes.source[axis]):
        begins = (key.start or 0) == 0 and (key.step or 1) == 1
        return begins and (key.stop is None or key.stop >= _FAR)
    return is_whole


def take(build: Building, node: SourceNode, value: Value, indices: np.ndarray, axis: int) -> Value:
    """Pick constant indices along a source axis, as `numpy.take` does."""
    axis %= value.rank
    size = value.shape[axis]
    is_open = axes.is_free(value.axes.source[axis])
    if indices.ndim > 1:
        flat = take(build, node, value, indices.reshape(-1), axis)
        shape = (*value.shape[:axis], *indices.shape, *value.shape[axis + 1 :])
        return build.reshape(node, flat, shape)
    if not is_open:
        if indices.size and (indices.min() < -size or indices.max() >= size):
            raise NotConvertible(f"its indices go beyond an axis of {size}")
        indices = indices % size
    elif indices.ndim:
        raise NotConvertible(f"picks from an axis of a size that is open. {OPEN_SIZES}")
    if indices.ndim == 0:
        return _take_one(build, node, value, int(indices), axis)
    steps = np.diff(indices)
    if len(steps) and np.all(steps == steps[0]) and steps[0] > 0:
        key = slice(int(indices[0]), int(indices[-1]) + 1, int(steps[0]))
        return slices(build, node, value, {axis: key})
    if np.array_equal(indices, np.arange(size)):
        return value
    tensor, order = build.in_order(node, value)
    tensor = build.op(
        node, keras.ops.take, tensor, indices.astype(np.int32), axis=order.index(axis)
    )
    return build.result(tensor, order, like=value.axes).replace(nonnegative=value.nonnegative)


def _take_one(build: Building, node: SourceNode, value: Value, index: int, axis: int) -> Value:
    if value.axes.source[axis]:
        stop = index + 1 if index != -1 else None
        value = slices(build, node, value, {axis: slice(index, stop)})
    return squeeze(value, [axis])


def squeeze(value: Value, over: Sequence[int] | None) -> Value:
    """Leave source axes of size 1 out; nothing moves."""
    source = value.axes.source
    if over is None:
        over = [axis for axis, atoms in enumerate(source) if not atoms]
    gone = {axis % value.rank for axis in over}
    bad = [axis for axis in gone if axes.axis_size(source[axis]) != 1]
    if bad:
        raise NotConvertible(f"squeezes an axis of {axes.axis_size(source[bad[0]])} elements")
    if any(source[axis] for axis in gone):
        raise NotConvertible("squeezes the batch axis")
    kept = [atoms for axis, atoms in enumerate(source) if axis not in gone]
    return value.replace(layout=axes.with_source(value.axes, kept))


def unsqueeze(value: Value, over: Sequence[int]) -> Value:
    """Put source axes of size 1 in; nothing moves."""
    rank = value.rank + len(over)
    added = {axis % rank for axis in over}
    present = iter(value.axes.source)
    source = [() if axis in added else next(present) for axis in range(rank)]
    return value.replace(layout=axes.with_source(value.axes, source))


def concatenate(build: Building, node: SourceNode, values: Sequence[Value], axis: int) -> Value:
    """Join along a source axis."""
    values = [value for value in values if value.array is None or value.array.size]
    if len(values) == 1:
        return values[0]
    rank = values[0].rank
    axis %= rank
    computed = [value for value in values if value.array is None]
    reference = max(computed, key=lambda value: np.prod(value.shape, dtype=float))
    order = axes.natural_order(reference.axes)
    parts: list[Any] = [
        None
        if value.array is not None
        else build.in_order(node, value, order, suffix=f"{place}")[0]
        for place, value in enumerate(values)
    ]
    anchor = next(part for part in parts if part is not None)
    for place, value in enumerate(values):
        if value.array is not None:
            parts[place] = _beside(build, node, value, anchor, reference, axis, f"constant_{place}")
    tensor = build.layer(node, keras.layers.Concatenate, *parts, axis=order.index(axis))
    sizes = {axis: sum(value.shape[axis] for value in values)}
    made = build.result(tensor, order, sizes=sizes, like=reference.axes)
    return made.replace(nonnegative=all(value.nonnegative for value in computed))


def _beside(
    build: Building,
    node: SourceNode,
    value: Value,
    anchor: Any,
    reference: Value,
    axis: int,
    suffix: str,
) -> Any:
    """A constant repeated along the batch of the tensor that it is joined with."""
    order = axes.natural_order(reference.axes)
    array = once_per_batch(without_stand_ins(value), reference.axes)
    sizes = [
        1 if axes.is_free(atoms) and i != axis else size
        for i, (atoms, size) in enumerate(zip(reference.axes.source, value.shape, strict=True))
    ]
    array = np.transpose(np.broadcast_to(array, sizes), order)
    place = order.index(axis)
    batch = anchor[tuple(slice(0, 1) if i == place else slice(None) for i in range(len(order)))]
    zeros = build.op(node, keras.ops.zeros_like, batch, suffix=f"{suffix}_zeros")
    array = np.ascontiguousarray(array).astype(anchor.dtype)
    return build.op(node, keras.ops.add, zeros, array, suffix=suffix)


def split(
    build: Building, node: SourceNode, value: Value, sizes: Sequence[int], axis: int
) -> list[Value]:
    """Cut along a source axis into parts of given sizes."""
    axis %= value.rank
    if sum(sizes) != value.shape[axis] or min(sizes) < 1:
        raise NotConvertible(f"its parts {tuple(sizes)} do not fit {value.shape[axis]} elements")
    if len(sizes) == 1:
        return [value]
    tensor, order = build.in_order(node, value)
    ends = [int(end) for end in np.cumsum(sizes)[:-1]]
    parts = build.op(node, keras.ops.split, tensor, ends, axis=order.index(axis))
    return [
        build.result(part, order, like=value.axes).replace(nonnegative=value.nonnegative)
        for part in parts
    ]


def pad(
    build: Building,
    node: SourceNode,
    value: Value,
    widths: dict[int, tuple[int, int]],
    mode: str,
    fill: float = 0.0,
) -> Value:
    """Pad source axes.

    Args:
        build: the network.
        node: names the layers.
        value: any value.
        widths: elements before and after, by axis; negative ones are taken away.
        mode: `constant`, `reflect`, `edge`, `wrap` or `symmetric`.
        fill: the constant.

    Returns:
        The value.
    """
    cuts = {
        axis: slice(max(-before, 0), -max(-after, 0) or None)
        for axis, (before, after) in widths.items()
        if min(before, after) < 0
    }
    value = slices(build, node, value, cuts, suffix="cut")
    widths = {axis: (max(a, 0), max(b, 0)) for axis, (a, b) in widths.items()}
    widths = {axis: pair for axis, pair in widths.items() if any(pair)}
    if not widths:
        return value
    tensor, order = build.in_order(node, value)
    sizes = {axis: value.shape[axis] + sum(pair) for axis, pair in widths.items()}
    by_place = [widths.get(axis, (0, 0)) for axis in order]
    if mode in ("edge", "wrap"):
        tensor = _pad_by_picking(build, node, value, tensor, order, widths, mode)
    elif mode == "constant" and fill == 0 and _is_around(by_place, order):
        tensor = pad_positions(build, node, tensor, tuple(by_place[1:-1]), suffix="")
    elif mode == "constant":
        tensor = build.op(node, keras.ops.pad, tensor, by_place, constant_values=float(fill))
    elif mode in ("reflect", "symmetric"):
        tensor = build.op(node, keras.ops.pad, tensor, by_place, mode=mode)
    else:
        raise NotConvertible(f"padding of mode {mode!r} has no Keras counterpart")
    made = build.result(tensor, order, sizes=sizes, like=value.axes)
    return made.replace(nonnegative=value.nonnegative and (mode != "constant" or fill >= 0))


def _is_around(by_place: list[tuple[int, int]], order: Sequence[int]) -> bool:
    inner = 3 <= len(order) <= 5 and order[0] == 0
    return inner and not any(by_place[0]) and not any(by_place[-1])


def _pad_by_picking(
    build: Building,
    node: SourceNode,
    value: Value,
    tensor: Any,
    order: Sequence[int],
    widths: dict[int, tuple[int, int]],
    mode: str,
) -> Any:
    for axis, (before, after) in widths.items():
        if axes.is_free(value.axes.source[axis]):
            raise NotConvertible(f"pads an axis of a size that is open. {OPEN_SIZES}")
        size = value.shape[axis]
        places = np.arange(-before, size + after)
        places = places % size if mode == "wrap" else np.clip(places, 0, size - 1)
        tensor = build.op(
            node, keras.ops.take, tensor, places.astype(np.int32), axis=order.index(axis)
        )
    return tensor


def tile(build: Building, node: SourceNode, value: Value, repeats: Sequence[int]) -> Value:
    """Repeat along source axes."""
    if all(count == 1 for count in repeats):
        return value
    tensor, order = build.in_order(node, value)
    counts = [int(repeats[axis]) for axis in order]
    tensor = build.op(node, keras.ops.tile, tensor, counts)
    sizes = {axis: value.shape[axis] * int(repeats[axis]) for axis in range(value.rank)}
    return build.result(tensor, order, sizes=sizes)


def reduce(
    build: Building,
    node: SourceNode,
    value: Value,
    function: Any,
    over: Sequence[int],
    keeps: bool,
) -> Value:
    """Reduce source axes with a keras.ops function that takes `axis` and `keepdims`."""
    gone = sorted({axis % value.rank for axis in over})
    tensor, order = build.in_order(node, value)
    places = tuple(order.index(axis) for axis in gone)
    pooled = function is keras.ops.mean and gone == list(range(2, value.rank))
    if pooled and order == (0, *range(2, value.rank), 1) and 3 <= value.rank <= 5:
        layer = getattr(keras.layers, f"GlobalAveragePooling{value.rank - 2}D")
        tensor = build.layer(node, layer, tensor, keepdims=keeps)
    else:
        tensor = build.op(node, function, tensor, axis=places, keepdims=keeps)
    if keeps:
        return build.result(tensor, order, like=value.axes)
    kept = [axis for axis in order if axis not in gone]
    left = sorted(kept)
    sizes = {place: value.shape[axis] for place, axis in enumerate(left)}
    return build.result(tensor, [left.index(axis) for axis in kept], sizes=sizes)
