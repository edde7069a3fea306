"""Layers with kernels: convolutions, Dense, Embedding."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from utils.graph.ir import Node, Ref
from utils.graph.ops_einsum import parse_equation
from utils.graph.row import channel_axis
from utils.reconstructors.activations import OVER_AXIS, activated, describe
from utils.reconstructors.rebuilding import Rebuilding, RefusedError
from utils.reconstructors.target import SAME, Pads, Window
from utils.reconstructors.values import Order, Value, block_rows, channels_first

_MAP_RANKS = (3, 4, 5)


def finish(rebuilding: Rebuilding, node: Node, x: Any, order: Order) -> None:
    """Apply a layer's activation and give its output.

    Args:
        rebuilding: the network on its way.
        node: the layer.
        x: what its kernel gave.
        order: how that is stored.
    """
    name, _ = describe(node.attrs.get("activation"))
    if name in OVER_AXIS:
        place = order.index(len(order) - 1)
        x = rebuilding.target.softmax(x, place, log=name == "log_softmax")
    else:
        x = activated(rebuilding, node, x)
    rebuilding.put(Ref(node.name), x, order)


def per_axis(value: int | Sequence[int], rank: int) -> tuple[int, ...]:
    """Write a setting out for each spatial axis.

    Example:
        >>> per_axis(2, rank=2), per_axis((2, 1), rank=2)
        ((2, 2), (2, 1))
    """
    return (int(value),) * rank if isinstance(value, int) else tuple(int(each) for each in value)


def window_pads(
    sizes: Sequence[int | None],
    size: Sequence[int],
    strides: Sequence[int],
    dilation: Sequence[int],
    padding: str,
) -> Pads:
    """Write a Keras padding out.

    Args:
        sizes: of the map, per spatial axis.
        size: of the kernel.
        strides: of the kernel.
        dilation: of the kernel.
        padding: "valid", "same" or "causal".

    Returns:
        (before, behind) per axis; `SAME` where an open size decides.

    Example:
        >>> window_pads([8], [3], [2], [1], "same")
        [(0, 1)]
    """
    reach = [(window - 1) * step + 1 for window, step in zip(size, dilation, strict=True)]
    if padding == "valid":
        return [(0, 0)] * len(reach)
    if padding == "causal":
        return [(each - 1, 0) for each in reach]
    if any(length is None and stride > 1 for length, stride in zip(sizes, strides, strict=True)):
        return SAME
    found = []
    for length, stride, each in zip(sizes, strides, reach, strict=True):
        rest = 1 if length is None else (length - 1) % stride + 1  # of a last, whole step
        total = max(each - rest, 0)
        found.append((total // 2, total - total // 2))
    return found


def _maps(rebuilding: Rebuilding, node: Node) -> tuple[Value, Order, list[int | None]]:
    """Give a layer's maps, the order of its output, and the sizes of their spatial axes."""
    axis = channel_axis(node.attrs, len(rebuilding.graph.shape(node.inputs[0])))
    value = rebuilding.first(node.inputs[0], axis)
    if value.order != channels_first(value.rank, axis):  # spatial axes in another order
        value = rebuilding.ordered(node.inputs[0], channels_first(value.rank, axis))
    return value, value.order, list(value.stored_shape[2:])


def _window(node: Node, sizes: list[int | None], groups: int) -> Window:
    rank = len(sizes)
    size, strides, dilation = (
        per_axis(node.attrs.get(key, 1), rank)
        for key in ("kernel_size", "strides", "dilation_rate")
    )
    pads = window_pads(sizes, size, strides, dilation, node.attrs["padding"])
    return Window(size=size, strides=strides, dilation=dilation, pads=pads, groups=groups)


def _kernel_first(kernel: np.ndarray) -> np.ndarray:
    """[positions …, inputs, outputs] -> [outputs, inputs, positions …]."""
    return np.moveaxis(kernel, (-1, -2), (0, 1))


def _depthwise_first(kernel: np.ndarray) -> np.ndarray:
    """[positions …, channels, multiplier] -> [channels * multiplier, 1, positions …]."""
    flat = kernel.reshape(*kernel.shape[:-2], -1)
    return np.moveaxis(flat, -1, 0)[:, None]


def _convolution(rebuilding: Rebuilding, node: Node) -> None:
    value, order, sizes = _maps(rebuilding, node)
    params = rebuilding.params(node)
    window = _window(node, sizes, node.attrs.get("groups", 1))
    kernel = _kernel_first(params["kernel"])
    x = rebuilding.target.convolution(value.handle, kernel, params.get("bias"), window)
    finish(rebuilding, node, x, order)


def _depthwise(rebuilding: Rebuilding, node: Node) -> None:
    value, order, sizes = _maps(rebuilding, node)
    params = rebuilding.params(node)
    window = _window(node, sizes, params["kernel"].shape[-2])
    kernel = _depthwise_first(params["kernel"])
    x = rebuilding.target.convolution(value.handle, kernel, params.get("bias"), window)
    finish(rebuilding, node, x, order)


def _separable(rebuilding: Rebuilding, node: Node) -> None:
    value, order, sizes = _maps(rebuilding, node)
    params = rebuilding.params(node)
    depthwise = params["depthwise_kernel"]
    window = _window(node, sizes, depthwise.shape[-2])
    target = rebuilding.target
    target.begin(f"{node.layer}_depthwise", f"{node.name}_depthwise")
    x = target.convolution(value.handle, _depthwise_first(depthwise), None, window)
    target.begin(f"{node.layer}_pointwise", f"{node.name}_pointwise")
    pointwise = _kernel_first(params["pointwise_kernel"])
    x = target.convolution(x, pointwise, params.get("bias"), _single(len(sizes)))
    target.begin(node.layer, node.name)
    finish(rebuilding, node, x, order)


def _single(rank: int) -> Window:
    """Give the window of a 1x1 convolution."""
    ones = (1,) * rank
    return Window(size=ones, strides=ones, dilation=ones, pads=[(0, 0)] * rank)


def _transposed(rebuilding: Rebuilding, node: Node) -> None:
    """It is the gradient of a convolution: what that pads is cut off here.

    The rows behind that no input reaches hold the bias alone.
    """
    value, order, sizes = _maps(rebuilding, node)
    rank = len(sizes)
    if node.attrs.get("groups", 1) != 1:
        raise RefusedError("it is grouped")
    size, strides, dilation = (
        per_axis(node.attrs.get(key, 1), rank)
        for key in ("kernel_size", "strides", "dilation_rate")
    )
    out = [rebuilding.graph.shape(Ref(node.name))[axis] for axis in order[2:]]
    pads, extra = [], []
    for axis in range(rank):
        reach = (size[axis] - 1) * dilation[axis] + 1
        surplus = _surplus(node, axis, sizes[axis], out[axis], reach, strides[axis])
        before = max(surplus, 0) // 2 if node.attrs["padding"] == "same" else 0
        pads.append((before, max(surplus - before, 0)))
        extra.append(max(-surplus, 0))
    window = Window(size=size, strides=strides, dilation=dilation, pads=pads, extra=tuple(extra))
    params = rebuilding.params(node)
    kernel = np.moveaxis(params["kernel"], (-1, -2), (0, 1))  # [inputs, outputs, positions …]
    x = rebuilding.target.transposed(value.handle, kernel, params.get("bias"), window)
    finish(rebuilding, node, x, order)


def _surplus(
    node: Node, axis: int, length: int | None, out: int | None, reach: int, stride: int
) -> int:
    """Count the rows that a full transposed convolution has more than Keras keeps."""
    if length is not None and out is not None:
        return (length - 1) * stride + reach - out
    if node.attrs.get("output_padding") is not None:
        raise RefusedError("it has an `output_padding` and an open size")
    return reach - stride if node.attrs["padding"] == "same" else min(reach - stride, 0)


def _dense(rebuilding: Rebuilding, node: Node) -> None:
    source = node.inputs[0]
    value, params = rebuilding.value(source), rebuilding.params(node)
    kernel, bias, target = params["kernel"].T, params.get("bias"), rebuilding.target
    own = not rebuilding.is_shared(node)
    if value.block is not None and own:
        x = target.linear(value.handle, kernel[:, block_rows(value.block)], bias)
    elif value.rank in _MAP_RANKS and value.order == channels_first(value.rank) and own:
        kernel = kernel.reshape(*kernel.shape, *(1,) * (value.rank - 2))
        x = target.convolution(value.handle, kernel, bias, _single(value.rank - 2))
        finish(rebuilding, node, x, value.order)
        return
    else:
        x = target.linear(rebuilding.plain(source).handle, kernel, bias)
    finish(rebuilding, node, x, tuple(range(value.rank)))


def _einsum_dense(rebuilding: Rebuilding, node: Node) -> None:
    source = rebuilding.plain(node.inputs[0])
    params, target = rebuilding.params(node), rebuilding.target
    left, kernel, right = parse_equation(node.attrs["equation"], source.rank)
    held = target.constant("kernel", params["kernel"], trained=True)
    x = target.einsum(f"{left},{kernel}->{right}", source.handle, held)
    if "bias" in params:
        x = target.binary("add", x, target.constant("bias", params["bias"], trained=True))
    finish(rebuilding, node, x, tuple(range(len(rebuilding.graph.shape(Ref(node.name))))))


def _embedding(rebuilding: Rebuilding, node: Node) -> None:
    if node.attrs.get("mask_zero"):
        raise RefusedError("it masks steps for the layers behind it (`mask_zero`)")
    indices = rebuilding.plain(node.inputs[0])
    target = rebuilding.target
    table = target.constant("weight", rebuilding.params(node)["embeddings"], trained=True)
    whole = target.cast(indices.handle, "int64") if indices.dtype != "int64" else indices.handle
    rebuilding.put(Ref(node.name), target.look_up(table, whole))


ROWS: Mapping[str, Callable[[Rebuilding, Node], None]] = {
    "keras.layers.Dense": _dense,
    "keras.layers.EinsumDense": _einsum_dense,
    "keras.layers.Embedding": _embedding,
    **{f"keras.layers.Conv{rank}D": _convolution for rank in (1, 2, 3)},
    **{f"keras.layers.Conv{rank}DTranspose": _transposed for rank in (1, 2, 3)},
    **{f"keras.layers.DepthwiseConv{rank}D": _depthwise for rank in (1, 2)},
    **{f"keras.layers.SeparableConv{rank}D": _separable for rank in (1, 2)},
}
