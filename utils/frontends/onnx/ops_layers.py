"""ONNX operators with weights, and pooling."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from utils.frontends.building import Building, Function
from utils.frontends.parts import dense as products
from utils.frontends.parts import normalization
from utils.frontends.parts.convolution import convolution, transposed_convolution, windows_of
from utils.frontends.parts.pooling import average_pool, global_pool, max_pool
from utils.frontends.parts.windows import Windows, automatic_pads, pairs
from utils.frontends.source import NotConvertible, SourceNode
from utils.frontends.values import Value


def _windows(node: SourceNode, value: Value, kernel: tuple[int, ...]) -> Windows:
    """Read the settings that all operators with windows share."""
    rank = len(kernel)
    windows = windows_of(
        value,
        kernel=kernel,
        strides=node.ints("strides", (1,) * rank),
        dilations=node.ints("dilations", (1,) * rank),
        pads=pairs(node.ints("pads", (0,) * 2 * rank)),
        ceil=bool(node.attrs.get("ceil_mode", 0)),
    )
    pads = automatic_pads(node.attrs.get("auto_pad", "NOTSET"), windows)
    return windows_of(
        value,
        kernel=windows.kernel,
        strides=windows.strides,
        dilations=windows.dilations,
        pads=pads,
        ceil=windows.ceil,
    )


def _bias(build: Building, node: SourceNode, place: int) -> np.ndarray | None:
    return build.constant(node, place, "bias") if build.has(node, place) else None


def conv(build: Building, node: SourceNode) -> Value:
    """`Conv`."""
    value, kernel = build.input(node, 0), build.constant(node, 1, "kernel")
    windows = _windows(node, value, kernel.shape[2:])
    groups = int(node.attrs.get("group", 1))
    bias = _bias(build, node, 2)
    if bias is not None and not bias.any() and _is_normalized(build, node):
        bias = None  # exporters write one of zeros where the module has none
    return convolution(build, node, value, windows, kernel, bias, groups)


def _is_normalized(build: Building, node: SourceNode) -> bool:
    reader = build.only_reader(node.outputs[0])
    return reader is not None and reader.op == "BatchNormalization"


def conv_transpose(build: Building, node: SourceNode) -> Value:
    """`ConvTranspose`."""
    value, kernel = build.input(node, 0), build.constant(node, 1, "kernel")
    rank = kernel.ndim - 2
    pads, extra = _transposed_pads(node, value, kernel)
    windows = windows_of(
        value,
        kernel=kernel.shape[2:],
        strides=node.ints("strides", (1,) * rank),
        dilations=node.ints("dilations", (1,) * rank),
        pads=pads,
    )
    groups = int(node.attrs.get("group", 1))
    bias = _bias(build, node, 2)
    return transposed_convolution(build, node, value, windows, kernel, bias, groups, extra)


def _transposed_pads(
    node: SourceNode, value: Value, kernel: np.ndarray
) -> tuple[tuple[tuple[int, int], ...], tuple[int, ...]]:
    """What is taken away around the output, and the positions that are added at its ends."""
    rank = kernel.ndim - 2
    extra = node.ints("output_padding", (0,) * rank)
    mode = node.attrs.get("auto_pad", "NOTSET")
    wanted = node.attrs.get("output_shape")
    if wanted is None and mode in ("NOTSET", "VALID", ""):
        given = node.ints("pads", (0,) * 2 * rank) if mode != "VALID" else (0,) * 2 * rank
        return pairs(given), extra
    strides, dilations = node.ints("strides", (1,) * rank), node.ints("dilations", (1,) * rank)
    found, added = [], []
    for axis in range(rank):
        size, reach = value.shape[2 + axis], (kernel.shape[2 + axis] - 1) * dilations[axis] + 1
        target = size * strides[axis] if wanted is None else int(wanted[-rank:][axis])
        total = strides[axis] * (size - 1) + extra[axis] + reach - target
        half, more = max(total, 0) // 2, max(total, 0) - max(total, 0) // 2
        found.append((half, more) if mode == "SAME_UPPER" else (more, half))
        added.append(extra[axis] + max(-total, 0))  # it may be larger than what is computed
    return tuple(found), tuple(added)


def pool(build: Building, node: SourceNode) -> Value:
    """`MaxPool` and `AveragePool`."""
    value = build.input(node, 0)
    windows = _windows(node, value, node.ints("kernel_shape", ()))
    if node.op == "MaxPool":
        return max_pool(build, node, value, windows)
    counts = bool(node.attrs.get("count_include_pad", 0))
    return average_pool(build, node, value, windows, counts)


def pool_all(build: Building, node: SourceNode) -> Value:
    """`GlobalAveragePool` and `GlobalMaxPool`."""
    kind = "average" if node.op == "GlobalAveragePool" else "max"
    return global_pool(build, node, build.input(node, 0), kind)


def batch_norm(build: Building, node: SourceNode) -> Value:
    """`BatchNormalization`, in inference."""
    if node.attrs.get("training_mode"):
        raise NotConvertible("was exported in training mode")
    if not node.attrs.get("spatial", 1):
        raise NotConvertible("has statistics for each position")
    names = ("scale", "offset", "mean", "variance")
    arrays = [build.constant(node, place + 1, name) for place, name in enumerate(names)]
    epsilon = float(node.attrs.get("epsilon", 1e-5))
    momentum = float(node.attrs.get("momentum", 0.9))
    return normalization.batch_norm(build, node, build.input(node, 0), arrays, epsilon, momentum)


def instance_norm(build: Building, node: SourceNode) -> Value:
    """`InstanceNormalization`."""
    scale, offset = build.constant(node, 1, "scale"), build.constant(node, 2, "offset")
    epsilon = float(node.attrs.get("epsilon", 1e-5))
    return normalization.instance_norm(build, node, build.input(node, 0), scale, offset, epsilon)


def group_norm(build: Building, node: SourceNode) -> Value:
    """`GroupNormalization`: scale and offset per group before opset 21, per channel since."""
    value, groups = build.input(node, 0), int(node.attrs["num_groups"])
    arrays = [build.constant(node, 1, "scale"), build.constant(node, 2, "offset")]
    channels = value.shape[1]
    arrays = [
        np.repeat(array, channels // groups) if array.size != channels else array
        for array in arrays
    ]
    epsilon = float(node.attrs.get("epsilon", 1e-5))
    return normalization.group_norm(build, node, value, groups, arrays[0], arrays[1], epsilon)


def layer_norm(build: Building, node: SourceNode) -> Value:
    """`LayerNormalization`."""
    value = build.input(node, 0)
    axis, epsilon = int(node.attrs.get("axis", -1)), float(node.attrs.get("epsilon", 1e-5))
    scale = build.constant(node, 1, "scale")
    return normalization.layer_norm(build, node, value, axis, scale, _bias(build, node, 2), epsilon)


def gemm(build: Building, node: SourceNode) -> Value:
    """`Gemm` with constant weights: a fully connected layer."""
    value, kernel = build.input(node, 0), build.constant(node, 1, "matrix")
    if node.attrs.get("transA"):
        value = build.transpose(value, (1, 0))
    kernel = kernel.T if node.attrs.get("transB") else kernel
    kernel = kernel * np.float32(node.attrs.get("alpha", 1.0))
    bias = _bias(build, node, 2)
    if bias is not None:
        bias = bias * np.float32(node.attrs.get("beta", 1.0))
        if math.prod(bias.shape[:-1]) != 1:
            raise NotConvertible("its third input differs along the batch")
        bias = np.broadcast_to(bias.reshape(-1), (kernel.shape[1],))
    return products.dense(build, node, value, kernel, bias)


def matmul(build: Building, node: SourceNode) -> Value:
    """`MatMul`."""
    return products.product(build, node, build.input(node, 0), build.input(node, 1))


def einsum(build: Building, node: SourceNode) -> Value:
    """`Einsum`."""
    return products.einsum(build, node, str(node.attrs["equation"]))


FUNCTIONS: Mapping[str, Function] = {
    "Conv": conv,
    "ConvTranspose": conv_transpose,
    "MaxPool": pool,
    "AveragePool": pool,
    "GlobalAveragePool": pool_all,
    "GlobalMaxPool": pool_all,
    "BatchNormalization": batch_norm,
    "InstanceNormalization": instance_norm,
    "GroupNormalization": group_norm,
    "LayerNormalization": layer_norm,
    "Gemm": gemm,
    "MatMul": matmul,
    "Einsum": einsum,
}
