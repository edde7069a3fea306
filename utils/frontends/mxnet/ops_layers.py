"""MXNet operators with weights, pooling and normalization."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

import keras
import numpy as np

from utils.frontends.building import Building, Function
from utils.frontends.parts import dense, normalization, resizing
from utils.frontends.parts.convolution import convolution, transposed_convolution, windows_of
from utils.frontends.parts.pooling import average_pool, global_pool, max_pool, sum_pool
from utils.frontends.parts.windows import Windows
from utils.frontends.source import NotConvertible, SourceNode
from utils.frontends.values import Value

_LAYOUTS = (None, "None", "NCHW", "NCW", "NCDHW")


def _check_layout(node: SourceNode) -> None:
    if node.attrs.get("layout") not in _LAYOUTS:
        raise NotConvertible(f"its layout {node.attrs['layout']!r} is not channels-first")


def _windows(node: SourceNode, value: Value) -> Windows:
    kernel = node.ints("kernel", ())
    rank = len(kernel)
    pads = node.ints("pad", (0,) * rank) or (0,) * rank
    return windows_of(
        value,
        kernel=kernel,
        strides=node.ints("stride", (1,) * rank) or (1,) * rank,
        dilations=node.ints("dilate", (1,) * rank) or (1,) * rank,
        pads=tuple((pad, pad) for pad in pads),
    )


def _bias(build: Building, node: SourceNode) -> np.ndarray | None:
    if node.attrs.get("no_bias", node.op == "Deconvolution") or not build.has(node, 2):
        return None
    return build.constant(node, 2, "bias")


def conv(build: Building, node: SourceNode) -> Value:
    """`Convolution`."""
    _check_layout(node)
    value, kernel = build.input(node, 0), build.constant(node, 1, "kernel")
    groups = int(node.attrs.get("num_group", 1))
    return convolution(
        build, node, value, _windows(node, value), kernel, _bias(build, node), groups
    )


def deconv(build: Building, node: SourceNode) -> Value:
    """`Deconvolution`."""
    _check_layout(node)
    value, kernel = build.input(node, 0), build.constant(node, 1, "kernel")
    windows = _windows(node, value)
    rank = len(windows.kernel)
    extra = node.ints("adj", (0,) * rank) or (0,) * rank
    target = node.attrs.get("target_shape")
    if isinstance(target, tuple) and any(target):
        pads, extra = _pads_for(windows, target)
        windows = dataclasses.replace(windows, pads=pads)
    groups = int(node.attrs.get("num_group", 1))
    bias = _bias(build, node)
    return transposed_convolution(build, node, value, windows, kernel, bias, groups, extra)


def _pads_for(
    windows: Windows, target: tuple[int, ...]
) -> tuple[tuple[tuple[int, int], ...], tuple[int, ...]]:
    """Padding and extra positions such that the output has the wanted sizes."""
    pads, extra = [], []
    for size, stride, reach, wanted in zip(
        windows.sizes, windows.strides, windows.reach, target, strict=True
    ):
        total = stride * (size - 1) + reach - wanted
        if total < 0:
            raise NotConvertible(f"its target {target} is larger than what it computes")
        pads.append(((total + 1) // 2,) * 2)
        extra.append(total % 2)
    return tuple(pads), tuple(extra)


def pooling(build: Building, node: SourceNode) -> Value:
    """`Pooling` with both conventions."""
    _check_layout(node)
    value, kind = build.input(node, 0), node.attrs.get("pool_type", "max")
    if kind not in ("max", "avg", "sum"):
        raise NotConvertible(f"pooling of type {kind!r} has no Keras counterpart")
    if node.attrs.get("global_pool"):
        if kind == "sum":
            raise NotConvertible("sums over all positions")
        return global_pool(build, node, value, "max" if kind == "max" else "average")
    convention = node.attrs.get("pooling_convention", "valid")
    windows = _windows(node, value)
    if convention == "full":
        windows = dataclasses.replace(windows, ceil=True)
    elif convention != "valid":
        raise NotConvertible(f"its convention {convention!r} is unknown")
    if kind == "max":
        return max_pool(build, node, value, windows)
    if kind == "sum":
        return sum_pool(build, node, value, windows)
    counts = node.attrs.get("count_include_pad", True) is not False
    return average_pool(build, node, value, windows, counts)


def batch_norm(build: Building, node: SourceNode) -> Value:
    """`BatchNorm`: with `fix_gamma`, which is the default, the scale is 1 whatever the file has."""
    names = ("scale", "offset", "mean", "variance")
    arrays = [build.constant(node, place + 1, name) for place, name in enumerate(names)]
    if node.attrs.get("fix_gamma", True):
        arrays[0] = np.ones_like(arrays[0])
    epsilon, momentum = float(node.attrs.get("eps", 1e-3)), float(node.attrs.get("momentum", 0.9))
    axis = int(node.attrs.get("axis", 1))
    return normalization.batch_norm(
        build, node, build.input(node, 0), arrays, epsilon, momentum, axis
    )


def instance_norm(build: Building, node: SourceNode) -> Value:
    """`InstanceNorm`."""
    scale, offset = build.constant(node, 1, "scale"), build.constant(node, 2, "offset")
    epsilon = float(node.attrs.get("eps", 1e-3))
    return normalization.instance_norm(build, node, build.input(node, 0), scale, offset, epsilon)


def group_norm(build: Building, node: SourceNode) -> Value:
    """`GroupNorm`."""
    value, groups = build.input(node, 0), int(node.attrs.get("num_groups", 1))
    scale, offset = build.constant(node, 1, "scale"), build.constant(node, 2, "offset")
    if scale.size != value.shape[1]:
        scale, offset = (np.repeat(array, value.shape[1] // groups) for array in (scale, offset))
    epsilon = float(node.attrs.get("eps", 1e-5))
    return normalization.group_norm(build, node, value, groups, scale, offset, epsilon)


def layer_norm(build: Building, node: SourceNode) -> Value:
    """`LayerNorm` over the last axis."""
    value, axis = build.input(node, 0), int(node.attrs.get("axis", -1))
    if axis % value.rank != value.rank - 1:
        raise NotConvertible("normalizes over an axis other than the last")
    scale, offset = build.constant(node, 1, "scale"), build.constant(node, 2, "offset")
    epsilon = float(node.attrs.get("eps", 1e-5))
    return normalization.layer_norm(build, node, value, -1, scale, offset, epsilon)


def l2_normalization(build: Building, node: SourceNode) -> Value:
    """`L2Normalization`: divided by the root of the sum of squares plus a small number."""
    value, mode = build.input(node, 0), node.attrs.get("mode", "instance")
    ranges = {
        "instance": range(1, value.rank),
        "channel": range(1, 2),
        "spatial": range(2, value.rank),
    }
    if mode not in ranges:
        raise NotConvertible(f"its mode {mode!r} is unknown")
    tensor, order = build.in_order(node, value)
    places = tuple(order.index(axis) for axis in ranges[mode])
    epsilon = float(node.attrs.get("eps", 1e-10))
    squares = build.op(node, keras.ops.square, tensor, suffix="square")
    total = build.op(node, keras.ops.sum, squares, axis=places, keepdims=True, suffix="sum")
    shifted = build.op(node, keras.ops.add, total, epsilon, suffix="epsilon")
    root = build.op(node, keras.ops.sqrt, shifted, suffix="root")
    tensor = build.op(node, keras.ops.divide, tensor, root)
    return build.result(tensor, order, like=value.axes)


def fully_connected(build: Building, node: SourceNode) -> Value:
    """`FullyConnected`: flattens what it reads unless told not to."""
    value, kernel = build.input(node, 0), build.constant(node, 1, "weights")
    if node.attrs.get("flatten", True) and value.rank > 2:
        value = build.reshape(node, value, (value.shape[0], math.prod(value.shape[1:])))
    return dense.dense(build, node, value, kernel.T, _bias(build, node))


def upsampling(build: Building, node: SourceNode) -> Value:
    """`UpSampling`: nearest, or bilinear with the weights of its own that the file holds."""
    value, scale = build.input(node, 0), int(node.attrs["scale"])
    if node.attrs.get("sample_type", "nearest") == "nearest":
        if int(node.attrs.get("num_args", 1)) != 1:
            raise NotConvertible("enlarges several tensors at once")
        factors = {axis: float(scale) for axis in (2, 3)}
        sizes = {axis: value.shape[axis] * scale for axis in (2, 3)}
        rule = resizing.Rule(mode="nearest", coordinates="asymmetric", rounding="floor")
        return resizing.resize(build, node, value, sizes, factors, rule)
    kernel = build.constant(node, 1, "kernel")
    pad, reach = math.ceil((scale - 1) / 2), 2 * scale - scale % 2
    windows = windows_of(
        value,
        kernel=(reach, reach),
        strides=(scale, scale),
        dilations=(1, 1),
        pads=((pad, pad), (pad, pad)),
    )
    channels = value.shape[1]
    return transposed_convolution(build, node, value, windows, kernel, None, channels, (0, 0))


def bilinear_resize(build: Building, node: SourceNode) -> Value:
    """`_contrib_BilinearResize2D` to given sizes or by factors."""
    value, mode = build.input(node, 0), node.attrs.get("mode", "size")
    if mode != "size":
        raise NotConvertible(f"its mode {mode!r} has no Keras counterpart; `size` has")
    sizes = {}
    for axis, name in ((2, "height"), (3, "width")):
        scale = node.attrs.get(f"scale_{name}")
        size = value.shape[axis] * scale if isinstance(scale, (int, float)) else None
        sizes[axis] = int(node.attrs.get(name, 1) if size is None else size)
    corners = node.attrs.get("align_corners", True)
    rule = resizing.Rule(mode="linear", coordinates="align_corners" if corners else "half_pixel")
    factors = {axis: size / value.shape[axis] for axis, size in sizes.items()}
    return resizing.resize(build, node, value, sizes, factors, rule)


FUNCTIONS: Mapping[str, Function] = {
    "Convolution": conv,
    "Deconvolution": deconv,
    "Pooling": pooling,
    "BatchNorm": batch_norm,
    "BatchNorm_v1": batch_norm,
    "InstanceNorm": instance_norm,
    "GroupNorm": group_norm,
    "LayerNorm": layer_norm,
    "L2Normalization": l2_normalization,
    "FullyConnected": fully_connected,
    "UpSampling": upsampling,
    "_contrib_BilinearResize2D": bilinear_resize,
}
