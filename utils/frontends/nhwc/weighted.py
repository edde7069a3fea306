"""Convolutions and pooling, with TensorFlow's padding and kernels."""

from __future__ import annotations

from typing import Any

import numpy as np

from utils.frontends.building import Building
from utils.frontends.nhwc.activations import activated
from utils.frontends.nhwc.views import back, image
from utils.frontends.parts import convolution as parts
from utils.frontends.parts.pooling import average_pool, max_pool
from utils.frontends.parts.windows import Windows, same_pads
from utils.frontends.source import NotConvertible, SourceNode
from utils.frontends.values import Value

_RANK = 4  # of an image, and of its kernel


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
    value = image(b, node, b.input(node, 0))
    if kernel.ndim != _RANK or not kernel.size or value.shape[1] % kernel.shape[2]:
        raise NotConvertible(f"its kernel of shape {kernel.shape} does not fit {value.shape[1]} "
                             "channels")  # fmt: skip
    groups = value.shape[1] // kernel.shape[2]
    lie = windows(node, value, kernel.shape[:2])
    made = parts.convolution(b, node, value, lie, kernel.transpose(3, 2, 0, 1), bias, groups)
    return activated(b, node, back(b, node, made))


def depthwise(b: Building, node: SourceNode, kernel: np.ndarray, bias: np.ndarray | None) -> Value:
    """Build a depthwise convolution.

    Args:
        b: the network.
        node: with `strides`, `padding`, `dilations`.
        kernel: float array [height, width, channels, multiplier].
        bias: float array [channels * multiplier], if any.
    """
    value = image(b, node, b.input(node, 0))
    if kernel.ndim != _RANK or not kernel.size or kernel.shape[2] != value.shape[1]:
        raise NotConvertible(f"its kernel of shape {kernel.shape} does not fit {value.shape[1]} "
                             "channels")  # fmt: skip
    height, width, channels, multiplier = kernel.shape
    flat = kernel.reshape(height, width, 1, channels * multiplier).transpose(3, 2, 0, 1)
    lie = windows(node, value, (height, width))
    made = parts.convolution(b, node, value, lie, flat, bias, channels)
    return activated(b, node, back(b, node, made))


def transposed(
    b: Building,
    node: SourceNode,
    value: Value,
    kernel: np.ndarray,
    bias: np.ndarray | None,
    size: tuple[int, int],
) -> Value:
    """Build a transposed convolution whose result has the size that the source says.

    Args:
        b: the network.
        node: with `strides`, `padding`.
        value: the image.
        kernel: float array [height, width, channels made, channels read].
        bias: float array [channels made], if any.
        size: height and width of the result.
    """
    value = image(b, node, value)
    if kernel.ndim != _RANK or not kernel.size or min(size) < 1:
        raise NotConvertible(f"its kernel has the shape {kernel.shape}, its result {size}")
    # Its padding is that of the convolution which makes the image of the result.
    forward = windows(node, value, kernel.shape[:2], sizes=size)
    extra = tuple(
        wanted - ((old - 1) * stride + reach - sum(pads))
        for wanted, old, stride, reach, pads in zip(
            size, value.shape[2:], forward.strides, forward.reach, forward.pads, strict=True
        )
    )
    if any(not 0 <= more < stride for more, stride in zip(extra, forward.strides, strict=True)):
        raise NotConvertible(f"its result of size {size} does not fit its image")
    lie = windows(node, value, kernel.shape[:2], pads=forward.pads)
    made = parts.transposed_convolution(
        b, node, value, lie, kernel.transpose(3, 2, 0, 1), bias, 1, extra
    )
    return activated(b, node, back(b, node, made))


def pool(b: Building, node: SourceNode, kind: str) -> Value:
    """Build a maximum or mean over windows; the mean leaves padding out, as the sources do.

    Args:
        b: the network.
        node: with `size`, `strides`, `padding`.
        kind: "max" or "mean".
    """
    value = image(b, node, b.input(node, 0))
    lie = windows(node, value, _pair(node, "size"), dilated=False)
    if kind == "max":
        made = max_pool(b, node, value, lie)
    else:
        made = average_pool(b, node, value, lie, counts_padding=False)
    return activated(b, node, back(b, node, made))


def windows(
    node: SourceNode,
    value: Value,
    size: tuple[int, ...],
    *,
    sizes: tuple[int, ...] | None = None,
    pads: tuple[tuple[int, int], ...] | None = None,
    dilated: bool = True,
) -> Windows:
    """Say how a node's windows lie over an image.

    Args:
        node: with `strides`, `padding` and, unless not `dilated`, `dilations`.
        value: the image, channels in front.
        size: of the window.
        sizes: of the image; the value's own if not given.
        pads: instead of the node's own.
        dilated: whether the windows may have gaps.

    Raises:
        NotConvertible: if padding depends on a size that is open.
    """
    settings: dict[str, Any] = {
        "kernel": tuple(int(each) for each in size),
        "strides": _pair(node, "strides"),
        "dilations": _pair(node, "dilations") if dilated else (1, 1),
    }
    bare = parts.windows_of(value, pads=((0, 0), (0, 0)), **settings)
    if sizes is not None:
        bare = Windows(sizes=sizes, is_open=(False, False), pads=((0, 0), (0, 0)), **settings)
    padding = node.attrs["padding"] if pads is None else pads
    if padding == "valid":
        return bare
    if padding == "same":
        found = same_pads(bare)
        if found is None:
            raise NotConvertible("its padding depends on a size that is open. Give --input_shape")
    else:
        found = tuple((int(before), int(behind)) for before, behind in padding)
    return Windows(sizes=bare.sizes, is_open=bare.is_open, pads=found, **settings)


def _pair(node: SourceNode, key: str) -> tuple[int, int]:
    found = node.ints(key, 1)
    found = found * 2 if len(found) == 1 else found
    if len(found) != 2 or min(found) < 1:
        raise NotConvertible(f"its {key} are {found}")
    return found[0], found[1]
