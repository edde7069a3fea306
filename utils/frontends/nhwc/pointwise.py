"""Operators that treat each value alone, of one tensor or of several that broadcast."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from utils.frontends.building import Building
from utils.frontends.layout import arranged, natural_order
from utils.frontends.nhwc.activations import activated
from utils.frontends.source import NotConvertible, SourceNode
from utils.frontends.values import Value

_ops = keras.ops
_MERGES = {
    _ops.add: keras.layers.Add,
    _ops.subtract: keras.layers.Subtract,
    _ops.multiply: keras.layers.Multiply,
    _ops.maximum: keras.layers.Maximum,
    _ops.minimum: keras.layers.Minimum,
}
Function = Callable[[Building, SourceNode], Value]


def unary(function: Callable[..., Any]) -> Function:
    """Make the function of an operator on one tensor."""

    def build(b: Building, node: SourceNode) -> Value:
        value = b.input(node, 0)
        return value.replace(tensor=b.op(node, function, value.tensor), nonnegative=False)

    return build


def binary(function: Callable[..., Any]) -> Function:
    """Make the function of an operator on two tensors, or a tensor and a constant."""

    def build(b: Building, node: SourceNode) -> Value:
        return activated(b, node, together(b, node, function, _operands(b, node)))

    return build


def add_all(b: Building, node: SourceNode) -> Value:
    """Add any number of tensors."""
    values = _operands(b, node)
    total = values[0]
    for number, value in enumerate(values[1:]):
        total = together(b, node, _ops.add, [total, value], suffix=f"{number}" if number else "")
    return total


def where(b: Building, node: SourceNode) -> Value:
    """Choose between two tensors by a third."""
    return together(b, node, _ops.where, _operands(b, node))


def squared_difference(b: Building, node: SourceNode) -> Value:
    """Square a difference."""
    value = together(b, node, _ops.subtract, _operands(b, node), suffix="difference")
    return value.replace(tensor=b.op(node, _ops.square, value.tensor))


def clip(b: Building, node: SourceNode) -> Value:
    """Clip to two constants."""
    value = b.input(node, 0)
    low, high = (float(b.constant(node, place, "limits")) for place in (1, 2))
    return value.replace(tensor=b.op(node, _ops.clip, value.tensor, low, high))


def cast(b: Building, node: SourceNode) -> Value:
    """Cast to the type that `dtype` names."""
    value = b.input(node, 0)
    dtype = str(node.attrs.get("dtype"))
    if value.tensor.dtype == dtype:
        return value
    return value.replace(tensor=b.op(node, _ops.cast, value.tensor, dtype))


def same(b: Building, node: SourceNode) -> Value:
    """Hand the value on."""
    return b.input(node, 0)


def together(
    b: Building,
    node: SourceNode,
    function: Callable[..., Any],
    values: list[Value],
    suffix: str = "",
) -> Value:
    """Call a function on tensors and constants that broadcast as in NumPy.

    Raises:
        NotConvertible: if a size is open that decides over it.
    """
    if any(value.is_shape for value in values):
        raise NotConvertible("computes with a size that is open")
    computed = [value for value in values if not value.is_constant]
    leader = max(computed, key=lambda value: (value.rank, np.prod(value.shape)))
    if any(value.rank > leader.rank for value in values):
        raise NotConvertible("a constant has more axes than what it meets")
    if len(computed) == 1 and _fits(values, leader):
        operands = [
            _typed(arranged(value.array, leader.axes), leader)
            if value.array is not None
            else value.tensor
            for value in values
        ]
        result = b.op(node, function, *operands, suffix=suffix)
        return leader.replace(tensor=result, nonnegative=False)
    if all(value.layout == leader.layout for value in computed) and len(computed) == len(values):
        return leader.replace(
            tensor=_merged(b, node, function, [value.tensor for value in values], suffix),
            nonnegative=False,
        )
    return _in_one_order(b, node, function, values, leader, suffix)


def _in_one_order(
    b: Building,
    node: SourceNode,
    function: Callable[..., Any],
    values: list[Value],
    leader: Value,
    suffix: str,
) -> Value:
    """Bring all operands into the leader's order of axes."""
    order, rank = natural_order(leader.axes), leader.rank
    if any(0 < value.rank < rank for value in values):
        order = tuple(range(rank))  # missing axes are in front: only this order has them there
    operands = []
    for number, value in enumerate(values):
        if value.array is not None:
            array = value.array.reshape((1,) * (rank - value.rank) + value.array.shape)
            operands.append(_typed(array.transpose(order), leader))
            continue
        wanted = order if value.rank == rank else tuple(range(value.rank))
        operands.append(b.in_order(node, value, wanted, suffix=f"{suffix}in{number}")[0])
    result = _merged(b, node, function, operands, suffix)
    likes = {axis: value.shape[axis] for value in values if value.rank == rank
             for axis in range(rank) if value.shape[axis] != 1}  # fmt: skip
    return b.result(result, order, sizes=likes)


def _fits(values: list[Value], leader: Value) -> bool:
    """Whether constants broadcast against the leader without making it larger."""
    return all(
        value.array is None
        or all(
            size in (1, old)
            for size, old in zip(value.shape[::-1], leader.shape[::-1], strict=False)
        )
        for value in values
    ) and all(len(axis) <= 1 for axis in leader.axes.source)


def _merged(
    b: Building, node: SourceNode, function: Callable[..., Any], tensors: list[Any], suffix: str
) -> Any:
    """Call the layer that does what the function does, where there is one for these tensors."""
    is_layered = function in _MERGES and all(
        keras.backend.is_keras_tensor(tensor) and len(tensor.shape) == len(tensors[0].shape)
        and tensor.dtype == tensors[0].dtype
        for tensor in tensors
    )  # fmt: skip
    if is_layered and len(tensors) == 2 and len(tensors[0].shape) > 1:
        return b.layer(node, _MERGES[function], *tensors, suffix=suffix)
    return b.op(node, function, *tensors, suffix=suffix)


def _typed(array: np.ndarray, leader: Value) -> Any:
    """Give a constant, a single number as one."""
    if array.size == 1 and array.dtype.kind == "f":
        return float(array.reshape(()))
    return array


def _operands(b: Building, node: SourceNode) -> list[Value]:
    return [b.input(node, place) for place in range(len(node.inputs))]


UNARY: dict[str, Callable[..., Any]] = {
    "abs": _ops.abs,
    "ceil": _ops.ceil,
    "cos": _ops.cos,
    "erf": _ops.erf,
    "exp": _ops.exp,
    "floor": _ops.floor,
    "log": _ops.log,
    "log1p": _ops.log1p,
    "logical_not": _ops.logical_not,
    "negative": _ops.negative,
    "reciprocal": _ops.reciprocal,
    "round": _ops.round,
    "rsqrt": _ops.rsqrt,
    "sign": _ops.sign,
    "sin": _ops.sin,
    "sqrt": _ops.sqrt,
    "square": _ops.square,
}
BINARY: dict[str, Callable[..., Any]] = {
    "add": _ops.add,
    "divide": _ops.divide,
    "divide_no_nan": _ops.divide_no_nan,
    "equal": _ops.equal,
    "floor_divide": _ops.floor_divide,
    "greater": _ops.greater,
    "greater_equal": _ops.greater_equal,
    "less": _ops.less,
    "less_equal": _ops.less_equal,
    "logical_and": _ops.logical_and,
    "logical_or": _ops.logical_or,
    "maximum": _ops.maximum,
    "minimum": _ops.minimum,
    "mod": _ops.mod,
    "multiply": _ops.multiply,
    "not_equal": _ops.not_equal,
    "power": _ops.power,
    "subtract": _ops.subtract,
}
