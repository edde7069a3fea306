"""Ops that reduce values, multiply them or choose among them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from utils.graph.ir import Node, Ref
from utils.graph.row import argument
from utils.reconstructors.ops_shape import unblocked
from utils.reconstructors.rebuilding import Rebuilding, RefusedError, float_or
from utils.reconstructors.values import Value

_Function = Callable[[Rebuilding, Node], None]


def _reduction(name: str) -> _Function:
    def function(rebuilding: Rebuilding, node: Node) -> None:
        if node.attrs.get("initial") is not None:
            raise RefusedError("it starts from `initial`")
        value, places, keepdims = _reduced(rebuilding, node)
        dtype = float_or(node.output_dtypes[0])
        held = "float32" if name == "mean" or dtype == "bool" else dtype
        x = _as(rebuilding, value, held)
        found = rebuilding.target.reduce(name, x, places, keepdims)
        found = found if held == dtype else rebuilding.target.cast(found, dtype)
        _put_reduced(rebuilding, node, value, found)

    return function


def _truth(name: str) -> _Function:
    """`all` and `any` are the least and the greatest truth."""

    def function(rebuilding: Rebuilding, node: Node) -> None:
        value, places, keepdims = _reduced(rebuilding, node)
        target = rebuilding.target
        truths = target.cast(_as(rebuilding, value, "bool"), "float32")
        found = target.reduce(name, truths, places, keepdims)
        _put_reduced(rebuilding, node, value, target.cast(found, "bool"))

    return function


def _variance(root: bool) -> _Function:
    def function(rebuilding: Rebuilding, node: Node) -> None:
        value, places, keepdims = _reduced(rebuilding, node)
        target = rebuilding.target
        x = _as(rebuilding, value, "float32")
        centered = target.binary("sub", x, target.reduce("mean", x, places, True))
        squares = target.binary("mul", centered, centered)
        found = target.reduce("mean", squares, places, keepdims)
        _put_reduced(rebuilding, node, value, target.unary("sqrt", found) if root else found)

    return function


def _reduced(rebuilding: Rebuilding, node: Node) -> tuple[Value, list[int], bool]:
    """Give what is reduced, the stored axes, and whether they stay with size 1."""
    value = unblocked(rebuilding, node.inputs[0])
    return (
        value,
        sorted(map(value.place, _gone(node, value.rank))),
        bool(node.attrs.get("keepdims")),
    )


def _as(rebuilding: Rebuilding, value: Value, dtype: str) -> Any:
    """Give a value in a type."""
    same = value.dtype == dtype
    return value.handle if same else rebuilding.target.cast(value.handle, dtype)


def _gone(node: Node, rank: int) -> list[int]:
    axis = node.attrs.get("axis")
    if axis is None:
        return list(range(rank))
    return [each % rank for each in (axis if isinstance(axis, (list, tuple)) else [axis])]


def _put_reduced(rebuilding: Rebuilding, node: Node, value: Value, found: Any) -> None:
    if node.attrs.get("keepdims"):
        rebuilding.put(Ref(node.name), found, value.order)
        return
    gone = _gone(node, value.rank)
    rest = [axis for axis in range(value.rank) if axis not in gone]
    order = tuple(rest.index(axis) for axis in value.order if axis not in gone)
    rebuilding.put(Ref(node.name), found, order)


# -- products and choices, which the op table has no rows of: front ends make them ---------------


def _factor(rebuilding: Rebuilding, leaf: Any, name: str) -> Any:
    """Give an operand of a product in the order of Keras, as floats."""
    if not isinstance(leaf, Ref):
        return rebuilding.target.constant(name, np.asarray(leaf, np.float32))
    value = rebuilding.plain(leaf)
    if value.dtype == "float32":
        return value.handle
    return rebuilding.target.cast(value.handle, "float32")


def _matmul(rebuilding: Rebuilding, node: Node) -> None:
    operands = (argument(node, 0, "x1"), argument(node, 1, "x2"))
    x, y = (_factor(rebuilding, leaf, f"constant_{i}") for i, leaf in enumerate(operands))
    rebuilding.put(Ref(node.name), rebuilding.target.matmul(x, y))


def _einsum(rebuilding: Rebuilding, node: Node) -> None:
    equation = node.attrs["subscripts"].replace(" ", "")
    if "..." in equation or "->" not in equation:
        raise RefusedError(f"its equation {equation!r} leaves axes unnamed")
    leaves_ = [leaf for leaf in node.args if not isinstance(leaf, str)]
    operands = [_factor(rebuilding, leaf, f"constant_{i}") for i, leaf in enumerate(leaves_)]
    rebuilding.put(Ref(node.name), rebuilding.target.einsum(equation, *operands))


def _choice(name: str) -> _Function:
    def function(rebuilding: Rebuilding, node: Node) -> None:
        axis = node.attrs.get("axis")
        if not isinstance(axis, int):
            raise RefusedError("it has no `axis`")
        value, places, keepdims = _reduced(rebuilding, node)
        found = rebuilding.target.choose(name, value.handle, places[0], keepdims)
        found = rebuilding.target.cast(found, float_or(node.output_dtypes[0]))
        _put_reduced(rebuilding, node, value, found)

    return function


def _log_sum_exp(rebuilding: Rebuilding, node: Node) -> None:
    value, places, keepdims = _reduced(rebuilding, node)
    target = rebuilding.target
    most = target.reduce("max", value.handle, places, True)
    powers = target.unary("exp", target.binary("sub", value.handle, most))
    found = target.unary("log", target.reduce("sum", powers, places, True))
    found = target.binary("add", found, most)
    _put_reduced(rebuilding, node, value, found if keepdims else target.squeeze(found, places))


_NUMPY = "keras.src.ops.numpy"
ROWS: Mapping[str, _Function] = {
    f"{_NUMPY}.Matmul": _matmul,
    f"{_NUMPY}.Einsum": _einsum,
    f"{_NUMPY}.Argmax": _choice("argmax"),
    f"{_NUMPY}.Argmin": _choice("argmin"),
    "keras.src.ops.math.Logsumexp": _log_sum_exp,
    f"{_NUMPY}.All": _truth("min"),
    f"{_NUMPY}.Any": _truth("max"),
    **{
        f"{_NUMPY}.{name}": _reduction(short)
        for name, short in (
            *(("Amax", "max"), ("Amin", "min"), ("Max", "max"), ("Min", "min")),
            *(("Mean", "mean"), ("Prod", "prod"), ("Sum", "sum")),
        )
    },
    f"{_NUMPY}.Std": _variance(root=True),
    f"{_NUMPY}.Var": _variance(root=False),
}
