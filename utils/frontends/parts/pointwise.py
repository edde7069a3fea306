"""Functions of single elements, of one tensor or of several that broadcast."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from utils.frontends import layout as axes
from utils.frontends.building import OPEN_SIZES, Building
from utils.frontends.layout import Axis, Layout
from utils.frontends.source import NotConvertible, SourceNode
from utils.frontends.values import Value

_MERGES: dict[str, Any] = {
    "add": keras.layers.Add,
    "multiply": keras.layers.Multiply,
    "subtract": keras.layers.Subtract,
    "maximum": keras.layers.Maximum,
    "minimum": keras.layers.Minimum,
}
_KEEP_SIGN = ("add", "multiply", "maximum", "minimum", "divide")


def unary(
    build: Building,
    node: SourceNode,
    value: Value,
    function: Callable[..., Any],
    *args: Any,
    nonnegative: bool = False,
    **kwargs: Any,
) -> Value:
    """Apply a keras.ops function to every element."""
    tensor = build.op(node, function, value.tensor, *args, **kwargs)
    return value.replace(tensor=tensor, nonnegative=nonnegative)


def activation(
    build: Building,
    node: SourceNode,
    value: Value,
    make: Callable[..., Any],
    nonnegative: bool = False,
    suffix: str = "",
    **settings: Any,
) -> Value:
    """Apply a layer without weights to every element."""
    tensor = build.layer(node, make, value.tensor, suffix=suffix, **settings)
    return value.replace(tensor=tensor, nonnegative=nonnegative)


def clip(build: Building, node: SourceNode, value: Value, low: float, high: float) -> Value:
    """Limit to an interval; either end may be infinite."""
    if low == 0 and high > 0:
        limit: dict[str, Any] = {} if np.isinf(high) else {"max_value": float(high)}
        return activation(build, node, value, keras.layers.ReLU, nonnegative=True, **limit)
    if np.isinf(low) and np.isinf(high):
        return value
    if np.isinf(high):
        return unary(build, node, value, keras.ops.maximum, float(low), nonnegative=low >= 0)
    if np.isinf(low):
        return unary(build, node, value, keras.ops.minimum, float(high))
    return unary(build, node, value, keras.ops.clip, float(low), float(high), nonnegative=low >= 0)


def prelu(build: Building, node: SourceNode, value: Value, slope: np.ndarray) -> Value:
    """Leaky rectifier whose slope is a weight, of one element or one per channel.

    Args:
        build: the network.
        node: names the layers.
        value: [batch, channels, …].
        slope: broadcasts against the value.

    Returns:
        The value.
    """
    slope = slope.reshape((1,) * (value.rank - slope.ndim) + slope.shape)
    if slope.size == 1:
        flat = float(slope.reshape(()))
        return activation(build, node, value, keras.layers.LeakyReLU, negative_slope=flat)
    if slope.shape[0] != 1:
        raise NotConvertible("its slopes differ along the batch")
    tensor, order = build.channels_last(node, value)
    slope = np.transpose(slope, order)[0]
    shared = [axis + 1 for axis, size in enumerate(slope.shape) if size == 1]
    tensor = build.layer(
        node, keras.layers.PReLU, tensor, weights=[slope], shared_axes=shared or None
    )
    return build.result(tensor, order, like=value.axes)


def combine(
    build: Building,
    node: SourceNode,
    values: Sequence[Value],
    kind: str,
    function: Callable[..., Any] | None = None,
) -> Value:
    """Combine values element by element, with broadcasting.

    Args:
        build: the network.
        node: names the layers.
        values: two or more, constants among them.
        kind: name of the function, of those in `keras.ops`.
        function: is called instead of `keras.ops.<kind>` and may take another number of values.

    Returns:
        The result.
    """
    if len(values) > 2 and function is None:
        partial = values[0]
        for value in values[1:]:
            partial = combine(build, node, [partial, value], kind)
        return partial
    if kind == "divide" and all(_is_whole(value) for value in values):
        raise NotConvertible("divides integers, which Keras does not round as the source does")
    parts, layout = together(build, node, values)
    call = function or getattr(keras.ops, kind)
    if function is None and kind in _MERGES and _can_merge(values, parts):
        tensor = build.layer(node, _MERGES[kind], *parts)
    else:
        tensor = build.op(node, call, *parts)
    sign = kind in _KEEP_SIGN and all(_is_nonnegative(value) for value in values)
    return Value(tensor=tensor, layout=layout, nonnegative=sign)


def _is_whole(value: Value) -> bool:
    if value.array is not None:
        return value.array.dtype.kind in "iu"
    return "int" in value.tensor.dtype


def _can_merge(values: Sequence[Value], parts: Sequence[Any]) -> bool:
    """Whether Keras' merging layers take the tensors: they want one batch size."""
    if any(value.is_constant for value in values):
        return False
    return len({part.shape[:1] for part in parts}) == 1


def _is_nonnegative(value: Value) -> bool:
    if value.array is None:
        return value.nonnegative
    return bool(value.array.size < 1 << 16 and np.all(value.array >= 0))


def together(
    build: Building, node: SourceNode, values: Sequence[Value]
) -> tuple[list[Any], Layout]:
    """Tensors and arrays that broadcast against each other as the source's do.

    Returns:
        One per value, and the layout of what they combine to.

    Raises:
        NotConvertible: if their shapes do not fit.
    """
    shape = _joint_shape([value.shape for value in values])
    computed = [value for value in values if not value.is_constant]
    reference = max(computed, key=lambda value: (value.rank, np.prod(value.shape, dtype=float)))
    if reference.shape == shape and all(
        _is_alike(value.axes, reference.axes) for value in computed
    ):
        parts = [
            value.tensor if value.array is None else _constant(value, reference, reference.axes)
            for value in values
        ]
        return parts, reference.axes
    return _in_one_order(build, node, values, reference, shape)


def _constant(value: Value, like: Value, layout: Layout) -> Any:
    array = without_stand_ins(value)
    dtype = like.tensor.dtype
    if array.dtype.kind == "f" and dtype.startswith(("float", "bfloat")):
        array = array.astype(np.float32 if dtype == "bfloat16" else dtype)
    if array.size == 1:
        return array.reshape(()).item()
    array = once_per_batch(array, layout)
    return np.ascontiguousarray(axes.arranged(array, layout))


def without_stand_ins(value: Value) -> np.ndarray:
    """A constant whose axes that only repeat one entry have size 1.

    Raises:
        NotConvertible: if what is left depends on a size that is open.
    """
    if value.array is None:
        raise NotConvertible("needs a constant")
    array = _once(value.array)
    if value.other is not None and not np.array_equal(array, _once(value.other)):
        raise NotConvertible(f"it computes with a size that is open. {OPEN_SIZES}")
    return array


def _once(array: np.ndarray) -> np.ndarray:
    key = tuple(
        slice(0, 1) if size > 1 and stride == 0 else slice(None)
        for size, stride in zip(array.shape, array.strides, strict=True)
    )
    return array[key]


def once_per_batch(array: np.ndarray, layout: Layout) -> np.ndarray:
    """A constant that holds one entry for each sample of an open axis, with one for all.

    Args:
        array: in the source's order.
        layout: of the tensor that it meets; the array has as many axes or fewer.

    Raises:
        NotConvertible: if the entries differ.
    """
    first = len(layout.source) - array.ndim
    for axis, size in enumerate(array.shape):
        if size > 1 and axes.is_free(layout.source[first + axis]):
            one = array.take([0], axis=axis)
            if not np.array_equal(np.broadcast_to(one, array.shape), array):
                raise NotConvertible(
                    f"has a constant that differs along an open axis. {OPEN_SIZES}"
                )
            array = one
    return array


def _joint_shape(shapes: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        raise NotConvertible(
            f"shapes {', '.join(str(shape) for shape in shapes)} do not broadcast"
        ) from None


def _is_alike(one: Layout, other: Layout) -> bool:
    """Whether two tensors have the same shape and hold the same axes in the same places."""
    if one is other or one == other:
        return True
    sizes = [[[atom.size for atom in axis] for axis in side.source] for side in (one, other)]
    if sizes[0] != sizes[1]:
        return False
    mates = dict(zip(axes.flat(one.source), axes.flat(other.source), strict=True))
    return tuple(tuple(mates[atom] for atom in axis) for axis in one.built) == other.built


def _in_one_order(
    build: Building,
    node: SourceNode,
    values: Sequence[Value],
    reference: Value,
    shape: tuple[int, ...],
) -> tuple[list[Any], Layout]:
    rank = len(shape)
    order = axes.natural_order(widened(reference, rank).axes)
    parts: list[Any] = []
    source: list[Axis] = [(axes.Atom(size),) if size != 1 else () for size in shape]
    for place, value in enumerate(values):
        if value.array is not None:
            array = without_stand_ins(value)
            array = array.reshape((1,) * (rank - array.ndim) + array.shape)
            array = once_per_batch(array, widened(reference, rank).axes)
            array = np.transpose(array, order)
            if array.dtype.kind == "f":
                array = array.astype(reference.tensor.dtype)
            parts.append(array.item() if array.size == 1 else np.ascontiguousarray(array))
            continue
        wide = widened(value, rank)
        source = [
            axis if axes.is_free(axis) else present
            for present, axis in zip(source, wide.axes.source, strict=True)
        ]
        parts.append(build.in_order(node, wide, order, suffix=f"{place}")[0])
    return parts, Layout(tuple(source), tuple(source[axis] for axis in order))


def widened(value: Value, rank: int) -> Value:
    """The value with source axes of size 1 in front, so that it has `rank`."""
    units = ((),) * (rank - value.rank)
    return value.replace(layout=axes.with_source(value.axes, (*units, *value.axes.source)))


def softmax(
    build: Building,
    node: SourceNode,
    value: Value,
    over: Sequence[int],
    is_log: bool = False,
) -> Value:
    """Softmax, or its logarithm, over source axes."""
    tensor, order = build.in_order(node, value)
    places = [order.index(axis) for axis in over if value.shape[axis] != 1] or [
        order.index(over[-1])
    ]
    if is_log and len(places) == 1:
        tensor = build.op(node, keras.ops.log_softmax, tensor, axis=places[0])
    elif is_log:  # the logarithm of a softmax would be infinite where that rounds to zero
        total = build.op(
            node, keras.ops.logsumexp, tensor, axis=tuple(places), keepdims=True, suffix="total"
        )
        tensor = build.op(node, keras.ops.subtract, tensor, total)
    else:
        axis = tuple(places) if len(places) > 1 else places[0]
        axis = -1 if axis == len(order) - 1 else axis
        tensor = build.layer(node, keras.layers.Softmax, tensor, axis=axis)
    return build.result(tensor, order, like=value.axes, nonnegative=not is_log)
