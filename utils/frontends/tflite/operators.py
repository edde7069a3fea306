"""TFLite's operators in Keras layers, and the names that the schema gives their settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from utils.frontends.arithmetic import dequantized
from utils.frontends.building import Building, Operators
from utils.frontends.nhwc import activations, images, pointwise, shapes, weighted
from utils.frontends.nhwc.folds import FOLDS, Arrays, Fold, one
from utils.frontends.parts.dense import dense
from utils.frontends.source import NotConvertible, SourceNode
from utils.frontends.values import Value

_PADDING = {schema.Padding.SAME: "same", schema.Padding.VALID: "valid"}
_ACTIVATIONS = {
    schema.ActivationFunctionType.NONE: None,
    schema.ActivationFunctionType.RELU: "relu",
    schema.ActivationFunctionType.RELU_N1_TO_1: "relu_n1_to_1",
    schema.ActivationFunctionType.RELU6: "relu6",
    schema.ActivationFunctionType.TANH: "tanh",
}
_TYPES = {
    code: name.lower() for name, code in vars(schema.TensorType).items() if isinstance(code, int)
}
_MODES = {schema.MirrorPadMode.REFLECT: "reflect", schema.MirrorPadMode.SYMMETRIC: "symmetric"}


def settings(options: Mapping[str, Any]) -> dict[str, Any]:
    """Give an operator's settings the names that `utils.frontends.nhwc` has for them.

    Args:
        options: by the schema's names.
    """
    read: dict[str, Callable[[Any], Any]] = {
        "padding": lambda value: _PADDING.get(value, "valid"),
        "fusedActivationFunction": lambda value: _ACTIVATIONS.get(value, f"number {value}"),
        "newShape": lambda value: None if value is None else [int(size) for size in value],
        "squeezeDims": lambda value: () if value is None else tuple(map(int, value)),
        "outDataType": lambda value: _TYPES.get(value, f"type {value}"),
        "mode": lambda value: _MODES.get(value, "constant"),
    }
    found = {_NAMES.get(name, name): read[name](value) if name in read else value
             for name, value in options.items()}  # fmt: skip
    for pair, first, second in (
        ("strides", "strideH", "strideW"),
        ("dilations", "dilationHFactor", "dilationWFactor"),
        ("size", "filterHeight", "filterWidth"),
    ):
        if first in found:
            found[pair] = (int(found[first]), int(found[second]))
    return found


_NAMES = {
    "alignCorners": "align_corners",
    "batchDims": "batch_dims",
    "beginMask": "begin_mask",
    "blockSize": "block",
    "ellipsisMask": "ellipsis_mask",
    "endMask": "end_mask",
    "fusedActivationFunction": "activation",
    "halfPixelCenters": "half_pixel_centers",
    "keepDims": "keepdims",
    "newAxisMask": "new_axis_mask",
    "newShape": "shape",
    "numSplits": "num_split",
    "outDataType": "dtype",
    "shrinkAxisMask": "shrink_axis_mask",
    "squeezeDims": "axes",
}


def _kernel(b: Building, node: SourceNode, order: tuple[int, ...]) -> np.ndarray:
    kernel = np.asarray(b.constant(node, 1, "kernel"), np.float32)
    if kernel.ndim != len(order):
        raise NotConvertible(f"its kernel has the shape {kernel.shape}")
    return kernel.transpose(order)


def _bias(b: Building, node: SourceNode, place: int = 2) -> np.ndarray | None:
    if not b.has(node, place):
        return None
    return np.asarray(b.constant(node, place, "bias"), np.float32).reshape(-1)


def _conv(b: Building, node: SourceNode) -> Value:
    return weighted.convolution(b, node, _kernel(b, node, (1, 2, 3, 0)), _bias(b, node))


def _depthwise(b: Building, node: SourceNode) -> Value:
    kernel = _kernel(b, node, (1, 2, 3, 0))[..., 0]  # [height, width, channels * multiplier]
    channels = b.input(node, 0).shape[-1]
    if not channels or kernel.shape[-1] % channels:
        raise NotConvertible(f"its kernel of shape {kernel.shape} does not fit {channels} channels")
    kernel = kernel.reshape(*kernel.shape[:2], channels, -1)
    return weighted.depthwise(b, node, kernel, _bias(b, node))


def _transpose_conv(b: Building, node: SourceNode) -> Value:
    size = b.constant(node, 0, "shape", is_shape=True).reshape(-1)
    if size.size != 4:
        raise NotConvertible(f"its shape is {size}")
    kernel, bias = _kernel(b, node, (1, 2, 0, 3)), _bias(b, node, 3)
    wanted = (int(size[1]), int(size[2]))
    return weighted.transposed(b, node, b.input(node, 2), kernel, bias, wanted)


def _fully_connected(b: Building, node: SourceNode) -> Value:
    value = b.input(node, 0)
    kernel, bias = _kernel(b, node, (1, 0)), _bias(b, node)
    keeps = bool(node.attrs.get("keepNumDims", False))
    if not keeps and value.rank > 2 and value.shape[-1] != kernel.shape[0]:
        value = b.reshape(node, value, (-1, kernel.shape[0]))
    result = dense(b, node, value, kernel, bias)
    if not keeps and result.rank > 2:
        result = b.reshape(node, result, (-1, kernel.shape[1]))
    return activations.activated(b, node, result)


def _batch_matmul(b: Building, node: SourceNode) -> Value:
    swap = (bool(node.attrs.get("adjX")), bool(node.attrs.get("adjY")))
    return shapes.product(b, node, b.input(node, 0), b.input(node, 1), swap)


def _l2_normalization(b: Building, node: SourceNode) -> Value:
    value = b.input(node, 0)
    tensor, order = b.channels_last(node, value, value.rank - 1)
    total = b.op(node, keras.ops.sum, keras.ops.square(tensor), axis=-1, keepdims=True)
    floor = b.op(node, keras.ops.maximum, total, 1e-12, suffix="floor")
    result = b.op(node, keras.ops.multiply, tensor, keras.ops.rsqrt(floor), suffix="scaled")
    return activations.activated(b, node, b.result(result, order, like=value.layout))


def _dequantize_alone(b: Building, node: SourceNode) -> Value:
    raise NotConvertible(
        "turns integers of an int8 file into floats; give the float file that it was made from"
    )


def _dequantized(node: SourceNode, arrays: Arrays) -> Arrays:
    """Compute weights: float16 widened, integers times their steps."""
    array = arrays[0]
    if array.dtype.kind == "f":
        return [array.astype(np.float32)]
    scale, zero = node.attrs["scale"], node.attrs["zero_point"]
    return [dequantized(array, scale, zero, int(node.attrs["quantized_axis"]))]


_LAYERS: dict[str, Callable[..., Any]] = {
    "AVERAGE_POOL_2D": lambda b, node: weighted.pool(b, node, "mean"),
    "BATCH_MATMUL": _batch_matmul,
    "CONV_2D": _conv,
    "DEPTHWISE_CONV_2D": _depthwise,
    "FULLY_CONNECTED": _fully_connected,
    "MAX_POOL_2D": lambda b, node: weighted.pool(b, node, "max"),
    "TRANSPOSE_CONV": _transpose_conv,
}
_ACTIVATION_OPERATORS: dict[str, Callable[..., Any]] = {
    **{
        name.upper(): activations.plain(name)
        for name in ("relu", "relu6", "relu_n1_to_1", "relu_0_to_1", "tanh", "hard_swish", "elu")
    },
    "GELU": activations.gelu,
    "LEAKY_RELU": activations.leaky_relu,
    "LOGISTIC": activations.plain("sigmoid"),
    "LOG_SOFTMAX": activations.log_softmax,
    "PRELU": activations.prelu,
    "SOFTMAX": activations.softmax,
}
_SHAPES: dict[str, Callable[..., Any]] = {
    "ARG_MAX": shapes.best(keras.ops.argmax),
    "ARG_MIN": shapes.best(keras.ops.argmin),
    "BROADCAST_TO": shapes.broadcast,
    "CONCATENATION": shapes.concatenate,
    "DEPTH_TO_SPACE": images.depth_to_space,
    "DEQUANTIZE": _dequantize_alone,
    "EXPAND_DIMS": shapes.expand,
    "GATHER": lambda b, node: shapes.gather(b, node, int(node.attrs.get("axis") or 0)),
    "L2_NORMALIZATION": _l2_normalization,
    "MEAN": shapes.reduced("mean"),
    "MIRROR_PAD": shapes.pad,
    "PACK": shapes.pack,
    "PAD": shapes.pad,
    "PADV2": shapes.pad,
    "RANK": shapes.rank_of,
    "REDUCE_ALL": shapes.reduced("all"),
    "REDUCE_ANY": shapes.reduced("any"),
    "REDUCE_MAX": shapes.reduced("max"),
    "REDUCE_MIN": shapes.reduced("min"),
    "REDUCE_PROD": shapes.reduced("prod"),
    "RESHAPE": shapes.reshape,
    "RESIZE_BILINEAR": images.resize("bilinear"),
    "RESIZE_NEAREST_NEIGHBOR": images.resize("nearest"),
    "REVERSE_V2": shapes.reverse,
    "SHAPE": shapes.shape_of,
    "SLICE": shapes.slice_of,
    "SPACE_TO_DEPTH": images.space_to_depth,
    "SPLIT": shapes.split_evenly,
    "SPLIT_V": shapes.split_by_sizes,
    "SQUEEZE": shapes.squeeze,
    "STRIDED_SLICE": shapes.strided_slice,
    "SUM": shapes.reduced("sum"),
    "TILE": shapes.tile,
    "TRANSPOSE": shapes.transpose,
    "UNPACK": shapes.unpack,
}
# TFLite's name -> the name in the shared tables.
_POINTWISE = {
    "ABS": "abs",
    "ADD": "add",
    "CEIL": "ceil",
    "COS": "cos",
    "DIV": "divide",
    "EQUAL": "equal",
    "EXP": "exp",
    "FLOOR": "floor",
    "FLOOR_DIV": "floor_divide",
    "FLOOR_MOD": "mod",
    "GREATER": "greater",
    "GREATER_EQUAL": "greater_equal",
    "LESS": "less",
    "LESS_EQUAL": "less_equal",
    "LOG": "log",
    "LOGICAL_AND": "logical_and",
    "LOGICAL_NOT": "logical_not",
    "LOGICAL_OR": "logical_or",
    "MAXIMUM": "maximum",
    "MINIMUM": "minimum",
    "MUL": "multiply",
    "NEG": "negative",
    "NOT_EQUAL": "not_equal",
    "POW": "power",
    "ROUND": "round",
    "RSQRT": "rsqrt",
    "SIGN": "sign",
    "SIN": "sin",
    "SQRT": "sqrt",
    "SQUARE": "square",
    "SUB": "subtract",
}
_FOLDED = {
    **_POINTWISE,
    "BROADCAST_TO": "broadcast",
    "CAST": "cast",
    "CONCATENATION": "concatenate",
    "DENSIFY": "same",  # written out when the file was read
    "EXPAND_DIMS": "expand",
    "FILL": "fill",
    "GATHER": "gather",
    "PACK": "pack",
    "PAD": "pad",
    "PADV2": "pad",
    "RANGE": "range",
    "RANK": "rank",
    "REDUCE_MAX": "max",
    "REDUCE_MIN": "min",
    "REDUCE_PROD": "prod",
    "RESHAPE": "reshape",
    "REVERSE_V2": "reverse",
    "SELECT": "where",
    "SELECT_V2": "where",
    "SHAPE": "shape",
    "SLICE": "slice",
    "SPLIT": "split",
    "SPLIT_V": "split_sizes",
    "SQUEEZE": "squeeze",
    "STRIDED_SLICE": "strided",
    "SUM": "sum",
    "TILE": "tile",
    "TRANSPOSE": "transpose",
    "UNPACK": "unpack",
}
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    **_LAYERS,
    **_ACTIVATION_OPERATORS,
    **_SHAPES,
    "ADD_N": pointwise.add_all,
    "CAST": pointwise.cast,
    "SELECT": pointwise.where,
    "SELECT_V2": pointwise.where,
    "SQUARED_DIFFERENCE": pointwise.squared_difference,
    **{
        name: pointwise.unary(shared)
        for name, shared in _POINTWISE.items()
        if shared in pointwise.UNARY
    },
    **{
        name: pointwise.binary(shared)
        for name, shared in _POINTWISE.items()
        if shared in pointwise.BINARY
    },
}
_FOLDS: dict[str, Fold] = {
    **{name: FOLDS[shared] for name, shared in _FOLDED.items() if shared in FOLDS},
    "DEQUANTIZE": _dequantized,
    "ZEROS_LIKE": one(np.zeros_like),
}
OPERATORS = Operators(functions=_FUNCTIONS, folds=_FOLDS, spatial=frozenset(), passing=frozenset())
"""TFLite's images have their channels last already: none is given another order."""
