"""Matrix products: fully connected layers, and products of two computed tensors."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from utils.frontends import layout as axes
from utils.frontends.building import OPEN_SIZES, Building
from utils.frontends.layout import Axis, Layout
from utils.frontends.parts.affine import Scale, with_affine
from utils.frontends.parts.pointwise import widened
from utils.frontends.source import NotConvertible, SourceNode
from utils.frontends.values import Value


def dense(
    build: Building,
    node: SourceNode,
    value: Value,
    kernel: np.ndarray,
    bias: np.ndarray | None,
    axis: int = -1,
) -> Value:
    """Fully connected layer along one source axis; the rows are put in the tensor's order.

    Args:
        build: the network.
        node: names the layers.
        value: any value.
        kernel: [length of the axis in the source's order, units].
        bias: [units], or None.
        axis: the source axis that is read; the units take its place.

    Returns:
        The value.

    Raises:
        NotConvertible: if the kernel does not fit.
    """
    axis %= value.rank
    if kernel.shape[0] != value.shape[axis]:
        hint = f" of a size that is open. {OPEN_SIZES}" if value.axes.is_free else ""
        raise NotConvertible(
            f"its weights {kernel.shape} do not fit an axis{hint or f' of {value.shape[axis]}'}"
        )
    tensor, layout, last = build.with_last(node, value, axis)
    kernel = rows_in_order(kernel, value.axes.source[axis], last)
    units = kernel.shape[1]
    weights = [kernel] if bias is None else [kernel, bias]
    tensor = build.layer(
        node,
        keras.layers.Dense,
        tensor,
        weights=weights,
        units=units,
        use_bias=bias is not None,
    )
    return _with_units(value, layout, tensor, axis, units)


def _with_units(value: Value, layout: Layout, tensor: Any, axis: int, units: int) -> Value:
    made: Axis = (axes.Atom(units),) if units != 1 else ()
    source = (*layout.source[:axis], made, *layout.source[axis + 1 :])
    return Value(tensor=tensor, layout=Layout(source, (*layout.built[:-1], made)))


def rows_in_order(kernel: np.ndarray, source: Axis, built: Axis) -> np.ndarray:
    """Put the rows of a weight from the source's order of atoms into the tensor's.

    Example:
        >>> first, second = axes.Atom(2), axes.Atom(3)
        >>> rows_in_order(np.arange(6)[:, None], (first, second), (second, first)).ravel()
        array([0, 3, 1, 4, 2, 5])
    """
    if source == built:
        return kernel
    sizes = [atom.size for atom in source]
    order = [source.index(atom) for atom in built]
    rows = kernel.reshape(*sizes, kernel.shape[1]).transpose(*order, len(sizes))
    return rows.reshape(kernel.shape)


def product(build: Building, node: SourceNode, first: Value, second: Value) -> Value:
    """Matrix product as NumPy's `matmul`.

    Args:
        build: the network.
        node: names the layers.
        first: [… , rows, inner], or [inner].
        second: [… , inner, columns], or [inner].

    Returns:
        The product.
    """
    if second.array is not None and second.array.ndim == 2:
        kernel = second.array

        def make(scale: Scale, bias: np.ndarray | None) -> Value:
            return dense(build, node, first, np.asarray(kernel * scale, kernel.dtype), bias)

        return with_affine(build, node, kernel.shape[1], make)
    if first.array is not None and first.array.ndim == 2 and second.rank >= 2:
        return dense(build, node, second, first.array.T, None, axis=-2)
    return _general_product(build, node, first, second)


def _general_product(build: Building, node: SourceNode, first: Value, second: Value) -> Value:
    rank = max(first.rank, second.rank)
    if min(first.rank, second.rank) < 2:
        raise NotConvertible("a product of a computed vector has no Keras counterpart")
    shape = (
        *np.broadcast_shapes(first.shape[:-2], second.shape[:-2]),
        first.shape[-2],
        second.shape[-1],
    )
    parts: list[Any] = []
    source: list[Axis] = [(axes.Atom(size),) if size != 1 else () for size in shape]
    for place, value in enumerate((first, second)):
        if value.array is not None:
            parts.append(value.array)
            continue
        wide = widened(value, rank)
        mine = rank - 2 + place  # rows of the first, columns of the second
        for axis in (*range(rank - 2), mine):
            if axes.is_free(wide.axes.source[axis]):
                source[axis] = wide.axes.source[axis]
        parts.append(build.in_order(node, wide, range(rank), suffix=f"{place}")[0])
    tensor = build.op(node, keras.ops.matmul, *parts)
    return Value(tensor=tensor, layout=Layout(tuple(source), tuple(source)))


def einsum(build: Building, node: SourceNode, equation: str) -> Value:
    """Any sum of products, in the source's order of axes.

    Args:
        build: the network.
        node: names the layer; reads as many tensors as the equation has terms.
        equation: such as `bij,bjk->bik`.

    Returns:
        The value.

    Raises:
        NotConvertible: if the equation leaves axes unnamed.
    """
    terms, arrow, result = equation.replace(" ", "").partition("->")
    if not arrow or "." in equation:
        raise NotConvertible(f"its equation {equation!r} leaves axes unnamed")
    sizes: dict[str, int] = {}
    free: dict[str, bool] = {}
    parts: list[Any] = []
    for place, letters in enumerate(terms.split(",")):
        value = build.input(node, place)
        sizes.update(zip(letters, value.shape, strict=True))
        if value.array is not None:
            parts.append(value.array)
            continue
        for letter, atoms in zip(letters, value.axes.source, strict=True):
            free[letter] = free.get(letter, False) or axes.is_free(atoms)
        parts.append(build.in_order(node, value, range(value.rank), suffix=f"{place}")[0])
    tensor = build.op(node, keras.ops.einsum, f"{terms}->{result}", *parts)
    layout = axes.new_layout(
        [sizes[letter] for letter in result],
        [free.get(letter, False) for letter in result],
        range(len(result)),
    )
    return Value(tensor=tensor, layout=layout)
