"""Ops over positions of maps: pooling, padding, cropping, resizing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from utils.graph.ir import Node, Ref
from utils.graph.row import argument, channel_axis
from utils.reconstructors.ops_weighted import per_axis, window_pads
from utils.reconstructors.rebuilding import Rebuilding, RefusedError
from utils.reconstructors.target import Window
from utils.reconstructors.values import Value, channels_first

_Function = Callable[[Rebuilding, Node], None]
_RESIZED = ("nearest", "bilinear")


def _map(rebuilding: Rebuilding, node: Node) -> Value:
    """Give the input with its channels behind the batch, the other axes in the order of Keras."""
    source = node.inputs[0]
    rank = len(rebuilding.graph.shape(source))
    value = rebuilding.ordered(source, channels_first(rank, channel_axis(node.attrs, rank)))
    if value.dtype == "float32":
        return value
    handle = rebuilding.target.cast(value.handle, "float32")
    return Value(handle=handle, shape=value.shape, dtype="float32", order=value.order)


def _pool(name: str) -> _Function:
    def function(rebuilding: Rebuilding, node: Node) -> None:
        value = _map(rebuilding, node)
        sizes = list(value.stored_shape[2:])
        size = per_axis(node.attrs["pool_size"], len(sizes))
        strides = per_axis(node.attrs.get("strides") or size, len(sizes))
        ones = (1,) * len(sizes)
        pads = window_pads(sizes, size, strides, ones, node.attrs.get("padding", "valid"))
        window = Window(size=size, strides=strides, dilation=ones, pads=pads)
        found = rebuilding.target.pool(name, value.handle, window, sizes)
        rebuilding.put(Ref(node.name), found, value.order)

    return function


def _global_pool(name: str) -> _Function:
    def function(rebuilding: Rebuilding, node: Node) -> None:
        value = rebuilding.floating(node.inputs[0])
        channel = channel_axis(node.attrs, value.rank)
        places = sorted(value.place(axis) for axis in range(1, value.rank) if axis != channel)
        keepdims = bool(node.attrs.get("keepdims"))
        found = rebuilding.target.reduce(name, value.handle, places, keepdims)
        rebuilding.put(Ref(node.name), found, value.order if keepdims else None)

    return function


def bins(size: int, count: int) -> list[tuple[int, int]]:
    """Share positions out among bins, as adaptive pooling does: bins may overlap by one.

    Example:
        >>> bins(7, 3)
        [(0, 3), (2, 5), (4, 7)]
    """
    return [(i * size // count, -(-(i + 1) * size // count)) for i in range(count)]


def _adaptive(name: str) -> _Function:
    """Pool with a fixed window where bins are alike, else bin by bin, one axis after the other."""

    def function(rebuilding: Rebuilding, node: Node) -> None:
        value = _map(rebuilding, node)
        sizes = value.stored_shape[2:]
        counts = per_axis(node.attrs["output_size"], len(sizes))
        target, found = rebuilding.target, value.handle
        whole = [size for size in sizes if size is not None]
        if len(whole) < len(sizes):
            raise RefusedError("its input has an open size")
        if all(size % count == 0 for size, count in zip(whole, counts, strict=True)):
            size = tuple(each // count for each, count in zip(whole, counts, strict=True))
            ones = (1,) * len(whole)
            pads = [(0, 0)] * len(whole)
            window = Window(size=size, strides=size, dilation=ones, pads=pads)
            found = target.pool(name, found, window, whole)
        else:
            for place, (length, count) in enumerate(zip(whole, counts, strict=True), 2):
                parts = [
                    target.reduce(name, target.slice(found, {place: (low, high, 1)}), [place], True)
                    for low, high in bins(length, count)
                ]
                found = target.concat(parts, place) if count > 1 else parts[0]
        rebuilding.put(Ref(node.name), found, value.order)

    return function


def _upsampling(rebuilding: Rebuilding, node: Node) -> None:
    value = _map(rebuilding, node)
    rank = value.rank - 2
    scales = per_axis(node.attrs["size"], rank)
    mode = node.attrs.get("interpolation", "nearest")
    _check_mode(mode)
    found = rebuilding.target.resize(value.handle, [], [float(each) for each in scales], mode)
    rebuilding.put(Ref(node.name), found, value.order)


def _resizing(rebuilding: Rebuilding, node: Node) -> None:
    attrs = node.attrs
    size: Sequence[int] = attrs.get("size") or (attrs["height"], attrs["width"])
    for key in ("crop_to_aspect_ratio", "pad_to_aspect_ratio", "antialias"):
        if attrs.get(key):
            raise RefusedError(f"it is set to `{key}`")
    mode = attrs.get("interpolation", "bilinear")
    _check_mode(mode)
    value = _map(rebuilding, node)
    if value.rank != 4:
        raise RefusedError(f"it resizes a tensor of {value.rank} axes")
    if value.stored_shape[2:] == tuple(size):
        rebuilding.put(Ref(node.name), value.handle, value.order)
        return
    found = rebuilding.target.resize(value.handle, [int(each) for each in size], [], mode)
    rebuilding.put(Ref(node.name), found, value.order)


def _check_mode(mode: str) -> None:
    if mode not in _RESIZED:
        raise RefusedError(f"it interpolates by {mode!r}, which frameworks compute differently")


def _zero_padding(rebuilding: Rebuilding, node: Node) -> None:
    value = rebuilding.floating(node.inputs[0])
    value = value if value.block is None else rebuilding.plain(node.inputs[0])
    widths = _spatial_widths(node.attrs["padding"], value, node)
    found = rebuilding.target.pad(value.handle, widths, 0.0)
    rebuilding.put(Ref(node.name), found, value.order)


def _spatial_widths(setting: Any, value: Value, node: Node) -> list[tuple[int, int]]:
    """Write a layer's widths out for each stored axis."""
    channel = channel_axis(node.attrs, value.rank)
    spatial = [axis for axis in range(1, value.rank) if axis != channel]
    pairs = _pairs(setting, len(spatial))
    widths = [(0, 0)] * value.rank
    for axis, pair in zip(spatial, pairs, strict=True):
        widths[value.place(axis)] = pair
    return widths


def _pairs(setting: Any, count: int) -> list[tuple[int, int]]:
    if isinstance(setting, int):
        return [(setting, setting)] * count
    if count == 1 and all(isinstance(each, int) for each in setting):
        return [(int(setting[0]), int(setting[-1]))]
    return [
        (each, each) if isinstance(each, int) else (int(each[0]), int(each[1])) for each in setting
    ]


def _cropping(rebuilding: Rebuilding, node: Node) -> None:
    value = rebuilding.value(node.inputs[0])
    parts: dict[int, tuple[int, int | None, int]] = {}
    widths = _spatial_widths(node.attrs["cropping"], value, node)
    for place, (low, high) in enumerate(widths):
        if low or high:
            parts[place] = (low, -high if high else None, 1)
    found = rebuilding.target.slice(value.handle, parts) if parts else value.handle
    rebuilding.put(Ref(node.name), found, value.order)


def _center_crop(rebuilding: Rebuilding, node: Node) -> None:
    value = _map(rebuilding, node)
    _, *sizes = _sizes(value)
    parts = {}
    for place, wanted in ((2, node.attrs["height"]), (3, node.attrs["width"])):
        surplus = sizes[place - 2] - wanted
        if surplus < 0:
            raise RefusedError("its input is smaller than what it cuts out")
        parts[place] = (surplus // 2, surplus // 2 + wanted, 1)
    found = rebuilding.target.slice(value.handle, parts)
    rebuilding.put(Ref(node.name), found, value.order)


def _depth_to_space(rebuilding: Rebuilding, node: Node) -> None:
    """Channel `(i b + j) c + k` of a position goes to row i, column j of a block, as channel k."""
    value, block = _map(rebuilding, node), node.attrs["block_size"]
    channels, height, width = _sizes(value)
    kept, target = channels // block**2, rebuilding.target
    parts = target.reshape(value.handle, [-1, block, block, kept, height, width])
    moved = target.transpose(parts, (0, 3, 4, 1, 5, 2))
    found = target.reshape(moved, [-1, kept, height * block, width * block])
    rebuilding.put(Ref(node.name), found, value.order)


def _space_to_depth(rebuilding: Rebuilding, node: Node) -> None:
    """Do the opposite of `_depth_to_space`."""
    value, block = _map(rebuilding, node), node.attrs["block_size"]
    channels, height, width = _sizes(value)
    rows, columns, target = height // block, width // block, rebuilding.target
    parts = target.reshape(value.handle, [-1, channels, rows, block, columns, block])
    moved = target.transpose(parts, (0, 3, 5, 1, 2, 4))
    found = target.reshape(moved, [-1, channels * block**2, rows, columns])
    rebuilding.put(Ref(node.name), found, value.order)


def _sizes(value: Value) -> tuple[int, int, int]:
    """Give channels, height and width of a map.

    Raises:
        RefusedError: if one is open.
    """
    sizes = [size for size in value.stored_shape[1:] if size is not None]
    if len(sizes) != 3:
        raise RefusedError("its input is no batch of maps of a fixed size")
    return sizes[0], sizes[1], sizes[2]


def _pad(rebuilding: Rebuilding, node: Node) -> None:
    """Pad with a constant, or pick positions again, as all other modes do."""
    source = node.inputs[0]
    value = rebuilding.value(source)
    value = value if value.block is None else rebuilding.plain(source)
    widths = keras_widths(node.attrs["pad_width"], value.rank)
    stored = [widths[axis] for axis in value.order]
    mode, target = node.attrs.get("mode", "constant"), rebuilding.target
    if mode == "constant":
        fill = argument(node, 2, "constant_values")
        if isinstance(fill, Ref):
            raise RefusedError("its fill is a tensor")
        found = target.pad(value.handle, stored, float(fill or 0.0))
    else:
        found = value.handle
        for place, pair in enumerate(stored):
            if any(pair):
                indices = repeated(value.stored_shape[place], pair, mode)
                found = target.take(found, indices, place)
    rebuilding.put(Ref(node.name), found, value.order)


def keras_widths(setting: Sequence[Any], rank: int) -> list[tuple[int, int]]:
    """Write `pad_width` of `keras.ops.pad` out for each axis.

    Example:
        >>> keras_widths(((1,),), rank=2), keras_widths(((0, 0), (1, 2)), rank=2)
        ([(1, 1), (1, 1)], [(0, 0), (1, 2)])
    """
    pairs = [tuple(each) if len(each) == 2 else (each[0], each[0]) for each in setting]
    return pairs * rank if len(pairs) == 1 else pairs


def repeated(size: int | None, pair: tuple[int, int], mode: str) -> np.ndarray:
    """Say which positions of an axis padding takes again.

    Args:
        size: of the axis.
        pair: positions before and behind.
        mode: of `numpy.pad`, such as "reflect".

    Raises:
        RefusedError: for an open size or another mode.

    Example:
        >>> repeated(3, (2, 1), "reflect")
        array([2, 1, 0, 1, 2, 1])
    """
    if size is None:
        raise RefusedError(f"it pads an axis of open size by {mode!r}")
    try:
        return np.pad(np.arange(size), pair, mode=mode)  # type: ignore[call-overload]
    except ValueError as error:
        raise RefusedError(f"it pads by {mode!r}") from error


_SPATIAL: Mapping[str, Callable[[Rebuilding, Node], None]] = {
    "AveragePooling": _pool("mean"),
    "MaxPooling": _pool("max"),
    "GlobalAveragePooling": _global_pool("mean"),
    "GlobalMaxPooling": _global_pool("max"),
    "AdaptiveAveragePooling": _adaptive("mean"),
    "AdaptiveMaxPooling": _adaptive("max"),
    "UpSampling": _upsampling,
    "ZeroPadding": _zero_padding,
    "Cropping": _cropping,
}
ROWS: Mapping[str, _Function] = {
    **{
        f"keras.layers.{name}{rank}D": function
        for name, function in _SPATIAL.items()
        for rank in (1, 2, 3)
    },
    "keras.layers.Resizing": _resizing,
    "keras.src.ops.image.Resize": _resizing,
    "keras.layers.CenterCrop": _center_crop,
    "keras.src.ops.nn.AveragePool": _pool("mean"),
    "keras.src.ops.nn.MaxPool": _pool("max"),
    "keras.src.ops.numpy.Pad": _pad,
    "keras.src.ops.nn.DepthToSpace": _depth_to_space,
    "keras.src.ops.nn.SpaceToDepth": _space_to_depth,
}
