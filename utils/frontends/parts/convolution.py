"""Convolutions and transposed convolutions, in one to three dimensions."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np

from utils.frontends.building import Building
from utils.frontends.layout import is_free
from utils.frontends.parts.windows import Pads, Windows
from utils.frontends.source import NotConvertible, SourceNode
from utils.frontends.values import Value

_CONV = (keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D)
_DEPTHWISE = (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D)
_TRANSPOSE = (
    keras.layers.Conv1DTranspose,
    keras.layers.Conv2DTranspose,
    keras.layers.Conv3DTranspose,
)
_PADDING = (
    keras.layers.ZeroPadding1D,
    keras.layers.ZeroPadding2D,
    keras.layers.ZeroPadding3D,
)
_CROPPING = (keras.layers.Cropping1D, keras.layers.Cropping2D, keras.layers.Cropping3D)


def windows_of(value: Value, **settings: Any) -> Windows:
    """Windows over a value's spatial axes (source axes 2 and up).

    Raises:
        NotConvertible: if the value has no one, two or three of them.
    """
    if not 3 <= value.rank <= 5:
        raise NotConvertible(f"needs one to three spatial axes, its input has {value.rank - 2}")
    return Windows(
        sizes=value.shape[2:],
        is_open=tuple(is_free(axis) for axis in value.axes.source[2:]),
        **settings,
    )


def open_sizes(windows: Windows) -> dict[int, int]:
    """Output sizes by source axis, for axes whose size is open."""
    return {axis + 2: size for axis, size in enumerate(windows.outputs)}


def pad_positions(
    build: Building, node: SourceNode, tensor: Any, pads: Pads, suffix: str = "pad"
) -> Any:
    """Add zeros around the positions of a channels-last tensor; negative pads take some away."""
    crops = tuple((max(-before, 0), max(-after, 0)) for before, after in pads)
    pads = tuple((max(before, 0), max(after, 0)) for before, after in pads)
    for amounts, makers, word in ((crops, _CROPPING, "crop"), (pads, _PADDING, suffix)):
        if any(map(any, amounts)):
            rank = len(amounts)
            value = amounts[0] if rank == 1 else amounts
            settings: dict[str, Any] = {"cropping" if makers is _CROPPING else "padding": value}
            tensor = build.layer(node, makers[rank - 1], tensor, suffix=word, **settings)
    return tensor


def convolution(
    build: Building,
    node: SourceNode,
    value: Value,
    windows: Windows,
    kernel: np.ndarray,
    bias: np.ndarray | None,
    groups: int,
) -> Value:
    """Convolution with a constant kernel.

    Args:
        build: the network.
        node: names the layers.
        value: [batch, channels, positions …] in the source's order.
        windows: over the positions.
        kernel: [filters, channels / groups, window …].
        bias: [filters], or None.
        groups: number of groups of channels.

    Returns:
        [batch, filters, positions …], channels last.

    Raises:
        NotConvertible: if kernel and input do not fit.
    """
    channels, filters = value.shape[1], kernel.shape[0]
    if groups < 1 or kernel.shape[1] * groups != channels or filters % groups:
        raise NotConvertible(
            f"its kernel {kernel.shape} with {groups} groups does not fit {channels} channels"
        )
    tensor, order = build.channels_last(node, value)
    strides = windows.strides
    strided_later = max(strides) > 1 and max(windows.dilations) > 1
    if windows.is_same() and not strided_later:
        padding = "same"
    else:
        padding, tensor = "valid", pad_positions(build, node, tensor, windows.pads)
    if not any(map(any, windows.pads)):
        padding = "valid"
    settings: dict[str, Any] = {
        "kernel_size": windows.kernel,
        "strides": (1,) * len(strides) if strided_later else strides,
        "dilation_rate": windows.dilations,
        "padding": padding,
        "use_bias": bias is not None,
    }
    tensor = _convolve(build, node, tensor, kernel, bias, groups, settings)
    if strided_later:
        key = (slice(None), *(slice(None, None, stride) for stride in strides))
        tensor = build.op(node, lambda: tensor[key], suffix="stride")
    return build.result(tensor, order, sizes=open_sizes(windows))


def _convolve(
    build: Building,
    node: SourceNode,
    tensor: Any,
    kernel: np.ndarray,
    bias: np.ndarray | None,
    groups: int,
    settings: dict[str, Any],
) -> Any:
    rank = kernel.ndim - 2
    biases = [] if bias is None else [bias]
    strides = settings["strides"]
    is_depthwise = groups > 1 and kernel.shape[1] == 1 and rank <= 2
    if is_depthwise and len(set(strides)) == 1:
        multiplier = kernel.shape[0] // groups
        weight = kernel.reshape(groups, multiplier, *kernel.shape[2:])
        weight = weight.transpose(*range(2, 2 + rank), 0, 1)
        return build.layer(
            node,
            _DEPTHWISE[rank - 1],
            tensor,
            weights=[weight, *biases],
            depth_multiplier=multiplier,
            **settings,
        )
    if groups > 1 and rank == 3:
        return _in_parts(build, node, tensor, kernel, bias, groups, settings)
    return build.layer(
        node,
        _CONV[rank - 1],
        tensor,
        weights=[kernel.transpose(*range(2, 2 + rank), 1, 0), *biases],
        filters=kernel.shape[0],
        groups=groups,
        **settings,
    )


def _in_parts(
    build: Building,
    node: SourceNode,
    tensor: Any,
    kernel: np.ndarray,
    bias: np.ndarray | None,
    groups: int,
    settings: dict[str, Any],
) -> Any:
    """Convolve each group on its own: TensorFlow has no grouped convolution of volumes."""
    parts = build.op(node, keras.ops.split, tensor, groups, axis=-1, suffix="split")
    kernels = np.split(kernel, groups)
    biases = [None] * groups if bias is None else np.split(bias, groups)
    made = [
        _convolve(build, node, part, weight, offset, 1, settings)
        for part, weight, offset in zip(parts, kernels, biases, strict=True)
    ]
    return build.layer(node, keras.layers.Concatenate, *made, suffix="concat")


def transposed_convolution(
    build: Building,
    node: SourceNode,
    value: Value,
    windows: Windows,
    kernel: np.ndarray,
    bias: np.ndarray | None,
    groups: int,
    extra: tuple[int, ...],
) -> Value:
    """Transposed convolution with a constant kernel.

    Args:
        build: the network.
        node: names the layers.
        value: [batch, channels, positions …] in the source's order.
        windows: of the convolution that this one is the transpose of; `pads` are taken away.
        kernel: [channels, filters / groups, window …].
        bias: [filters], or None.
        groups: number of groups of channels.
        extra: positions added at the end of each axis (`output_padding`).

    Returns:
        [batch, filters, positions …], channels last.

    Raises:
        NotConvertible: if kernel and input do not fit.
    """
    if groups < 1 or kernel.shape[0] != value.shape[1] or kernel.shape[0] % groups:
        raise NotConvertible(
            f"its kernel {kernel.shape} with {groups} groups does not fit {value.shape[1]} channels"
        )
    sizes = tuple(
        (size - 1) * stride + reach - before - after + more
        for size, stride, reach, (before, after), more in zip(
            windows.sizes, windows.strides, windows.reach, windows.pads, extra, strict=True
        )
    )
    if min(sizes) < 1:
        raise NotConvertible(f"its output would have the sizes {sizes}")
    # What Keras computes with padding "valid" beyond the wanted end.
    surplus = [
        size * stride + max(reach - stride, 0) - before - wanted
        for size, stride, reach, (before, _), wanted in zip(
            windows.sizes, windows.strides, windows.reach, windows.pads, sizes, strict=True
        )
    ]
    if groups > 1 or max(windows.dilations) > 1 or min(surplus) < 0:
        return _spread_and_convolve(build, node, value, windows, kernel, bias, groups, extra)
    tensor, order = build.channels_last(node, value)
    rank = len(sizes)
    crops = tuple((before, more) for (before, _), more in zip(windows.pads, surplus, strict=True))
    is_same = all(
        crop == (max(reach - stride, 0) // 2, -(-max(reach - stride, 0) // 2))
        for crop, reach, stride in zip(crops, windows.reach, windows.strides, strict=True)
    )
    tensor = build.layer(
        node,
        _TRANSPOSE[rank - 1],
        tensor,
        weights=[kernel.transpose(*range(2, 2 + rank), 1, 0), *([] if bias is None else [bias])],
        filters=kernel.shape[1],
        kernel_size=windows.kernel,
        strides=windows.strides,
        padding="same" if is_same else "valid",
        use_bias=bias is not None,
    )
    if not is_same:
        negative = tuple((-before, -after) for before, after in crops)
        tensor = pad_positions(build, node, tensor, negative)
    return build.result(tensor, order, sizes=_by_axis(sizes))


def _by_axis(sizes: tuple[int, ...]) -> dict[int, int]:
    return {axis + 2: size for axis, size in enumerate(sizes)}


def _spread_and_convolve(
    build: Building,
    node: SourceNode,
    value: Value,
    windows: Windows,
    kernel: np.ndarray,
    bias: np.ndarray | None,
    groups: int,
    extra: tuple[int, ...],
) -> Value:
    """Put zeros between the positions, then convolve with the mirrored kernel.

    What Keras' transposed convolution lacks: groups, dilation, an output longer than its own.
    """
    tensor, order = build.channels_last(node, value)
    if any(windows.is_open):
        raise NotConvertible(
            "needs positions of known size. Give the input's size with --input_shape."
        )
    channels, per_group = kernel.shape[0], kernel.shape[1]
    tensor = _spread(build, node, tensor, windows.sizes, windows.strides, channels)
    pads = tuple(
        (reach - 1 - before, reach - 1 - after + more - (stride - 1))
        for reach, (before, after), more, stride in zip(
            windows.reach, windows.pads, extra, windows.strides, strict=True
        )
    )
    tensor = pad_positions(build, node, tensor, pads)
    window = kernel.shape[2:]
    weight = kernel.reshape(groups, channels // groups, per_group, *window).swapaxes(1, 2)
    weight = weight.reshape(groups * per_group, channels // groups, *window)
    weight = np.flip(weight, tuple(range(2, weight.ndim)))
    settings = {
        "kernel_size": windows.kernel,
        "strides": (1,) * len(window),
        "dilation_rate": windows.dilations,
        "padding": "valid",
        "use_bias": bias is not None,
    }
    return build.result(_convolve(build, node, tensor, weight, bias, groups, settings), order)


def _spread(
    build: Building,
    node: SourceNode,
    tensor: Any,
    sizes: tuple[int, ...],
    strides: tuple[int, ...],
    channels: int,
) -> Any:
    """Put `stride - 1` zeros behind every position."""
    if max(strides) == 1:
        return tensor
    split = tuple(part for size in sizes for part in (size, 1))
    tensor = build.layer(
        node, keras.layers.Reshape, tensor, target_shape=(*split, channels), suffix="positions"
    )
    widths = [(0, 0), *((0, stride - 1) if i else (0, 0) for stride in strides for i in (0, 1))]
    tensor = build.op(node, keras.ops.pad, tensor, [*widths, (0, 0)], suffix="zeros")
    joined = tuple(math.prod(pair) for pair in zip(sizes, strides, strict=True))
    return build.layer(
        node, keras.layers.Reshape, tensor, target_shape=(*joined, channels), suffix="spread"
    )
