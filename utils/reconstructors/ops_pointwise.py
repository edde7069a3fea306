"""Ops that treat each value alone, and those that combine tensors value by value."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from utils.graph.ir import Node, Ref, leaves
from utils.graph.row import argument
from utils.reconstructors import activations
from utils.reconstructors.rebuilding import Rebuilding, RefusedError, float_or
from utils.reconstructors.values import Order, Value, plain

_Function = Callable[[Rebuilding, Node], None]

BINARY = (
    *("add", "sub", "mul", "div", "pow", "max", "min", "and", "or"),
    *("equal", "not_equal", "less", "less_equal", "greater", "greater_equal"),
)
"""What `Target.binary` knows."""


def common_order(rebuilding: Rebuilding, refs: Sequence[Ref], rank: int) -> Order:
    """Choose the order for tensors that meet: that of the first which is not in Keras' order."""
    values = [rebuilding.value(ref) for ref in refs]
    whole = [value for value in values if value.rank == rank and value.block is None]
    moved = [value.order for value in whole if not value.is_plain]
    return moved[0] if moved else plain(rank)


def operand(rebuilding: Rebuilding, leaf: Any, order: Order, dtype: str, name: str) -> Any:
    """Bring an operand, a tensor or a constant, to where it meets others.

    Args:
        rebuilding: the network on its way.
        leaf: a `Ref`, an array or a number.
        order: of the tensors that meet; smaller ones are broadcast as NumPy does.
        dtype: in which they meet.
        name: of a constant.

    Returns:
        A handle, or a number: a float, or one of NumPy's integers.
    """
    if isinstance(leaf, Ref):
        value = _broadcast(rebuilding, leaf, order)
        if value.dtype == dtype:
            return value.handle
        return rebuilding.target.cast(value.handle, dtype)
    array = np.asarray(leaf)
    if array.ndim == 0:
        return float(array) if dtype == "float32" else np.dtype(dtype).type(array)
    spread = array.reshape(*(1,) * (len(order) - array.ndim), *array.shape)
    return rebuilding.target.constant(name, spread.transpose(order).astype(dtype))


def _broadcast(rebuilding: Rebuilding, ref: Ref, order: Order) -> Value:
    """Give a tensor with as many axes as the order has."""
    rank = len(order)
    value = rebuilding.value(ref)
    if value.rank == rank:
        return rebuilding.ordered(ref, order)
    value = rebuilding.plain(ref)
    if order == plain(rank) or value.rank == 0:
        return value
    added = list(range(rank - value.rank))
    handle = rebuilding.target.unsqueeze(value.handle, added)
    shape = (*(1,) * len(added), *value.shape)
    spread = Value(handle=handle, shape=shape, dtype=value.dtype, order=plain(rank))
    return rebuilding.moved(spread, order)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Met:
    """Operands where they meet, and how what comes of them is stored, see `Value`."""

    handles: list[Any]
    order: Order
    block: Any = None


def _meeting(rebuilding: Rebuilding, node: Node, operands: Sequence[Any], dtype: str) -> _Met:
    """Bring all operands to where they meet; maps that are flattened alike meet as they are."""
    rank = len(rebuilding.graph.shape(Ref(node.name)))
    refs = [leaf for leaf in operands if isinstance(leaf, Ref)]
    values = [rebuilding.value(ref) for ref in refs]
    blocks = {value.block for value in values}
    alike = len(blocks) == 1 and None not in blocks and len(refs) == len(operands)
    if alike and all(value.dtype == dtype and value.rank == rank for value in values):
        return _Met(
            handles=[value.handle for value in values], order=plain(rank), block=blocks.pop()
        )
    order = common_order(rebuilding, refs, rank)
    found = [
        operand(rebuilding, leaf, order, dtype, f"constant_{number}")
        for number, leaf in enumerate(operands)
    ]
    return _Met(handles=found, order=order)


def _result(node: Node) -> str:
    return float_or(node.output_dtypes[0])


def _inputs_dtype(rebuilding: Rebuilding, operands: Sequence[Any]) -> str:
    """Type in which operands are compared."""
    refs = [leaf for leaf in operands if isinstance(leaf, Ref)]
    types = {float_or(rebuilding.graph.dtype(ref)) for ref in refs}
    plain_floats = any(
        np.asarray(leaf).dtype.kind == "f" for leaf in operands if not isinstance(leaf, Ref)
    )
    if "float32" in types or plain_floats:
        return "float32"
    return types.pop() if len(types) == 1 and "bool" not in types else "int32"


def _operands(node: Node) -> list[Any]:
    """List what a node combines: tensors, arrays, numbers."""
    if any(isinstance(arg, (list, tuple)) for arg in node.args):
        return list(leaves(node.args))
    named = [value for key, value in node.kwargs.items() if key in ("x1", "x2", "x", "y")]
    return [*node.args, *named]


def _binary(name: str) -> _Function:
    """Combine two or more tensors, which layers take as a list."""

    def function(rebuilding: Rebuilding, node: Node) -> None:
        met = _meeting(rebuilding, node, _operands(node), _result(node))
        found = functools.reduce(lambda x, y: rebuilding.target.binary(name, x, y), met.handles)
        rebuilding.put(Ref(node.name), found, met.order, met.block)

    return function


def _average(rebuilding: Rebuilding, node: Node) -> None:
    target = rebuilding.target
    met = _meeting(rebuilding, node, _operands(node), "float32")
    total = functools.reduce(lambda x, y: target.binary("add", x, y), met.handles)
    mean = target.binary("mul", total, 1.0 / len(met.handles))
    rebuilding.put(Ref(node.name), mean, met.order, met.block)


def _comparison(name: str) -> _Function:
    def function(rebuilding: Rebuilding, node: Node) -> None:
        operands = _operands(node)
        met = _meeting(rebuilding, node, operands, _inputs_dtype(rebuilding, operands))
        found = rebuilding.target.binary(name, *met.handles)
        rebuilding.put(Ref(node.name), found, met.order, met.block)

    return function


def _logical(name: str) -> _Function:
    def function(rebuilding: Rebuilding, node: Node) -> None:
        met = _meeting(rebuilding, node, _operands(node), "bool")
        found = rebuilding.target.binary(name, *met.handles)
        rebuilding.put(Ref(node.name), found, met.order, met.block)

    return function


def _not(rebuilding: Rebuilding, node: Node) -> None:
    value = rebuilding.value(node.inputs[0])
    x = value.handle if value.dtype == "bool" else rebuilding.target.cast(value.handle, "bool")
    rebuilding.put_like(node, value, rebuilding.target.unary("not", x))


def _quotient(name: str) -> _Function:
    """Floored quotients, and what they leave: `x - floor(x / y) y` has the sign of y."""

    def function(rebuilding: Rebuilding, node: Node) -> None:
        target = rebuilding.target
        met = _meeting(rebuilding, node, _operands(node), "float32")
        x, y = met.handles
        found = target.unary("floor", target.binary("div", x, y))
        if name == "mod":
            found = target.binary("sub", x, target.binary("mul", found, y))
        if _result(node) != "float32":
            found = target.cast(found, _result(node))
        rebuilding.put(Ref(node.name), found, met.order, met.block)

    return function


def _divide_no_nan(rebuilding: Rebuilding, node: Node) -> None:
    target = rebuilding.target
    met = _meeting(rebuilding, node, _operands(node), "float32")
    x, y = met.handles
    if isinstance(y, float):
        found = target.binary("mul", x, 1.0 / y if y else 0.0)
    else:
        is_zero = target.binary("equal", y, 0.0)
        found = target.where(is_zero, 0.0, target.binary("div", x, target.where(is_zero, 1.0, y)))
    rebuilding.put(Ref(node.name), found, met.order, met.block)


def _where(rebuilding: Rebuilding, node: Node) -> None:
    condition = argument(node, 0, "condition")
    choices = [argument(node, 1, "x1"), argument(node, 2, "x2")]
    if not isinstance(condition, Ref) or any(each is None for each in choices):
        raise RefusedError("it gives positions instead of values")
    rank = len(rebuilding.graph.shape(Ref(node.name)))
    refs = [leaf for leaf in (condition, *choices) if isinstance(leaf, Ref)]
    order = common_order(rebuilding, refs, rank)
    chosen = operand(rebuilding, condition, order, "bool", "condition")
    x, y = (
        operand(rebuilding, leaf, order, _result(node), f"constant_{number}")
        for number, leaf in enumerate(choices)
    )
    rebuilding.put(Ref(node.name), rebuilding.target.where(chosen, x, y), order)


def _math(name: str) -> _Function:
    """Apply a function to each value, in floats."""
    return lambda rebuilding, node: rebuilding.each_value(
        node, lambda x: activations.functions_of_math(rebuilding, name, x)
    )


def _kept(name: str) -> _Function:
    """Apply a function that integers have too."""

    def function(rebuilding: Rebuilding, node: Node) -> None:
        value = rebuilding.value(node.inputs[0])
        if value.dtype != "float32":
            whole = rebuilding.target.cast(value.handle, "float32")
            found = activations.functions_of_math(rebuilding, name, whole)
            rebuilding.put_like(node, value, rebuilding.target.cast(found, _result(node)))
            return
        found = activations.functions_of_math(rebuilding, name, value.handle)
        rebuilding.put_like(node, value, found)

    return function


def _round(rebuilding: Rebuilding, node: Node) -> None:
    decimals = node.attrs.get("decimals", 0)
    target, factor = rebuilding.target, 10.0**decimals

    def function(x: Any) -> Any:
        if not decimals:
            return target.unary("round", x)
        return target.binary("div", target.unary("round", target.binary("mul", x, factor)), factor)

    rebuilding.each_value(node, function)


def _clip(rebuilding: Rebuilding, node: Node) -> None:
    ends: list[float] = []
    for place, key in enumerate(("x_min", "x_max"), 1):
        end = argument(node, place, key)
        end = node.attrs.get(key) if end is None else end
        if end is None or isinstance(end, Ref) or np.ndim(end):
            raise RefusedError("its ends are tensors")
        ends.append(float(end))
    value = rebuilding.floating(node.inputs[0])
    found = rebuilding.target.clip(value.handle, *ends)
    if _result(node) != "float32":
        found = rebuilding.target.cast(found, _result(node))
    rebuilding.put_like(node, value, found)


def _nan_to_num(rebuilding: Rebuilding, node: Node) -> None:
    target, greatest = rebuilding.target, float(np.finfo(np.float32).max)
    attrs = node.attrs
    ends = [
        default if attrs.get(key) is None else float(attrs[key])
        for key, default in (("posinf", greatest), ("neginf", -greatest))
    ]

    def function(x: Any) -> Any:
        clean = target.where(target.unary("isnan", x), float(attrs.get("nan", 0.0)), x)
        clean = target.where(target.binary("greater", clean, greatest), ends[0], clean)
        return target.where(target.binary("less", clean, -greatest), ends[1], clean)

    rebuilding.each_value(node, function)


def _filled(value: float) -> _Function:
    """Give a tensor of one value in the shape of the input."""

    def function(rebuilding: Rebuilding, node: Node) -> None:
        source = rebuilding.floating(node.inputs[0])
        target = rebuilding.target
        shape = target.unary("isnan", source.handle)  # true or false: both give the value
        found = target.where(shape, value, value)
        if _result(node) != "float32":
            found = target.cast(found, _result(node))
        rebuilding.put_like(node, source, found)

    return function


def _cast(rebuilding: Rebuilding, node: Node) -> None:
    value = rebuilding.value(node.inputs[0])
    found, dtype = value.handle, _result(node)
    if value.dtype != dtype:
        found = rebuilding.target.cast(found, dtype)
    rebuilding.put_like(node, value, found)


def _saturate(rebuilding: Rebuilding, node: Node) -> None:
    value, dtype = rebuilding.value(node.inputs[0]), _result(node)
    if dtype in ("float32", "bool") or value.dtype == dtype:
        _cast(rebuilding, node)
        return
    limits = np.iinfo(dtype)
    whole = rebuilding.floating(node.inputs[0])
    clipped = rebuilding.target.clip(whole.handle, float(limits.min), float(limits.max))
    rebuilding.put_like(node, value, rebuilding.target.cast(clipped, dtype))


def same(rebuilding: Rebuilding, node: Node) -> None:
    """Pass a tensor on."""
    value = rebuilding.value(node.inputs[0])
    rebuilding.put_like(node, value, value.handle)


def _stop_gradient(rebuilding: Rebuilding, node: Node) -> None:
    value = rebuilding.value(node.inputs[0])
    rebuilding.put_like(node, value, rebuilding.target.stop_gradient(value.handle))


def _named(name: str, *keys: str) -> _Function:
    """Apply an activation under its name, with settings from the node's attrs."""

    def function(rebuilding: Rebuilding, node: Node) -> None:
        settings = {key: node.attrs[key] for key in keys if node.attrs.get(key) is not None}
        rebuilding.each_value(
            node, lambda x: activations.FUNCTIONS[name](rebuilding, x, **settings)
        )

    return function


def _activation(rebuilding: Rebuilding, node: Node) -> None:
    name, settings = activations.describe(node.attrs.get("activation"))
    if name in activations.OVER_AXIS:
        over_axis(rebuilding, node, -1, log=name == "log_softmax")
        return
    rebuilding.each_value(node, lambda x: activations.apply(rebuilding, name, x, settings))


def over_axis(rebuilding: Rebuilding, node: Node, axis: int, *, log: bool = False) -> None:
    """Apply softmax over an axis of Keras."""
    source = node.inputs[0]
    value = rebuilding.floating(source)
    if value.block is not None:
        value = rebuilding.plain(source)
    found = rebuilding.target.softmax(value.handle, value.place(axis), log=log)
    rebuilding.put_like(node, value, found)


_NUMPY, _NN, _LAYERS = "keras.src.ops.numpy", "keras.src.ops.nn", "keras.layers"


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)([A-Z])", r"_\1", name).lower()


_FLOAT_MATH = (
    "Arccos Arccosh Arcsin Arcsinh Arctan Arctanh Cbrt Cos Cosh Exp Exp2 Expm1 Isfinite Isinf "
    "Isnan Log Log10 Log1p Log2 Reciprocal Sin Sinh Sqrt Tan Tanh"
)
_KEPT_MATH = "Abs Absolute Ceil Floor Negative Sign Square Trunc"
_MATH_NAMES = {"absolute": "abs", "negative": "neg"}
_COMPARISONS = "Equal NotEqual Less LessEqual Greater GreaterEqual"
_PLAIN_ACTIVATIONS = (
    "Celu Elu Gelu HardShrink HardSigmoid HardSilu HardTanh LeakyRelu LogSigmoid Relu Relu6 Selu "
    "Sigmoid Silu SoftShrink Softplus Softsign SparsePlus SparseSigmoid Squareplus TanhShrink "
    "Threshold"
)
_SETTINGS = ("alpha", "approximate", "b", "default_value", "negative_slope", "threshold")

ROWS: Mapping[str, _Function] = {
    **{
        f"{module}.{name}": _binary(short)
        for module in (_LAYERS, _NUMPY)
        for name, short in (
            *(("Add", "add"), ("Multiply", "mul"), ("Subtract", "sub")),
            *(("Maximum", "max"), ("Minimum", "min")),
        )
    },
    **{
        f"{_NUMPY}.{name}": _binary(short)
        for name, short in (
            *(("Divide", "div"), ("TrueDivide", "div"), ("Power", "pow")),
            *(("Fmax", "max"), ("Fmin", "min")),
        )
    },
    f"{_LAYERS}.Average": _average,
    **{f"{_NUMPY}.{name}": _comparison(_snake(name)) for name in _COMPARISONS.split()},
    f"{_NUMPY}.LogicalAnd": _logical("and"),
    f"{_NUMPY}.LogicalOr": _logical("or"),
    f"{_NUMPY}.LogicalNot": _not,
    f"{_NUMPY}.FloorDivide": _quotient("floor"),
    f"{_NUMPY}.Mod": _quotient("mod"),
    f"{_NUMPY}.DivideNoNan": _divide_no_nan,
    f"{_NUMPY}.Where": _where,
    **{f"{_NUMPY}.{name}": _math(_snake(name)) for name in _FLOAT_MATH.split()},
    **{
        f"{_NUMPY}.{name}": _kept(_MATH_NAMES.get(_snake(name), _snake(name)))
        for name in _KEPT_MATH.split()
    },
    "keras.src.ops.math.Erf": _math("erf"),
    "keras.src.ops.math.Rsqrt": _math("rsqrt"),
    f"{_NUMPY}.Round": _round,
    f"{_NUMPY}.Clip": _clip,
    f"{_NUMPY}.NanToNum": _nan_to_num,
    f"{_NUMPY}.OnesLike": _filled(1.0),
    f"{_NUMPY}.ZerosLike": _filled(0.0),
    f"{_NUMPY}.Copy": same,
    "keras.src.ops.core.Cast": _cast,
    "keras.src.ops.core.SaturateCast": _saturate,
    "keras.src.ops.core.StopGradient": _stop_gradient,
    f"{_LAYERS}.Identity": same,
    f"{_LAYERS}.ActivityRegularization": same,
    f"{_LAYERS}.Activation": _activation,
    f"{_LAYERS}.ReLU": _named("relu", "negative_slope", "max_value", "threshold"),
    f"{_LAYERS}.LeakyReLU": _named("leaky_relu", "negative_slope"),
    f"{_LAYERS}.ELU": _named("elu", "alpha"),
    **{f"{_NN}.{name}": _named(_snake(name), *_SETTINGS) for name in _PLAIN_ACTIVATIONS.split()},
}
