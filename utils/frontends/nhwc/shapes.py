"""Operators that move, cut, join or sum up axes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from utils.frontends.building import OPEN_SIZES, Building
from utils.frontends.layout import is_free
from utils.frontends.nhwc.activations import activated
from utils.frontends.nhwc.slices import strided
from utils.frontends.nhwc.views import back, first
from utils.frontends.parts import moving
from utils.frontends.parts.dense import product as parts_product
from utils.frontends.source import NotConvertible, SourceNode
from utils.frontends.values import Value

_ops = keras.ops
_OTHER = 1 << 20  # between the stand-ins of `Value.array` and those of `Value.other`


def reshape(b: Building, node: SourceNode) -> Value:
    """Reshape to a constant, or to `shape`."""
    value = b.input(node, 0)
    target = node.attrs.get("shape")
    if b.has(node, 1):
        target = b.constant(node, 1, "shape", is_shape=True).reshape(-1)
    if target is None:
        raise NotConvertible("lacks its shape")
    return b.reshape(node, value, [int(size) for size in target])


def squeeze(b: Building, node: SourceNode) -> Value:
    """Take axes of size 1 away: those of `axes`, else all."""
    return moving.squeeze(b.input(node, 0), list(node.ints("axes", ())) or None)


def expand(b: Building, node: SourceNode) -> Value:
    """Put an axis of size 1 in."""
    axis = int(b.constant(node, 1, "axis").reshape(()))
    return moving.unsqueeze(b.input(node, 0), [axis])


def transpose(b: Building, node: SourceNode) -> Value:
    """Permute axes: nothing moves."""
    value = b.input(node, 0)
    order = [int(axis) % value.rank for axis in b.constant(node, 1, "order").reshape(-1)]
    if sorted(order) != list(range(value.rank)):
        raise NotConvertible(f"its order of axes is {order}")
    return b.transpose(value, order)


def shape_of(b: Building, node: SourceNode) -> Value:
    """Give a tensor's shape, with stand-ins for open sizes."""
    value = b.input(node, 0)
    sizes = np.array(value.shape, np.int64)
    free = np.array([is_free(axis) for axis in value.axes.source], bool)
    return Value(array=sizes, other=sizes + _OTHER * free if free.any() else None)


def rank_of(b: Building, node: SourceNode) -> Value:
    """Give the number of a tensor's axes."""
    return Value(array=np.array(b.input(node, 0).rank, np.int64))


def pad(b: Building, node: SourceNode) -> Value:
    """Pad with a constant (`mode` "constant") or with what is inside ("reflect", "symmetric")."""
    value = b.input(node, 0)
    pairs = np.asarray(b.constant(node, 1, "padding")).astype(int)
    if pairs.shape != (value.rank, 2) or (pairs < 0).any():
        raise NotConvertible(f"its padding has the shape {pairs.shape} for {value.rank} axes")
    filled = float(b.constant(node, 2, "constant")) if b.has(node, 2) else 0.0
    widths = {axis: (int(pair[0]), int(pair[1])) for axis, pair in enumerate(pairs) if pair.any()}
    _refuse_open(value, widths, "pads")
    return moving.pad(b, node, value, widths, str(node.attrs.get("mode", "constant")), filled)


def concatenate(b: Building, node: SourceNode) -> Value:
    """Put tensors one behind the other along `axis`."""
    values = [b.input(node, place) for place in range(len(node.inputs))]
    return activated(b, node, _joined(b, node, values, int(node.attrs["axis"])))


def pack(b: Building, node: SourceNode) -> Value:
    """Put tensors one behind the other along a new `axis`."""
    values = []
    for place in range(len(node.inputs)):
        value = b.input(node, place)
        axis = int(node.attrs["axis"]) % (value.rank + 1)
        if value.array is not None:
            values.append(value.replace(array=np.expand_dims(value.array, axis)))
        else:
            values.append(moving.unsqueeze(value, [axis]))
    return _joined(b, node, values, int(node.attrs["axis"]))


def _joined(b: Building, node: SourceNode, values: Sequence[Value], axis: int) -> Value:
    leader = next(value for value in values if not value.is_constant)
    _refuse_open(leader, [axis % leader.rank], "joins tensors along")
    return moving.concatenate(b, node, values, axis)


def split(
    b: Building, node: SourceNode, value: Value, axis: int, parts: int | Sequence[int]
) -> list[Value]:
    """Cut a tensor along a source axis.

    Args:
        b: the network.
        node: names the layers.
        value: what is cut.
        axis: where.
        parts: their number, or the size of each; one of these may be -1, the rest.
    """
    axis %= value.rank
    _refuse_open(value, [axis], "cuts")
    total = value.shape[axis]
    sizes = [total // parts] * parts if isinstance(parts, int) else [int(size) for size in parts]
    if sizes.count(-1) == 1:
        sizes[sizes.index(-1)] = total - sum(size for size in sizes if size != -1)
    return moving.split(b, node, value, sizes, axis)


def split_evenly(b: Building, node: SourceNode) -> list[Value]:
    """Cut the second input along the axis that is the first into `num_split` parts."""
    axis = int(b.constant(node, 0, "axis").reshape(()))
    return split(b, node, b.input(node, 1), axis, int(node.attrs["num_split"]))


def split_by_sizes(b: Building, node: SourceNode) -> list[Value]:
    """Cut the first input into parts of given sizes, the second, along an axis, the third."""
    sizes = [int(size) for size in b.constant(node, 1, "sizes").reshape(-1)]
    axis = int(b.constant(node, 2, "axis").reshape(()))
    return split(b, node, b.input(node, 0), axis, sizes)


def unpack(b: Building, node: SourceNode) -> list[Value]:
    """Cut a tensor along `axis` into slices without it."""
    value = b.input(node, 0)
    axis = int(node.attrs["axis"]) % value.rank
    parts = split(b, node, value, axis, value.shape[axis])
    return [moving.squeeze(part, [axis]) for part in parts]


def strided_slice(b: Building, node: SourceNode) -> Value:
    """Take a strided slice; masks are TensorFlow's."""
    value = b.input(node, 0)
    if node.attrs.get("offset"):
        raise NotConvertible("counts its ends from its beginnings")
    bounds = [b.constant(node, place, "bounds", is_shape=True) for place in (1, 2, 3)]
    found = strided(node, value.shape, bounds)
    return _cut(b, node, value, found.slices, found.shape)


def slice_of(b: Building, node: SourceNode) -> Value:
    """Take a slice by its begin and size; a size of -1 is the rest."""
    value = b.input(node, 0)
    begin, size = (
        b.constant(node, place, "bounds", is_shape=True).reshape(-1).astype(int) for place in (1, 2)
    )
    ends = [
        whole if count == -1 else start + count
        for whole, start, count in zip(value.shape, begin, size, strict=True)
    ]
    slices = [slice(int(start), int(end)) for start, end in zip(begin, ends, strict=True)]
    sizes = [len(range(whole)[each]) for whole, each in zip(value.shape, slices, strict=True)]
    return _cut(b, node, value, slices, sizes)


def _cut(
    b: Building, node: SourceNode, value: Value, slices: Sequence[slice], shape: Sequence[int]
) -> Value:
    sizes = zip(slices, value.shape, strict=True)
    keys = {
        axis: chosen
        for axis, (chosen, size) in enumerate(sizes)
        if range(size)[chosen] != range(size)
    }
    _refuse_open(value, keys, "cuts")
    value = moving.slices(b, node, value, keys)
    return value if tuple(shape) == tuple(value.shape) else b.reshape(node, value, shape)


def gather(b: Building, node: SourceNode, axis: int) -> Value:
    """Take entries along an axis; of a constant matrix by computed indices, an embedding."""
    value, indices = b.input(node, 0), b.input(node, 1)
    if node.attrs.get("batch_dims", 0):
        raise NotConvertible("takes other entries of each sample")
    if value.array is not None:
        return _embedding(b, node, value.array, indices, axis)
    wanted = b.constant(node, 1, "indices").astype(int)
    _refuse_open(value, [axis % value.rank], "takes entries along")
    return moving.take(b, node, value, wanted, axis)


def _embedding(
    b: Building, node: SourceNode, table: np.ndarray, indices: Value, axis: int
) -> Value:
    if table.ndim != 2 or axis != 0:
        raise NotConvertible(f"takes entries of a constant of shape {table.shape}")
    tensor, order = b.in_order(node, indices, range(indices.rank))
    rows, columns = table.shape
    settings = {"input_dim": rows, "output_dim": columns, "weights": [table]}
    result = b.layer(node, keras.layers.Embedding, tensor, **settings)
    return b.result(result, (*order, indices.rank), like=indices.axes)


def reduced(kind: str) -> Callable[[Building, SourceNode], Value]:
    """Make the function of an operator that sums axes up.

    Args:
        kind: "mean", "max", "min", "sum", "prod", "all" or "any", as in `keras.ops`.
    """
    function = getattr(_ops, kind)

    def build(b: Building, node: SourceNode) -> Value:
        value, keeps = b.input(node, 0), bool(node.attrs.get("keepdims", False))
        over = sorted({int(axis) % value.rank for axis in b.constant(node, 1, "axes").reshape(-1)})
        _refuse_open(value, over, "sums up")
        if over != list(range(1, value.rank - 1)):
            return moving.reduce(b, node, value, function, over, keeps) if over else value
        in_front = first(b, node, value)  # over all positions: a layer of its own
        made = moving.reduce(b, node, in_front, function, range(2, value.rank), keeps)
        return back(b, node, made) if keeps else made

    return build


def best(function: Callable[..., Any]) -> Callable[[Building, SourceNode], Value]:
    """Make the function of an operator that names the largest or smallest entry's place."""

    def build(b: Building, node: SourceNode) -> Value:
        value = b.input(node, 0)
        axis = int(b.constant(node, 1, "axis").reshape(())) % value.rank
        _refuse_open(value, [axis], "chooses along")
        tensor, order = b.in_order(node, value)
        result = b.op(node, function, tensor, axis=order.index(axis))
        left = [each for each in range(value.rank) if each != axis]
        return b.result(result, [left.index(each) for each in order if each != axis])

    return build


def tile(b: Building, node: SourceNode) -> Value:
    """Repeat a tensor along its axes."""
    value = b.input(node, 0)
    return _repeated(b, node, value, [int(each) for each in b.constant(node, 1, "repeats").ravel()])


def broadcast(b: Building, node: SourceNode) -> Value:
    """Repeat a tensor along its axes of size 1."""
    value = b.input(node, 0)
    target = [int(size) for size in b.constant(node, 1, "shape", is_shape=True).ravel()]
    if len(target) != value.rank or any(
        new != old and old != 1 for new, old in zip(target, value.shape, strict=True)
    ):
        raise NotConvertible(f"gives the shape {value.shape} the shape {tuple(target)}")
    sizes = zip(target, value.shape, strict=True)
    return _repeated(b, node, value, [1 if new == old else new for new, old in sizes])


def _repeated(b: Building, node: SourceNode, value: Value, repeats: list[int]) -> Value:
    if len(repeats) != value.rank or min(repeats, default=1) < 1:
        raise NotConvertible(f"its repeats are {repeats} for {value.rank} axes")
    _refuse_open(value, [axis for axis, times in enumerate(repeats) if times != 1], "repeats")
    return moving.tile(b, node, value, repeats)


def reverse(b: Building, node: SourceNode) -> Value:
    """Turn axes round."""
    value = b.input(node, 0)
    chosen = [int(axis) % value.rank for axis in b.constant(node, 1, "axes").reshape(-1)]
    _refuse_open(value, chosen, "turns round")
    tensor, order = b.in_order(node, value)
    result = b.op(node, _ops.flip, tensor, axis=tuple(order.index(axis) for axis in chosen))
    return b.result(result, order, like=value.axes)


def product(
    b: Building, node: SourceNode, first_value: Value, second: Value, swap: tuple[bool, bool]
) -> Value:
    """Build a product of matrices, the last two axes of each.

    Args:
        b: the network.
        node: names the layers.
        first_value: a tensor or a constant.
        second: likewise, not both constants.
        swap: whether the last two axes of each are swapped first.
    """
    operands = []
    for value, is_swapped in zip((first_value, second), swap, strict=True):
        order = list(range(value.rank))
        if is_swapped:
            order[-2:] = order[:-3:-1]
        if value.array is not None:
            operands.append(value.replace(array=value.array.transpose(order)))
        else:
            operands.append(b.transpose(value, order))
    return parts_product(b, node, *operands)


def _refuse_open(value: Value, chosen: Any, what: str) -> None:
    """Refuse work along axes whose size is open."""
    for axis in chosen:
        if is_free(value.axes.source[axis]):
            name = "the batch" if axis == 0 else f"axis {axis}, whose size is open"
            raise NotConvertible(f"{what} {name}" + ("" if axis == 0 else f". {OPEN_SIZES}"))
