"""TensorFlow's operations in Keras layers, and the names that it gives their settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

from utils.frontends.building import Building, Operators
from utils.frontends.nhwc import activations, images, pointwise, shapes, weighted
from utils.frontends.nhwc.folds import FOLDS, Arrays, Fold, one
from utils.frontends.parts.dense import einsum
from utils.frontends.source import SourceNode, check_size
from utils.frontends.tensorflow import layers
from utils.frontends.tensorflow.norms import BATCH_NORM
from utils.frontends.values import Value

_NAMES = {
    "DstT": "dtype",
    "block_size": "block",
    "ksize": "size",
    "squeeze_dims": "axes",
    "keep_dims": "keepdims",
}
IMAGES = frozenset(
    "AvgPool BiasAdd Conv2D Conv2DBackpropInput DepthToSpace DepthwiseConv2dNative FusedBatchNorm "
    "FusedBatchNormV2 FusedBatchNormV3 MaxPool SpaceToDepth".split()
)
"""Operations with a `data_format`."""

PASSING = frozenset(
    "Add AddV2 Identity Maximum Minimum Mul Pad PadV2 Relu Relu6 Sigmoid Sub Tanh".split()
)


def settings(op: str, attrs: Mapping[str, Any]) -> dict[str, Any]:
    """Give an operation's settings the names that `utils.frontends.nhwc` has for them.

    Args:
        op: TensorFlow's name of the operation.
        attrs: by TensorFlow's names.
    """
    found = {_NAMES.get(name, name): value for name, value in attrs.items()}
    first = op in IMAGES and found.get("data_format") == "NCHW"
    found["channel_axis"] = 1 if first else 3
    spatial = slice(2, 4) if first else slice(1, 3)
    for name in ("strides", "dilations", "size"):
        if isinstance(found.get(name), list) and len(found[name]) == 4:
            found[name] = tuple(found[name][spatial])
    padding = found.get("padding")
    if padding == "EXPLICIT":
        pairs = np.reshape(found.get("explicit_paddings") or [0] * 8, (-1, 2)).tolist()
        found["padding"] = tuple(map(tuple, pairs[spatial]))
    elif isinstance(padding, str):
        found["padding"] = padding.lower()
    if op == "MirrorPad":
        found["mode"] = str(found.get("mode")).lower()
    if op == "LeakyRelu":
        found.setdefault("alpha", 0.2)
    if op in ("All", "Any", "Max", "Mean", "Min", "Prod", "Sum"):
        found.setdefault("keepdims", False)
    return found


# --- shapes --------------------------------------------------------------------------------------


def _with(node: SourceNode, count: int | None = None, **attrs: Any) -> SourceNode:
    inputs = node.inputs if count is None else node.inputs[:count]
    return SourceNode(node.name, node.op, inputs, node.outputs, {**node.attrs, **attrs})


def _number(array: np.ndarray) -> int:
    return int(np.asarray(array).reshape(()))


def _concat(b: Building, node: SourceNode) -> Value:
    place = len(node.inputs) - 1
    axis = _number(b.constant(node, place, "axis"))
    return shapes.concatenate(b, _with(node, place, axis=axis))


def _gather(b: Building, node: SourceNode) -> Value:
    return shapes.gather(b, node, _number(b.constant(node, 2, "axis")) if b.has(node, 2) else 0)


def _identities(b: Building, node: SourceNode) -> list[Value]:
    return [b.input(node, place) for place in range(len(node.inputs))]


def _erfc(b: Building, node: SourceNode) -> Value:
    value = b.input(node, 0)
    erf = b.op(node, keras.ops.erf, value.tensor, suffix="erf")
    return value.replace(tensor=b.op(node, keras.ops.subtract, 1.0, erf))


# --- constants -----------------------------------------------------------------------------------


def _constant_concat(node: SourceNode, arrays: Arrays) -> Arrays:
    check_size((sum(array.size for array in arrays),))
    return [np.concatenate(arrays[:-1], _number(arrays[-1]))]


def _constant_gather(node: SourceNode, arrays: Arrays) -> Arrays:
    axis = _number(arrays[2]) if len(arrays) > 2 else 0
    return list(FOLDS["gather"](_with(node, axis=axis), arrays))


def _one_hot(node: SourceNode, arrays: Arrays) -> Arrays:
    depth = _number(arrays[1])
    check_size((*arrays[0].shape, max(depth, 0)))
    is_hot = arrays[0][..., None] == np.arange(depth)
    hot = np.where(is_hot, arrays[2], arrays[3])
    return [np.moveaxis(hot, -1, int(node.attrs.get("axis", -1)))]


# TensorFlow's name -> the name in the shared tables.
_POINTWISE = {
    "Abs": "abs",
    "Add": "add",
    "AddV2": "add",
    "Ceil": "ceil",
    "Cos": "cos",
    "Div": "divide",
    "DivNoNan": "divide_no_nan",
    "Equal": "equal",
    "Erf": "erf",
    "Exp": "exp",
    "Floor": "floor",
    "FloorDiv": "floor_divide",
    "FloorMod": "mod",
    "Greater": "greater",
    "GreaterEqual": "greater_equal",
    "Inv": "reciprocal",
    "Less": "less",
    "LessEqual": "less_equal",
    "Log": "log",
    "Log1p": "log1p",
    "LogicalAnd": "logical_and",
    "LogicalNot": "logical_not",
    "LogicalOr": "logical_or",
    "Maximum": "maximum",
    "Minimum": "minimum",
    "Mul": "multiply",
    "Neg": "negative",
    "NotEqual": "not_equal",
    "Pow": "power",
    "RealDiv": "divide",
    "Reciprocal": "reciprocal",
    "Round": "round",
    "Rsqrt": "rsqrt",
    "Sign": "sign",
    "Sin": "sin",
    "Sqrt": "sqrt",
    "Square": "square",
    "Sub": "subtract",
}
_HANDED_ON = "CheckNumerics EnsureShape Identity PreventGradient Snapshot StopGradient".split()
_REDUCED = {"All": "all", "Any": "any", "Max": "max", "Mean": "mean", "Min": "min", "Prod": "prod",
            "Sum": "sum"}  # fmt: skip
_FUNCTIONS: dict[str, Callable[..., Any]] = {
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
    **dict.fromkeys(_HANDED_ON, pointwise.same),
    **{name: shapes.reduced(kind) for name, kind in _REDUCED.items()},
    **{
        name.capitalize(): activations.plain(name)
        for name in ("elu", "relu", "relu6", "selu", "sigmoid", "softplus", "softsign", "tanh")
    },
    **dict.fromkeys(("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"), layers.fused_norm),
    **dict.fromkeys(("BatchMatMul", "BatchMatMulV2", "BatchMatMulV3", "MatMul"), layers.matmul),
    "AddN": pointwise.add_all,
    "ArgMax": shapes.best(keras.ops.argmax),
    "ArgMin": shapes.best(keras.ops.argmin),
    "AvgPool": lambda b, node: weighted.pool(b, node, "mean"),
    BATCH_NORM: layers.norm,
    "BiasAdd": layers.bias_add,
    "BroadcastTo": shapes.broadcast,
    "Cast": pointwise.cast,
    "ClipByValue": pointwise.clip,
    "ConcatV2": _concat,
    "Conv2D": layers.conv,
    "Conv2DBackpropInput": layers.conv_transpose,
    "DepthToSpace": images.depth_to_space,
    "DepthwiseConv2dNative": layers.depthwise,
    "Einsum": lambda b, node: einsum(b, node, str(node.attrs.get("equation"))),
    "Erfc": _erfc,
    "ExpandDims": shapes.expand,
    "Gather": _gather,
    "GatherV2": _gather,
    "IdentityN": _identities,
    "LeakyRelu": activations.leaky_relu,
    "LogSoftmax": activations.log_softmax,
    "MaxPool": lambda b, node: weighted.pool(b, node, "max"),
    "MirrorPad": shapes.pad,
    "Pack": shapes.pack,
    "Pad": shapes.pad,
    "PadV2": shapes.pad,
    "Rank": shapes.rank_of,
    "Reshape": shapes.reshape,
    "ResizeBilinear": images.resize("bilinear"),
    "ResizeNearestNeighbor": images.resize("nearest"),
    "ReverseV2": shapes.reverse,
    "Select": pointwise.where,
    "SelectV2": pointwise.where,
    "Shape": shapes.shape_of,
    "Slice": shapes.slice_of,
    "Softmax": activations.softmax,
    "SpaceToBatchND": layers.dilated,
    "SpaceToDepth": images.space_to_depth,
    "Split": shapes.split_evenly,
    "SplitV": shapes.split_by_sizes,
    "SquaredDifference": pointwise.squared_difference,
    "Squeeze": shapes.squeeze,
    "StridedSlice": shapes.strided_slice,
    "Tile": shapes.tile,
    "Transpose": shapes.transpose,
    "Unpack": shapes.unpack,
}
_FOLDED = {
    **_POINTWISE,
    **dict.fromkeys(_HANDED_ON, "same"),
    **_REDUCED,
    "BroadcastTo": "broadcast",
    "Cast": "cast",
    "ExpandDims": "expand",
    "Fill": "fill",
    "MirrorPad": "pad",
    "Pack": "pack",
    "Pad": "pad",
    "PadV2": "pad",
    "PlaceholderWithDefault": "same",
    "Range": "range",
    "Rank": "rank",
    "Reshape": "reshape",
    "ReverseV2": "reverse",
    "Select": "where",
    "SelectV2": "where",
    "Shape": "shape",
    "Slice": "slice",
    "Split": "split",
    "SplitV": "split_sizes",
    "SquaredDifference": "squared_difference",
    "Squeeze": "squeeze",
    "StridedSlice": "strided",
    "Tile": "tile",
    "Transpose": "transpose",
    "Unpack": "unpack",
}
FOLDING: dict[str, Fold] = {
    **{name: FOLDS[shared] for name, shared in _FOLDED.items() if shared in FOLDS},
    "ConcatV2": _constant_concat,
    "Gather": _constant_gather,
    "GatherV2": _constant_gather,
    "IdentityN": lambda node, arrays: arrays,
    "OneHot": _one_hot,
    "OnesLike": one(np.ones_like),
    "ZerosLike": one(np.zeros_like),
}
"""What is worked out where all that an operation reads is constant."""


def operators(is_channels_first: bool) -> Operators:
    """Give the tables for a network.

    Args:
        is_channels_first: whether its images have their channels in front (NCHW).
    """
    spatial = IMAGES if is_channels_first else frozenset()
    return Operators(functions=_FUNCTIONS, folds=FOLDING, spatial=spatial, passing=PASSING)
