"""TensorFlow's operations with weights, with what follows them channel by channel."""

from __future__ import annotations

import numpy as np

from utils.frontends.building import Building
from utils.frontends.nhwc import shapes, weighted
from utils.frontends.parts.affine import Scale, with_affine
from utils.frontends.parts.dense import dense
from utils.frontends.parts.normalization import batch_norm
from utils.frontends.parts.pointwise import combine
from utils.frontends.source import NotConvertible, SourceNode
from utils.frontends.values import Value

_MOMENTUM = 0.99  # of moving statistics: no inference graph says it; Keras' own default


def _kernel(b: Building, node: SourceNode, place: int = 1) -> np.ndarray:
    return np.asarray(b.constant(node, place, "kernel"), np.float32)


def conv(b: Building, node: SourceNode) -> Value:
    """Build a convolution."""
    kernel = _kernel(b, node)
    return with_affine(
        b,
        node,
        kernel.shape[-1],
        lambda scale, bias: weighted.convolution(
            b, node, np.asarray(kernel * scale, np.float32), bias
        ),
    )


def depthwise(b: Building, node: SourceNode) -> Value:
    """Build a depthwise convolution."""
    kernel = _kernel(b, node)
    width, shape = int(np.prod(kernel.shape[2:])), kernel.shape

    def build(scale: Scale, bias: np.ndarray | None) -> Value:
        scaled = np.asarray(kernel.reshape(*shape[:2], width) * scale, np.float32).reshape(shape)
        return weighted.depthwise(b, node, scaled, bias)

    return with_affine(b, node, width, build)


def conv_transpose(b: Building, node: SourceNode) -> Value:
    """Build a transposed convolution; it reads sizes, kernel and image."""
    sizes = b.constant(node, 0, "sizes", is_shape=True).reshape(-1)
    if sizes.size == 4:
        sizes = sizes[2:4] if int(node.attrs["channel_axis"]) == 1 else sizes[1:3]
    kernel, size = _kernel(b, node), (int(sizes[0]), int(sizes[1]))
    if any(each != 1 for each in node.ints("dilations", 1)):
        raise NotConvertible("has dilations")
    value = b.input(node, 2)

    def build(scale: Scale, bias: np.ndarray | None) -> Value:
        scaled = np.asarray(kernel.swapaxes(2, 3) * scale, np.float32).swapaxes(2, 3)
        return weighted.transposed(b, node, value, scaled, bias, size)

    return with_affine(b, node, kernel.shape[2], build)


def dilated(b: Building, node: SourceNode) -> Value:
    """Build a dilated convolution, which TensorFlow writes as one between two moves of pixels.

    SpaceToBatchND makes each of the interleaved sub-images one of the batch, a convolution without
    padding follows, BatchToSpaceND interleaves them again.
    """
    inner = b.only_reader(node.outputs[0])
    last = None if inner is None else b.only_reader(inner.outputs[0])
    if (
        inner is None
        or last is None
        or inner.op not in ("Conv2D", "DepthwiseConv2dNative")
        or last.op != "BatchToSpaceND"
        or inner.attrs["padding"] != "valid"
        or int(inner.attrs["channel_axis"]) != 3
        or max(*inner.ints("strides", 1), *inner.ints("dilations", 1)) != 1
    ):
        raise NotConvertible("does not stand in front of a convolution that it dilates")
    block = tuple(int(each) for each in b.constant(node, 1, "blocks").reshape(-1))
    pads, crops = b.constant(node, 2, "padding"), b.constant(last, 2, "crops")
    if len(block) != 2 or pads.shape != (2, 2) or (pads < crops).any() or crops[:, 0].any():
        raise NotConvertible(f"its blocks are {block}, its padding {pads.tolist()}")
    attrs = {
        **inner.attrs,
        "dilations": block,
        "padding": tuple(map(tuple, (pads - crops).tolist())),
    }
    inputs = (node.inputs[0], *inner.inputs[1:])
    whole = SourceNode(inner.name, inner.op, inputs, last.outputs, attrs)
    value = conv(b, whole) if inner.op == "Conv2D" else depthwise(b, whole)
    for each in (inner, last):
        b.values.setdefault(b.take_over(each), value)
    return value


def matmul(b: Building, node: SourceNode) -> Value:
    """Build a product of matrices, of any rank."""
    first, second = b.input(node, 0), b.input(node, 1)
    names = ("transpose_a", "adj_x"), ("transpose_b", "adj_y")
    swap = tuple(any(node.attrs.get(name) for name in pair) for pair in names)
    if second.array is not None and second.rank == 2 and not swap[0]:
        kernel = np.asarray(second.array.T if swap[1] else second.array, np.float32)

        def build(scale: Scale, bias: np.ndarray | None) -> Value:
            return dense(b, node, first, np.asarray(kernel * scale, np.float32), bias)

        return with_affine(b, node, kernel.shape[1], build)
    return shapes.product(b, node, first, second, (swap[0], swap[1]))


def bias_add(b: Building, node: SourceNode) -> Value:
    """Add a constant per channel."""
    value, bias = b.input(node, 0), b.constant(node, 1, "bias")
    if int(node.attrs["channel_axis"]) == 1:
        bias = bias.reshape(-1, *[1] * (value.rank - 2))
    return combine(b, node, [value, Value(array=bias)], "add")


def fused_norm(b: Building, node: SourceNode) -> Value:
    """Build batch norm with given statistics."""
    if node.attrs.get("is_training", True):
        raise NotConvertible(
            "computes its statistics from the batch. Export the network for inference"
        )
    return norm(b, node)


def norm(b: Building, node: SourceNode) -> Value:
    """Build batch norm: reads x, gamma, beta, mean and variance."""
    value = b.input(node, 0)
    arrays = [np.asarray(b.constant(node, place, "statistics"), np.float32).reshape(-1)
              for place in (1, 2, 3, 4)]  # fmt: skip
    axis = int(node.attrs.get("channel_axis", 3)) if value.rank == 4 else value.rank - 1
    return batch_norm(b, node, value, arrays, float(node.attrs["epsilon"]), _MOMENTUM, axis)
