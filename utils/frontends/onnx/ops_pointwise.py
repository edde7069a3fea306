"""ONNX operators on single elements, and softmax."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

from utils.frontends.building import Building, Function
from utils.frontends.onnx.folding import axes_behind, cast_type
from utils.frontends.parts import moving, pointwise
from utils.frontends.source import NotConvertible, SourceNode
from utils.frontends.values import Value

_NONNEGATIVE = frozenset(("Abs", "Sqrt", "Exp", "Softplus"))


def _unary(function: Any) -> Function:
    def convert(build: Building, node: SourceNode) -> Value:
        value = build.input(node, 0)
        sign = node.op in _NONNEGATIVE
        return pointwise.unary(build, node, value, function, nonnegative=sign)

    return convert


def _activation(name: str, nonnegative: bool = False) -> Function:
    def convert(build: Building, node: SourceNode) -> Value:
        value = build.input(node, 0)
        return pointwise.activation(
            build, node, value, keras.layers.Activation, nonnegative=nonnegative, activation=name
        )

    return convert


def _combination(kind: str) -> Function:
    def convert(build: Building, node: SourceNode) -> Value:
        if node.attrs.get("fmod"):
            raise NotConvertible("its remainder has the sign of the dividend (fmod)")
        values = [build.input(node, place) for place in range(len(node.inputs))]
        if len(values) == 1:
            return values[0]
        return pointwise.combine(build, node, _laid_out(node, values), kind)

    return convert


def _laid_out(node: SourceNode, values: list[Value]) -> list[Value]:
    """Let operands broadcast as NumPy's do, also where the file is older than that."""
    if len(values) != 2:
        return values
    first, second = values
    behind = axes_behind(node, first.rank, second.rank)
    if not behind:
        return values
    if second.array is not None:
        shape = (*second.array.shape, *[1] * behind)
        return [first, second.replace(array=second.array.reshape(shape), other=None)]
    return [first, moving.unsqueeze(second, range(second.rank, second.rank + behind))]


def relu(build: Building, node: SourceNode) -> Value:
    """`Relu`."""
    value = build.input(node, 0)
    return pointwise.activation(build, node, value, keras.layers.ReLU, nonnegative=True)


def leaky_relu(build: Building, node: SourceNode) -> Value:
    """`LeakyRelu`."""
    slope = float(node.attrs.get("alpha", 0.01))
    return pointwise.activation(
        build, node, build.input(node, 0), keras.layers.LeakyReLU, negative_slope=slope
    )


def prelu(build: Building, node: SourceNode) -> Value:
    """`PRelu`."""
    value, slope = build.input(node, 0), build.constant(node, 1, "slope")
    if int(node.attrs.get("opset", 7)) < 7 and slope.ndim == 1:  # then one for each channel
        slope = slope.reshape(-1, *[1] * (value.rank - 2))
    return pointwise.prelu(build, node, value, slope)


def elu(build: Building, node: SourceNode) -> Value:
    """`Elu`."""
    alpha = float(node.attrs.get("alpha", 1.0))
    return pointwise.activation(build, node, build.input(node, 0), keras.layers.ELU, alpha=alpha)


def celu(build: Building, node: SourceNode) -> Value:
    """`Celu`."""
    alpha = float(node.attrs.get("alpha", 1.0))
    return pointwise.unary(build, node, build.input(node, 0), keras.ops.celu, alpha)


_SELU_ALPHA, _SELU_GAMMA = 1.67326319217681884765625, 1.05070102214813232421875


def selu(build: Building, node: SourceNode) -> Value:
    """`Selu`, with other than the usual constants as a scaled `Elu`."""
    alpha = float(node.attrs.get("alpha", _SELU_ALPHA))
    gamma = float(node.attrs.get("gamma", _SELU_GAMMA))
    if math.isclose(alpha, _SELU_ALPHA, rel_tol=1e-5) and math.isclose(
        gamma, _SELU_GAMMA, rel_tol=1e-5
    ):
        return _activation("selu")(build, node)  # type: ignore[return-value]
    value = pointwise.activation(
        build, node, build.input(node, 0), keras.layers.ELU, alpha=alpha, suffix="elu"
    )
    return pointwise.unary(build, node, value, keras.ops.multiply, gamma)


def clip(build: Building, node: SourceNode) -> Value:
    """`Clip` of both forms."""
    low, high = node.attrs.get("min"), node.attrs.get("max")
    if build.has(node, 1):
        low = build.constant(node, 1, "lower limit").reshape(()).item()
    if build.has(node, 2):
        high = build.constant(node, 2, "upper limit").reshape(()).item()
    low = -np.inf if low is None or low <= np.finfo(np.float32).min else low
    high = np.inf if high is None or high >= np.finfo(np.float32).max else high
    return pointwise.clip(build, node, build.input(node, 0), low, high)


def hard_sigmoid(build: Building, node: SourceNode) -> Value:
    """`HardSigmoid`: Keras' own has slope 1/6, other slopes are made of a limited rectifier."""
    alpha, beta = float(node.attrs.get("alpha", 0.2)), float(node.attrs.get("beta", 0.5))
    value = build.input(node, 0)
    if abs(alpha - 1 / 6) < 1e-6 and beta == 0.5:
        return _activation("hard_sigmoid", nonnegative=True)(build, node)  # type: ignore[return-value]
    value = pointwise.unary(build, node, value, keras.ops.multiply, alpha, suffix="slope")
    value = pointwise.unary(build, node, value, keras.ops.add, beta, suffix="offset")
    return pointwise.unary(build, node, value, keras.ops.clip, 0.0, 1.0, nonnegative=True)


def gelu(build: Building, node: SourceNode) -> Value:
    """`Gelu`."""
    is_tanh = node.attrs.get("approximate", "none") == "tanh"
    return pointwise.unary(build, node, build.input(node, 0), keras.ops.gelu, approximate=is_tanh)


def swish(build: Building, node: SourceNode) -> Value:
    """`Swish` with slope 1."""
    if float(node.attrs.get("alpha", 1.0)) != 1.0:
        raise NotConvertible("its slope is not 1")
    return _activation("silu")(build, node)  # type: ignore[return-value]


def thresholded_relu(build: Building, node: SourceNode) -> Value:
    """`ThresholdedRelu`."""
    alpha = float(node.attrs.get("alpha", 1.0))
    return pointwise.unary(build, node, build.input(node, 0), keras.ops.threshold, alpha, 0.0)


def shrink(build: Building, node: SourceNode) -> Value:
    """`Shrink` without an offset, or with one as large as its limit."""
    limit, bias = float(node.attrs.get("lambd", 0.5)), float(node.attrs.get("bias", 0.0))
    if bias not in (0.0, limit):
        raise NotConvertible(f"its offset {bias:g} is neither 0 nor its limit {limit:g}")
    function = keras.ops.hard_shrink if bias == 0 else keras.ops.soft_shrink
    return pointwise.unary(build, node, build.input(node, 0), function, limit)


def cast(build: Building, node: SourceNode) -> Value:
    """`Cast`: 64-bit numbers become 32-bit ones, as everywhere in the network."""
    value = build.input(node, 0)
    name = np.dtype(cast_type(int(node.attrs["to"]))).name
    return _as_type(build, node, value, {"int64": "int32", "uint64": "uint32"}.get(name, name))


def _as_type(build: Building, node: SourceNode, value: Value, name: str) -> Value:
    if value.tensor.dtype == name:
        return value
    sign = value.nonnegative
    return pointwise.unary(build, node, value, keras.ops.cast, name, nonnegative=sign)


def cast_like(build: Building, node: SourceNode) -> Value:
    """`CastLike`."""
    like = build.input(node, 1)
    name = like.array.dtype.name if like.array is not None else like.tensor.dtype
    value = build.input(node, 0)
    if value.array is not None:
        other = None if value.other is None else value.other.astype(name)
        return Value(array=value.array.astype(name), other=other)
    return _as_type(build, node, value, {"int64": "int32"}.get(name, name))


def power(build: Building, node: SourceNode) -> Value:
    """`Pow`: squares and roots by their own functions."""
    exponent = build.input(node, 1)
    if exponent.array is not None and exponent.array.size == 1:
        number = float(exponent.array.reshape(()))
        value = build.input(node, 0)
        simple: dict[float, Callable[..., Any]] = {2.0: keras.ops.square, 0.5: keras.ops.sqrt}
        if number == 1.0:
            return value
        if number in simple:
            return pointwise.unary(build, node, value, simple[number], nonnegative=True)
        return pointwise.unary(build, node, value, keras.ops.power, number)
    values = _laid_out(node, [build.input(node, 0), exponent])
    return pointwise.combine(build, node, values, "power")


def mean(build: Building, node: SourceNode) -> Value:
    """`Mean` of several tensors."""
    values = [build.input(node, place) for place in range(len(node.inputs))]
    total = pointwise.combine(build, node, values, "add") if len(values) > 1 else values[0]
    if len(values) == 1:
        return total
    return pointwise.unary(build, node, total, keras.ops.multiply, 1.0 / len(values))


def where(build: Building, node: SourceNode) -> Value:
    """`Where`."""
    values = [build.input(node, place) for place in range(3)]
    return pointwise.combine(build, node, values, "where", keras.ops.where)


def softmax(build: Building, node: SourceNode) -> Value:
    """`Softmax` and `LogSoftmax`: before opset 13 over all axes from the given one on."""
    value = build.input(node, 0)
    is_new = int(node.attrs.get("opset", 13)) >= 13
    axis = int(node.attrs.get("axis", -1 if is_new else 1)) % value.rank
    over = [axis] if is_new else list(range(axis, value.rank))
    return pointwise.softmax(build, node, value, over, is_log=node.op == "LogSoftmax")


FUNCTIONS: Mapping[str, Function] = {
    **{
        name: _combination(kind)
        for name, kind in {
            "Add": "add",
            "Sum": "add",
            "Sub": "subtract",
            "Mul": "multiply",
            "Div": "divide",
            "Min": "minimum",
            "Max": "maximum",
            "Mod": "mod",
            "Equal": "equal",
            "Greater": "greater",
            "GreaterOrEqual": "greater_equal",
            "Less": "less",
            "LessOrEqual": "less_equal",
            "And": "logical_and",
            "Or": "logical_or",
            "Xor": "logical_xor",
        }.items()
    },
    **{
        name: _unary(function)
        for name, function in {
            "Abs": keras.ops.abs,
            "Neg": keras.ops.negative,
            "Sqrt": keras.ops.sqrt,
            "Exp": keras.ops.exp,
            "Log": keras.ops.log,
            "Erf": keras.ops.erf,
            "Floor": keras.ops.floor,
            "Ceil": keras.ops.ceil,
            "Round": keras.ops.round,
            "Sign": keras.ops.sign,
            "Reciprocal": keras.ops.reciprocal,
            "Sin": keras.ops.sin,
            "Cos": keras.ops.cos,
            "Not": keras.ops.logical_not,
            "IsNaN": keras.ops.isnan,
        }.items()
    },
    "Relu": relu,
    "LeakyRelu": leaky_relu,
    "PRelu": prelu,
    "Elu": elu,
    "Celu": celu,
    "Selu": selu,
    "Clip": clip,
    "Sigmoid": _activation("sigmoid", nonnegative=True),
    "Tanh": _activation("tanh"),
    "Softplus": _activation("softplus", nonnegative=True),
    "Softsign": _activation("softsign"),
    "HardSwish": _activation("hard_silu"),
    "Swish": swish,
    "Mish": _activation("mish"),
    "HardSigmoid": hard_sigmoid,
    "Gelu": gelu,
    "ThresholdedRelu": thresholded_relu,
    "Shrink": shrink,
    "Cast": cast,
    "CastLike": cast_like,
    "Pow": power,
    "Mean": mean,
    "Where": where,
    "Softmax": softmax,
    "LogSoftmax": softmax,
}
