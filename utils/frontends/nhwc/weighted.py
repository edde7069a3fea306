"""Convolutions, matrix products and pooling."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np

from utils.frontends.building import Building
from utils.frontends.layout import Axis
from utils.frontends.nhwc.activations import activated
from utils.frontends.source import NotConvertible, SourceNode
from utils.frontends.values import Value

_IMAGE_RANK = 4


def image(b: Building, node: SourceNode) -> tuple[Any, tuple[int, ...]]:
    """Give the image that a node reads, channels last, and the order of its axes.

    Raises:
        NotConvertible: if it has not the rank of an image.
    """
    value = b.input(node, int(node.attrs.get("image_input", 0)))
    if value.rank != _IMAGE_RANK:
        raise NotConvertible(f"reads a tensor of {value.rank} axes, not an image of 4")
    return b.channels_last(node, value, int(node.attrs.get("channel_axis", 3)))


def convolution(
    b: Building, node: SourceNode, kernel: np.ndarray, bias: np.ndarray | None
) -> Value:
    """Build a convolution, grouped where the kernel reads fewer channels than there are.

    Args:
        b: the network.
        node: with `strides`, `padding`, `dilations`.
        kernel: float array [height, width, channels read, channels made].
        bias: float array [channels made], if any.
    """
    tensor, order = image(b, node)
    tensor, padding = padded(b, node, tensor)
    channels = tensor.shape[-1]
    if kernel.ndim != _IMAGE_RANK or not kernel.size or channels % kernel.shape[2]:
        raise NotConvertible(f"its kernel of shape {kernel.shape} does not fit {channels} channels")
    settings = {
        "filters": kernel.shape[3],
        "groups": channels // kernel.shape[2],
        **_window(node, kernel.shape[:2], padding),
    }
    result = _with_weights(b, node, keras.layers.Conv2D, tensor, kernel, bias, settings)
    return activated(b, node, b.result(result, order, like=_like(b, node)))


def depthwise(b: Building, node: SourceNode, kernel: np.ndarray, bias: np.ndarray | None) -> Value:
    """Build a depthwise convolution.

    Args:
        b: the network.
        node: with `strides`, `padding`, `dilations`.
        kernel: float array [height, width, channels, multiplier].
        bias: float array [channels * multiplier], if any.
    """
    strides = node.ints("strides", 1)
    if kernel.ndim != _IMAGE_RANK or not kernel.size:
        raise NotConvertible(f"its kernel has the shape {kernel.shape}")
    if len(set(strides)) > 1:  # TensorFlow's depthwise kernels take one stride only
        height, width, channels, multiplier = kernel.shape
        grouped = kernel.reshape(height, width, 1, channels * multiplier)
        return convolution(b, node, grouped, bias)
    tensor, order = image(b, node)
    tensor, padding = padded(b, node, tensor)
    if tensor.shape[-1] != kernel.shape[2]:
        raise NotConvertible(
            f"its kernel of shape {kernel.shape} does not fit {tensor.shape[-1]} channels"
        )
    settings = {
        "depth_multiplier": kernel.shape[3],
        **_window(node, kernel.shape[:2], padding),
    }
    result = _with_weights(b, node, keras.layers.DepthwiseConv2D, tensor, kernel, bias, settings)
    return activated(b, node, b.result(result, order, like=_like(b, node)))


def transposed(
    b: Building,
    node: SourceNode,
    kernel: np.ndarray,
    bias: np.ndarray | None,
    size: tuple[int, int],
) -> Value:
    """Build a transposed convolution, cropped to the size that the source says.

    Args:
        b: the network.
        node: with `strides`, `padding`.
        kernel: float array [height, width, channels made, channels read].
        bias: float array [channels made], if any.
        size: height and width of the result.
    """
    tensor, order = image(b, node)
    strides = _pair(node, "strides")
    spatial = tensor.shape[1:3]
    if None in spatial:
        raise NotConvertible("the size of its image is open")
    if kernel.ndim != _IMAGE_RANK or kernel.shape[3] != tensor.shape[-1]:
        raise NotConvertible(f"its kernel of shape {kernel.shape} does not fit its image")
    same = node.attrs["padding"] == "same" and all(
        new == old * stride for new, old, stride in zip(size, spatial, strides, strict=True)
    )
    settings = {
        "filters": kernel.shape[2],
        "kernel_size": kernel.shape[:2],
        "strides": strides,
        "padding": "same" if same else "valid",
    }
    natural = [
        (old - 1) * stride + max(reach, stride)
        for old, stride, reach in zip(spatial, strides, kernel.shape[:2], strict=True)
    ]
    extra = [new - old for new, old in zip(size, natural, strict=True)]
    if not same and all(0 <= more < stride for more, stride in zip(extra, strides, strict=True)):
        settings["output_padding"] = tuple(extra) if any(extra) else None
    result = _with_weights(b, node, keras.layers.Conv2DTranspose, tensor, kernel, bias, settings)
    if tuple(result.shape[1:3]) != tuple(size):
        # The gradient of a convolution: what its padding read is cut off.
        crops = []
        for axis in range(2):
            full = (spatial[axis] - 1) * strides[axis] + kernel.shape[axis]
            is_padded = node.attrs["padding"] == "same"
            before = max(full - size[axis], 0) // 2 if is_padded else 0
            crops.append((before, result.shape[axis + 1] - size[axis] - before))
        if any(min(crop) < 0 for crop in crops):
            raise NotConvertible(f"its result of size {tuple(size)} is larger than what it makes")
        result = b.layer(node, keras.layers.Cropping2D, result, cropping=crops, suffix="crop")
    return activated(b, node, b.result(result, order, like=_like(b, node)))


def dense(
    b: Building, node: SourceNode, value: Value, kernel: np.ndarray, bias: np.ndarray | None
) -> Value:
    """Build a product of the last axis with a matrix.

    Args:
        b: the network.
        node: names the layer.
        value: what is multiplied.
        kernel: float array [read, made].
        bias: float array [made], if any.
    """
    tensor, layout, last = b.with_last(node, value, value.rank - 1)
    if kernel.ndim != 2 or tensor.shape[-1] != kernel.shape[0]:
        raise NotConvertible(f"its kernel of shape {kernel.shape} does not fit {value.shape}")
    kernel = kernel[_rows(value.axes.source[-1], last)]
    weights = [kernel] if bias is None else [kernel, bias]
    result = b.layer(
        node,
        keras.layers.Dense,
        tensor,
        units=kernel.shape[1],
        use_bias=bias is not None,
        weights=weights,
    )
    order = [layout.source.index(axis) for axis in layout.built[:-1] if axis in layout.source]
    if len(order) != value.rank - 1:
        order = list(range(value.rank - 1))
        if len(result.shape) != value.rank:
            raise NotConvertible("reads axes that are joined")
    return b.result(result, (*order, value.rank - 1), like=value.axes)


def _rows(source: Axis, built: Axis) -> np.ndarray:
    """Say which row of a matrix stands where the atoms of its axis lie in another order."""
    rows = np.arange(math.prod(atom.size for atom in source))
    if source == built:
        return rows
    sizes = [atom.size for atom in source]
    return rows.reshape(sizes).transpose([source.index(atom) for atom in built]).ravel()


def pool(b: Building, node: SourceNode, kind: str) -> Value:
    """Build a maximum or mean over windows; the mean leaves padding out, as the sources do.

    Args:
        b: the network.
        node: with `size`, `strides`, `padding`.
        kind: "max" or "mean".
    """
    tensor, order = image(b, node)
    if kind == "mean" and not isinstance(node.attrs["padding"], str):
        raise NotConvertible("its padding is explicit, which only a maximum can have here")
    tensor, padding = padded(b, node, tensor, -math.inf if kind == "max" else 0.0)
    layer = keras.layers.MaxPooling2D if kind == "max" else keras.layers.AveragePooling2D
    result = b.layer(
        node,
        layer,
        tensor,
        pool_size=_pair(node, "size"),
        strides=_pair(node, "strides"),
        padding=padding,
    )
    return activated(b, node, b.result(result, order, like=_like(b, node)))


def padded(b: Building, node: SourceNode, tensor: Any, filled: float = 0.0) -> tuple[Any, str]:
    """Write explicit padding out in front of a layer; give the padding that is left to it."""
    padding = node.attrs["padding"]
    if isinstance(padding, str):
        return tensor, padding
    pairs = tuple((int(before), int(behind)) for before, behind in padding)
    if not any(map(any, pairs)):
        return tensor, "valid"
    if filled == 0.0:
        tensor = b.layer(node, keras.layers.ZeroPadding2D, tensor, padding=pairs, suffix="pad")
    else:
        widths = ((0, 0), *pairs, (0, 0))
        tensor = b.op(
            node, keras.ops.pad, tensor, widths, suffix="pad", constant_values=float(filled)
        )
    return tensor, "valid"


def _window(node: SourceNode, size: tuple[int, ...], padding: str) -> dict[str, Any]:
    strides, dilations = _pair(node, "strides"), _pair(node, "dilations")
    if max(strides) > 1 and max(dilations) > 1:
        raise NotConvertible("has strides and dilations at once, which Keras does not")
    return {
        "kernel_size": tuple(int(each) for each in size),
        "strides": strides,
        "padding": padding,
        "dilation_rate": dilations,
    }


def _pair(node: SourceNode, key: str) -> tuple[int, int]:
    found = node.ints(key, 1)
    found = found * 2 if len(found) == 1 else found
    if len(found) != 2 or min(found) < 1:
        raise NotConvertible(f"its {key} are {found}")
    return found[0], found[1]


def _with_weights(
    b: Building,
    node: SourceNode,
    layer: Any,
    tensor: Any,
    kernel: np.ndarray,
    bias: np.ndarray | None,
    settings: dict[str, Any],
) -> Any:
    weights = [kernel] if bias is None else [kernel, bias]
    return b.layer(node, layer, tensor, use_bias=bias is not None, weights=weights, **settings)


def _like(b: Building, node: SourceNode) -> Any:
    return b.input(node, int(node.attrs.get("image_input", 0))).layout
