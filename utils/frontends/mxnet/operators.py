"""The table of MXNet operators that can be built of Keras layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

from utils.frontends.building import Building, Function, Operators
from utils.frontends.mxnet import ops_layers, ops_shape
from utils.frontends.parts import pointwise
from utils.frontends.source import NotConvertible, SourceNode
from utils.frontends.values import Value

LOSSES = frozenset(
    (
        "SoftmaxOutput",
        "LinearRegressionOutput",
        "LogisticRegressionOutput",
        "MAERegressionOutput",
    )
)
"""Operators whose second input is a label; their output is what the network predicts."""

_ACTIVATIONS = {
    "relu": "relu",
    "sigmoid": "sigmoid",
    "tanh": "tanh",
    "softrelu": "softplus",
    "softsign": "softsign",
    "silu": "silu",
    "swish": "silu",
    "mish": "mish",
}
_NONNEGATIVE = frozenset(("sigmoid", "softplus"))


def _activate(build: Building, node: SourceNode, value: Value, name: str) -> Value:
    if name == "relu":
        return pointwise.activation(build, node, value, keras.layers.ReLU, nonnegative=True)
    sign = name in _NONNEGATIVE
    return pointwise.activation(
        build, node, value, keras.layers.Activation, nonnegative=sign, activation=name
    )


def activation(build: Building, node: SourceNode) -> Value:
    """`Activation`, and the operators named after functions."""
    name = str(node.attrs.get("act_type", node.op))
    if name not in _ACTIVATIONS:
        raise NotConvertible(f"its function {name!r} has no Keras counterpart")
    return _activate(build, node, build.input(node, 0), _ACTIVATIONS[name])


def leaky_relu(build: Building, node: SourceNode) -> Value:
    """`LeakyReLU` with all its variants; the random one has its mean slope, as in inference."""
    value, kind = build.input(node, 0), node.attrs.get("act_type", "leaky")
    slope = float(node.attrs.get("slope", 0.25))
    if kind == "prelu":
        weight = build.constant(node, 1, "slope")
        shape = (weight.size,) + (1,) * (value.rank - 2) if weight.ndim == 1 else weight.shape
        return pointwise.prelu(build, node, value, weight.reshape(shape))
    if kind == "rrelu":
        bounds = (node.attrs.get("lower_bound", 0.125), node.attrs.get("upper_bound", 0.334))
        slope, kind = (float(bounds[0]) + float(bounds[1])) / 2, "leaky"
    if kind == "leaky":
        return pointwise.activation(
            build, node, value, keras.layers.LeakyReLU, negative_slope=slope
        )
    if kind == "elu":
        return pointwise.activation(build, node, value, keras.layers.ELU, alpha=slope)
    if kind == "selu":
        return _activate(build, node, value, "selu")
    if kind == "gelu":
        return pointwise.unary(build, node, value, keras.ops.gelu, approximate=False)
    raise NotConvertible(f"its variant {kind!r} is unknown")


def _unary(function: Any, nonnegative: bool = False) -> Function:
    def convert(build: Building, node: SourceNode) -> Value:
        return pointwise.unary(build, node, build.input(node, 0), function, nonnegative=nonnegative)

    return convert


def _combination(kind: str) -> Function:
    def convert(build: Building, node: SourceNode) -> Value:
        values = [build.input(node, place) for place in range(len(node.inputs))]
        return pointwise.combine(build, node, values, kind) if len(values) > 1 else values[0]

    return convert


def _with_scalar(kind: str, reverse: bool = False) -> Function:
    def convert(build: Building, node: SourceNode) -> Value:
        value = build.input(node, 0)
        scalar = Value(array=np.asarray(float(node.attrs["scalar"]), np.float32))
        if kind == "power" and not reverse and float(node.attrs["scalar"]) == 2.0:
            return pointwise.unary(build, node, value, keras.ops.square, nonnegative=True)
        operands = [scalar, value] if reverse else [value, scalar]
        return pointwise.combine(build, node, operands, kind)

    return convert


def clip(build: Building, node: SourceNode) -> Value:
    """`clip`."""
    low, high = float(node.attrs["a_min"]), float(node.attrs["a_max"])
    return pointwise.clip(build, node, build.input(node, 0), low, high)


def hard_sigmoid(build: Building, node: SourceNode) -> Value:
    """`hard_sigmoid`."""
    value = build.input(node, 0)
    slope, offset = float(node.attrs.get("alpha", 0.2)), float(node.attrs.get("beta", 0.5))
    value = pointwise.unary(build, node, value, keras.ops.multiply, slope, suffix="slope")
    value = pointwise.unary(build, node, value, keras.ops.add, offset, suffix="offset")
    return pointwise.unary(build, node, value, keras.ops.clip, 0.0, 1.0, nonnegative=True)


def softmax(build: Building, node: SourceNode) -> Value:
    """`softmax` and `log_softmax`."""
    value = build.input(node, 0)
    if node.attrs.get("temperature") not in (None, 1.0, 1, "None"):
        raise NotConvertible("its temperature is not 1")
    axis = int(node.attrs.get("axis", -1)) % value.rank
    is_log = node.op == "log_softmax"
    return pointwise.softmax(build, node, value, [axis], is_log=is_log)


def softmax_output(build: Building, node: SourceNode) -> Value:
    """`SoftmaxOutput` and `SoftmaxActivation`: over channels, or over all but the batch."""
    value = build.input(node, 0)
    by_channel = node.attrs.get("multi_output") or node.attrs.get("mode") == "channel"
    if node.attrs.get("preserve_shape") and not by_channel:
        return pointwise.softmax(build, node, value, [value.rank - 1])
    over = [1] if by_channel or value.rank == 2 else list(range(1, value.rank))
    return pointwise.softmax(build, node, value, over)


def round_away(build: Building, node: SourceNode) -> Value:
    """`round`: halves go away from zero; `keras.ops.round` puts them on even numbers."""
    value = build.input(node, 0)
    sign = pointwise.unary(build, node, value, keras.ops.sign, suffix="sign")
    size = pointwise.unary(build, node, value, keras.ops.abs, suffix="size")
    # The number below a half: with the half itself what lies closely below one would pass it.
    below = float(np.nextafter(np.float32(0.5), np.float32(0)))
    size = pointwise.unary(build, node, size, keras.ops.add, below, suffix="shifted")
    size = pointwise.unary(build, node, size, keras.ops.floor, suffix="whole")
    return pointwise.combine(build, node, [size, sign], "multiply")


def logistic(build: Building, node: SourceNode) -> Value:
    """`LogisticRegressionOutput`."""
    return _activate(build, node, build.input(node, 0), "sigmoid")


_KINDS = {"add": "add", "sub": "subtract", "mul": "multiply", "div": "divide"}
_COMBINATIONS: Mapping[str, str] = {
    **{f"elemwise_{name}": kind for name, kind in _KINDS.items()},
    **{f"broadcast_{name}": kind for name, kind in _KINDS.items()},
    "broadcast_plus": "add",
    "broadcast_minus": "subtract",
    "broadcast_maximum": "maximum",
    "broadcast_minimum": "minimum",
    "broadcast_power": "power",
    "_maximum": "maximum",
    "_minimum": "minimum",
    "_plus": "add",
    "_Plus": "add",
    "_Minus": "subtract",
    "_minus": "subtract",
    "_Mul": "multiply",
    "_mul": "multiply",
    "_Div": "divide",
    "_div": "divide",
    "add_n": "add",
    "ElementWiseSum": "add",
    "_sum": "add",
}
_SCALARS: Mapping[str, Function] = {
    "_plus_scalar": _with_scalar("add"),
    "_PlusScalar": _with_scalar("add"),
    "_minus_scalar": _with_scalar("subtract"),
    "_MinusScalar": _with_scalar("subtract"),
    "_rminus_scalar": _with_scalar("subtract", reverse=True),
    "_RMinusScalar": _with_scalar("subtract", reverse=True),
    "_mul_scalar": _with_scalar("multiply"),
    "_MulScalar": _with_scalar("multiply"),
    "_div_scalar": _with_scalar("divide"),
    "_DivScalar": _with_scalar("divide"),
    "_rdiv_scalar": _with_scalar("divide", reverse=True),
    "_RDivScalar": _with_scalar("divide", reverse=True),
    "_power_scalar": _with_scalar("power"),
    "_PowerScalar": _with_scalar("power"),
    "_maximum_scalar": _with_scalar("maximum"),
    "_minimum_scalar": _with_scalar("minimum"),
}
_UNARY: Mapping[str, tuple[Callable[..., Any], bool]] = {
    "abs": (keras.ops.abs, True),
    "negative": (keras.ops.negative, False),
    "exp": (keras.ops.exp, True),
    "log": (keras.ops.log, False),
    "sqrt": (keras.ops.sqrt, True),
    "rsqrt": (keras.ops.rsqrt, True),
    "square": (keras.ops.square, True),
    "erf": (keras.ops.erf, False),
    "floor": (keras.ops.floor, False),
    "ceil": (keras.ops.ceil, False),
    "sign": (keras.ops.sign, False),
    "sin": (keras.ops.sin, False),
    "cos": (keras.ops.cos, False),
}
FUNCTIONS: Mapping[str, Function] = {
    **{name: _combination(kind) for name, kind in _COMBINATIONS.items()},
    **_SCALARS,
    **{name: _unary(function, sign) for name, (function, sign) in _UNARY.items()},
    **{name: activation for name in ("relu", "sigmoid", "tanh", "softsign")},
    "Activation": activation,
    "LeakyReLU": leaky_relu,
    "clip": clip,
    "hard_sigmoid": hard_sigmoid,
    "round": round_away,
    "softmax": softmax,
    "log_softmax": softmax,
    "SoftmaxOutput": softmax_output,
    "Softmax": softmax_output,
    "SoftmaxActivation": softmax_output,
    "LogisticRegressionOutput": logistic,
    "LinearRegressionOutput": ops_shape.identity,
    "MAERegressionOutput": ops_shape.identity,
    **ops_layers.FUNCTIONS,
    **ops_shape.FUNCTIONS,
}

OPERATORS = Operators(
    functions=FUNCTIONS,
    folds={},
    spatial=frozenset(
        "Convolution Deconvolution Pooling BatchNorm BatchNorm_v1 UpSampling LRN InstanceNorm "
        "L2Normalization".split()
    ),
    passing=frozenset(
        (
            *_COMBINATIONS,
            *_SCALARS,
            *_UNARY,
            *"relu Activation LeakyReLU clip Concat Dropout identity _copy pad Pad".split(),
            *"round Cast".split(),
        )
    ),
)
