"""Maximum and average pooling, over windows and over all positions."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import keras
import numpy as np

from utils.frontends.building import Building
from utils.frontends.parts.convolution import open_sizes, pad_positions
from utils.frontends.parts.windows import Windows, counts
from utils.frontends.source import NotConvertible, SourceNode
from utils.frontends.values import Value

_MAX = (keras.layers.MaxPooling1D, keras.layers.MaxPooling2D, keras.layers.MaxPooling3D)
_AVERAGE = (
    keras.layers.AveragePooling1D,
    keras.layers.AveragePooling2D,
    keras.layers.AveragePooling3D,
)
_GLOBAL = {
    "average": (
        keras.layers.GlobalAveragePooling1D,
        keras.layers.GlobalAveragePooling2D,
        keras.layers.GlobalAveragePooling3D,
    ),
    "max": (
        keras.layers.GlobalMaxPooling1D,
        keras.layers.GlobalMaxPooling2D,
        keras.layers.GlobalMaxPooling3D,
    ),
}


def max_pool(build: Building, node: SourceNode, value: Value, windows: Windows) -> Value:
    """Maximum over windows; padding never wins.

    Args:
        build: the network.
        node: names the layers.
        value: [batch, channels, positions …].
        windows: over the positions.

    Returns:
        The pooled value, channels last.
    """
    _refuse_dilation(windows)
    tensor, order = build.channels_last(node, value)
    pads = windows.needed_pads()
    padding = "valid"
    if any(map(any, pads)):
        if windows.is_same():
            padding = "same"
        elif value.nonnegative:
            tensor = pad_positions(build, node, tensor, pads)
        else:
            tensor = _pad_for_max(build, node, tensor, pads)
    tensor = build.layer(
        node,
        _MAX[len(pads) - 1],
        tensor,
        pool_size=windows.kernel,
        strides=windows.strides,
        padding=padding,
    )
    return build.result(tensor, order, sizes=open_sizes(windows), nonnegative=value.nonnegative)


def _refuse_dilation(windows: Windows) -> None:
    if max(windows.dilations) > 1:
        raise NotConvertible("pooling with dilation has no Keras counterpart")


def _pad_for_max(build: Building, node: SourceNode, tensor: Any, pads: Any) -> Any:
    """One repeated position at the edge changes no maximum; wider margins get the least number."""
    widths = [(0, 0), *pads, (0, 0)]
    if all(max(pad) <= 1 for pad in pads):
        return build.op(node, keras.ops.pad, tensor, widths, mode="symmetric", suffix="pad")
    least = float(np.finfo(np.float32).min)
    return build.op(node, keras.ops.pad, tensor, widths, constant_values=least, suffix="pad")


def average_pool(
    build: Building, node: SourceNode, value: Value, windows: Windows, counts_padding: bool
) -> Value:
    """Average over windows.

    Args:
        build: the network.
        node: names the layers.
        value: [batch, channels, positions …].
        windows: over the positions.
        counts_padding: whether the padding's zeros count as positions.

    Returns:
        The pooled value, channels last.
    """
    _refuse_dilation(windows)
    tensor, order = build.channels_last(node, value)
    pads = windows.needed_pads()
    padding, correction = "valid", None
    if any(map(any, pads)):
        if not counts_padding and windows.is_same():
            padding = "same"  # TensorFlow does not count it either
        else:
            correction = _correction(windows, counts_padding)
            tensor = pad_positions(build, node, tensor, pads)
    tensor = build.layer(
        node,
        _AVERAGE[len(pads) - 1],
        tensor,
        pool_size=windows.kernel,
        strides=windows.strides,
        padding=padding,
    )
    if correction is not None:
        tensor = build.op(node, keras.ops.multiply, tensor, correction, suffix="count")
    return build.result(tensor, order, sizes=open_sizes(windows), nonnegative=value.nonnegative)


def sum_pool(build: Building, node: SourceNode, value: Value, windows: Windows) -> Value:
    """Sum over windows, to which padding adds nothing, see `average_pool`."""
    _refuse_dilation(windows)
    tensor, order = build.channels_last(node, value)
    pads = windows.needed_pads()
    if any(map(any, pads)):
        tensor = pad_positions(build, node, tensor, pads)
    layer, size = _AVERAGE[len(pads) - 1], windows.kernel
    tensor = build.layer(node, layer, tensor, pool_size=size, strides=windows.strides)
    tensor = build.op(node, keras.ops.multiply, tensor, float(math.prod(size)), suffix="sum")
    return build.result(tensor, order, sizes=open_sizes(windows), nonnegative=value.nonnegative)


def _correction(windows: Windows, counts_padding: bool) -> np.ndarray | None:
    """What the average over whole windows is multiplied with; None if that is 1 everywhere."""
    per_axis = counts(windows, counts_padding)
    factor = np.ones(())
    for axis, (count, size) in enumerate(zip(per_axis, windows.kernel, strict=True)):
        if windows.is_open[axis] and (count != size).any():
            raise NotConvertible(
                "its average depends on a size that is open. Give the input's size with "
                "--input_shape."
            )
        # Of an open axis all counts are equal, so one entry broadcasts.
        ratio = size / (count[:1] if windows.is_open[axis] else count)
        factor = np.multiply.outer(factor, ratio)
    if np.all(factor == 1):
        return None
    return factor[..., None].astype(np.float32)


def global_pool(build: Building, node: SourceNode, value: Value, kind: str) -> Value:
    """Average or maximum over all positions; the source keeps their axes with size 1.

    Args:
        build: the network.
        node: names the layers.
        value: [batch, channels, positions …].
        kind: `average` or `max`.

    Returns:
        [batch, channels, 1 …].
    """
    rank = value.rank - 2
    if not 1 <= rank <= 3:
        raise NotConvertible(f"needs one to three spatial axes, its input has {rank}")
    tensor, order = build.channels_last(node, value)
    flattens = {"Flatten", "Reshape", "Squeeze"}
    keeps = any(reader.op not in flattens for reader in build.readers(node.outputs[0]))
    tensor = build.layer(node, _GLOBAL[kind][rank - 1], tensor, keepdims=keeps)
    if keeps:
        return build.result(tensor, order, nonnegative=value.nonnegative)
    pooled = build.result(tensor, (0, 1), nonnegative=value.nonnegative)
    layout = pooled.axes
    units = ((),) * rank
    return pooled.replace(layout=dataclasses.replace(layout, source=(*layout.source, *units)))
