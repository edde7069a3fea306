"""Operators that treat each value alone, of one tensor or of several that broadcast."""

from __future__ import annotations

from collections.abc import Callable

import keras

from utils.frontends.building import Building
from utils.frontends.nhwc.activations import activated
from utils.frontends.parts import pointwise as parts
from utils.frontends.source import NotConvertible, SourceNode
from utils.frontends.values import Value

Function = Callable[[Building, SourceNode], Value]

UNARY = frozenset(
    "abs ceil cos erf exp floor log log1p logical_not negative reciprocal round rsqrt sign sin "
    "sqrt square".split()
)
"""Functions of one tensor, by their names in `keras.ops`."""

BINARY = frozenset(
    "add divide divide_no_nan equal floor_divide greater greater_equal less less_equal logical_and "
    "logical_or maximum minimum mod multiply not_equal power subtract".split()
)
"""Functions of two tensors, likewise."""


_BY_ROWS = ("Select", "SELECT")  # their condition may be a vector: one entry for each row


def unary(name: str) -> Function:
    """Make the function of an operator on one tensor."""
    return lambda b, node: parts.unary(b, node, b.input(node, 0), getattr(keras.ops, name))


def binary(name: str) -> Function:
    """Make the function of an operator on two tensors, or a tensor and a constant."""
    return lambda b, node: activated(b, node, parts.combine(b, node, operands(b, node), name))


def add_all(b: Building, node: SourceNode) -> Value:
    """Add any number of tensors."""
    values = operands(b, node)
    return values[0] if len(values) == 1 else parts.combine(b, node, values, "add")


def where(b: Building, node: SourceNode) -> Value:
    """Choose between two tensors by a third."""
    condition, *others = operands(b, node)
    if node.op in _BY_ROWS and 0 < condition.rank < max(value.rank for value in others):
        raise NotConvertible("chooses whole rows")
    return parts.combine(b, node, operands(b, node), "where", keras.ops.where)


def squared_difference(b: Building, node: SourceNode) -> Value:
    """Square a difference."""
    difference = parts.combine(b, node, operands(b, node), "subtract")
    return parts.unary(b, node, difference, keras.ops.square)


def clip(b: Building, node: SourceNode) -> Value:
    """Clip to two constants."""
    low, high = (float(b.constant(node, place, "limits")) for place in (1, 2))
    return parts.clip(b, node, b.input(node, 0), low, high)


def cast(b: Building, node: SourceNode) -> Value:
    """Cast to the type that `dtype` names."""
    value, dtype = b.input(node, 0), str(node.attrs.get("dtype"))
    if value.tensor.dtype == dtype:
        return value
    return parts.unary(b, node, value, keras.ops.cast, dtype)


def same(b: Building, node: SourceNode) -> Value:
    """Hand the value on."""
    return b.input(node, 0)


def operands(b: Building, node: SourceNode) -> list[Value]:
    """Give all that a node reads."""
    return [b.input(node, place) for place in range(len(node.inputs))]
