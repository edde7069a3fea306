"""Operators that move, cut, join or sum up axes."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from utils.frontends.building import Building
from utils.frontends.layout import axis_size, is_free
from utils.frontends.nhwc.activations import activated
from utils.frontends.source import NotConvertible, SourceNode
from utils.frontends.values import Value

_ops = keras.ops
_GLOBAL = {
    ("mean", 4): keras.layers.GlobalAveragePooling2D,
    ("mean", 3): keras.layers.GlobalAveragePooling1D,
    ("max", 4): keras.layers.GlobalMaxPooling2D,
    ("max", 3): keras.layers.GlobalMaxPooling1D,
}


def reshape(b: Building, node: SourceNode) -> Value:
    """Reshape to a constant, or to `shape`."""
    value = b.input(node, 0)
    if b.has(node, 1):
        target = b.constant(node, 1, "shape", is_shape=True).reshape(-1)
    else:
        target = node.attrs.get("shape")
    if target is None:
        raise NotConvertible("lacks its shape")
    return b.reshape(node, value, [int(size) for size in target])


def squeeze(b: Building, node: SourceNode) -> Value:
    """Take axes of size 1 away: those of `axes`, else all."""
    value = b.input(node, 0)
    wanted = {axis % value.rank for axis in node.ints("axes", ())}
    if not wanted:
        wanted = {axis for axis in range(1, value.rank) if value.shape[axis] == 1}
        if value.shape and value.shape[0] == 1 and not is_free(value.axes.source[0]):
            wanted.add(0)
    if any(value.shape[axis] != 1 for axis in wanted):
        raise NotConvertible(f"takes axes away that are not of size 1: {sorted(wanted)}")
    kept = [size for axis, size in enumerate(value.shape) if axis not in wanted]
    return b.reshape(node, value, kept)


def expand(b: Building, node: SourceNode) -> Value:
    """Put an axis of size 1 in."""
    value = b.input(node, 0)
    axis = int(b.constant(node, 1, "axis").reshape(()))
    shape = list(value.shape)
    shape.insert(axis + len(shape) + 1 if axis < 0 else axis, 1)
    return b.reshape(node, value, shape)


def transpose(b: Building, node: SourceNode) -> Value:
    """Permute axes: nothing moves."""
    value = b.input(node, 0)
    order = [int(axis) for axis in b.constant(node, 1, "order of axes").reshape(-1)]
    if sorted(axis % value.rank for axis in order) != list(range(value.rank)):
        raise NotConvertible(f"its order of axes is {order}")
    return b.transpose(value, [axis % value.rank for axis in order])


def shape_of(b: Building, node: SourceNode) -> Value:
    """Give a tensor's shape, with stand-ins for open sizes."""
    value = b.input(node, 0)
    is_open = any(is_free(axis) for axis in value.axes.source)
    return Value(array=np.array(value.shape, np.int64), is_shape=is_open)


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
    mode = str(node.attrs.get("mode", "constant"))
    if not pairs.any():
        return value
    tensor, order = b.in_order(node, value)
    widths = tuple(tuple(int(each) for each in pairs[axis]) for axis in order)
    _keep_open(value, [axis for axis in range(value.rank) if pairs[axis].any()], "pads")
    spatial, is_zero = widths[1:-1], mode == "constant" and filled == 0.0
    if is_zero and not any(widths[0]) and not any(widths[-1]) and len(spatial) in (1, 2):
        if len(spatial) == 2:
            result = b.layer(node, keras.layers.ZeroPadding2D, tensor, padding=spatial)
        else:
            result = b.layer(node, keras.layers.ZeroPadding1D, tensor, padding=spatial[0])
    elif mode == "constant":
        settings = {} if filled == 0.0 else {"constant_values": filled}
        result = b.op(node, _ops.pad, tensor, widths, **settings)
    else:
        result = b.op(node, _ops.pad, tensor, widths, mode=mode)
    return b.result(result, order, like=value.layout)


def concatenate(b: Building, node: SourceNode) -> Value:
    """Put tensors one behind the other along `axis`."""
    values = [b.input(node, place) for place in range(len(node.inputs))]
    return activated(b, node, joined(b, node, values, int(node.attrs["axis"])))


def pack(b: Building, node: SourceNode) -> Value:
    """Put tensors one behind the other along a new `axis`."""
    values = []
    for place in range(len(node.inputs)):
        value = b.input(node, place)
        shape = list(value.shape)
        shape.insert(int(node.attrs["axis"]) % (value.rank + 1), 1)
        if value.array is not None:
            values.append(value.replace(array=value.array.reshape(shape)))
        else:
            values.append(b.reshape(node, value, shape))
    return joined(b, node, values, int(node.attrs["axis"]))


def joined(b: Building, node: SourceNode, values: Sequence[Value], axis: int) -> Value:
    """Put tensors one behind the other along a source axis.

    Raises:
        NotConvertible: along the batch, or with a constant where the batch is open.
    """
    leader = next(value for value in values if not value.is_constant)
    axis %= leader.rank
    _keep_open(leader, [axis], "joins tensors along")
    order = b.in_order(node, leader)[1]
    tensors: list[Any] = []
    for number, value in enumerate(values):
        if value.array is None:
            tensors.append(b.in_order(node, value, order, suffix=f"in{number}")[0])
        elif any(is_free(each) for each in leader.axes.source):
            raise NotConvertible("joins a constant to a tensor of open batch")
        else:
            tensors.append(_ops.convert_to_tensor(value.array.transpose(order)))
    if len(tensors) == 1:
        return leader
    result = b.layer(node, keras.layers.Concatenate, *tensors, axis=order.index(axis))
    return b.result(result, order, like=leader.layout)


def split(b: Building, node: SourceNode) -> list[Value]:
    """Cut a tensor along `axis` into `parts`: their number, or the size of each."""
    value = b.input(node, int(node.attrs.get("split_input", 0)))
    axis = int(node.attrs["axis"]) % value.rank
    _keep_open(value, [axis], "cuts")
    total, parts = value.shape[axis], node.attrs["parts"]
    sizes = [total // int(parts)] * int(parts) if np.ndim(parts) == 0 else [int(s) for s in parts]
    if sizes.count(-1) == 1:
        sizes[sizes.index(-1)] = total - sum(size for size in sizes if size != -1)
    if sum(sizes) != total or min(sizes) < 0:
        raise NotConvertible(f"cuts an axis of {total} into {sizes}")
    if len(sizes) == 1:
        return [value]
    tensor, order = b.in_order(node, value)
    ends = [int(end) for end in np.cumsum(sizes)[:-1]]
    found = b.op(node, _ops.split, tensor, ends, axis=order.index(axis))
    return [b.result(each, order, like=value.layout) for each in found]


def unpack(b: Building, node: SourceNode) -> list[Value]:
    """Cut a tensor along `axis` into slices without it."""
    value = b.input(node, 0)
    axis = int(node.attrs["axis"]) % value.rank
    parts = SourceNode(
        node.name, node.op, node.inputs, node.outputs, {"axis": axis, "parts": value.shape[axis]}
    )
    kept = [size for place, size in enumerate(value.shape) if place != axis]
    return [b.reshape(node, each, kept) for each in split(b, parts)]


def cut(
    b: Building, node: SourceNode, value: Value, slices: Sequence[slice], shape: Sequence[int]
) -> Value:
    """Take a slice of every source axis, then reshape.

    Args:
        b: the network.
        node: names the layers.
        value: what is cut.
        slices: one per source axis.
        shape: of the result; its sizes along open axes are stand-ins.
    """
    whole = [
        _is_whole(each, size) for each, size in zip(slices, value.shape, strict=True)
    ]
    if not all(whole):
        _keep_open(value, [axis for axis, is_all in enumerate(whole) if not is_all], "cuts")
        tensor, order = b.in_order(node, value)
        chosen = tuple(slice(None) if whole[axis] else slices[axis] for axis in order)
        result = b.op(node, operator.getitem, tensor, chosen)
        value = b.result(result, order, like=value.layout)
    return value if tuple(shape) == tuple(value.shape) else b.reshape(node, value, shape)


def _is_whole(chosen: slice, size: int) -> bool:
    return range(size)[chosen] == range(size)


def gather(b: Building, node: SourceNode) -> Value:
    """Take entries along `axis`; of a constant matrix by computed indices, an embedding."""
    value, indices = b.input(node, 0), b.input(node, 1)
    if value.array is not None:
        return _embedding(b, node, value.array, indices)
    axis = int(node.attrs.get("axis", 0)) % value.rank
    wanted = b.constant(node, 1, "indices").astype(int)
    _keep_open(value, [axis], "takes entries of")
    if node.attrs.get("batch_dims", 0) or wanted.ndim > 1:
        raise NotConvertible(f"its indices have the shape {wanted.shape}")
    size = value.shape[axis]
    if wanted.size and not -size <= wanted.min() <= wanted.max() < size:
        raise NotConvertible(f"its indices leave an axis of {size}")
    tensor, order = b.in_order(node, value)
    flat = [int(index) % size for index in wanted.reshape(-1)]
    result = b.op(node, _ops.take, tensor, np.array(flat, np.int32), axis=order.index(axis))
    taken = b.result(result, order, like=value.layout)
    if wanted.ndim:
        return taken
    return b.reshape(node, taken, [s for place, s in enumerate(value.shape) if place != axis])


def _embedding(b: Building, node: SourceNode, table: np.ndarray, indices: Value) -> Value:
    if table.ndim != 2 or int(node.attrs.get("axis", 0)) != 0 or node.attrs.get("batch_dims", 0):
        raise NotConvertible(f"takes entries of a constant of shape {table.shape}")
    tensor, order = b.in_order(node, indices, range(indices.rank))
    result = b.layer(
        node,
        keras.layers.Embedding,
        tensor,
        input_dim=table.shape[0],
        output_dim=table.shape[1],
        weights=[table],
    )
    return b.result(result, (*order, indices.rank), like=indices.layout)


def reduced(kind: str) -> Callable[[Building, SourceNode], Value]:
    """Make the function of an operator that sums axes up.

    Args:
        kind: "mean", "max", "min", "sum", "prod", "all" or "any".
    """
    functions = {
        "mean": _ops.mean,
        "max": _ops.max,
        "min": _ops.min,
        "sum": _ops.sum,
        "prod": _ops.prod,
        "all": _ops.all,
        "any": _ops.any,
    }

    def build(b: Building, node: SourceNode) -> Value:
        value = b.input(node, 0)
        found = b.constant(node, 1, "axes").reshape(-1)
        return reduce_axes(b, node, value, [int(axis) for axis in found], kind, functions[kind])

    return build


def reduce_axes(
    b: Building,
    node: SourceNode,
    value: Value,
    wanted: Sequence[int],
    kind: str,
    function: Callable[..., Any],
) -> Value:
    """Sum axes up; keep them with size 1 where `keepdims`.

    Raises:
        NotConvertible: if the batch is among them.
    """
    chosen = sorted({axis % value.rank for axis in wanted})
    keeps = bool(node.attrs.get("keepdims", False))
    if not chosen:
        return value
    if 0 in chosen and value.shape[0] == 1:  # a batch that the source counts as 1
        chosen.remove(0)
        if not keeps:
            raise NotConvertible("sums the batch up")
    _keep_open(value, [axis for axis in chosen if axis == 0], "sums up")
    tensor, order = b.in_order(node, value)
    places = [order.index(axis) for axis in chosen]
    layer = _GLOBAL.get((kind, value.rank))
    if layer is not None and sorted(places) == list(range(1, value.rank - 1)):
        result = b.layer(node, layer, tensor, keepdims=keeps)
    else:
        result = b.op(node, function, tensor, axis=tuple(places), keepdims=keeps)
    left = [axis for axis in range(value.rank) if keeps or axis not in chosen]
    kept = [axis for axis in order if keeps or axis not in chosen]
    sizes = {left.index(axis): value.shape[axis] for axis in kept if is_free(_axis(value, axis))}
    return b.result(result, [left.index(axis) for axis in kept], sizes=sizes)


def best(function: Callable[..., Any]) -> Callable[[Building, SourceNode], Value]:
    """Make the function of an operator that names the largest or smallest entry's place."""

    def build(b: Building, node: SourceNode) -> Value:
        value = b.input(node, 0)
        axis = int(b.constant(node, 1, "axis").reshape(())) % value.rank
        _keep_open(value, [axis], "chooses along")
        tensor, order = b.in_order(node, value)
        result = b.op(node, function, tensor, axis=order.index(axis))
        left = [each for each in range(value.rank) if each != axis]
        return b.result(result, [left.index(each) for each in order if each != axis])

    return build


def tile(b: Building, node: SourceNode) -> Value:
    """Repeat a tensor along its axes."""
    value = b.input(node, 0)
    repeats = [int(each) for each in b.constant(node, 1, "repeats").reshape(-1)]
    if len(repeats) != value.rank or min(repeats, default=1) < 1:
        raise NotConvertible(f"its repeats are {repeats} for {value.rank} axes")
    _keep_open(value, [axis for axis, times in enumerate(repeats) if times != 1], "repeats")
    tensor, order = b.in_order(node, value)
    result = b.op(node, _ops.tile, tensor, tuple(repeats[axis] for axis in order))
    return b.result(result, order, like=value.layout)


def broadcast(b: Building, node: SourceNode) -> Value:
    """Repeat a tensor along its axes of size 1."""
    value = b.input(node, 0)
    target = [int(size) for size in b.constant(node, 1, "shape", is_shape=True).reshape(-1)]
    if len(target) != value.rank:
        raise NotConvertible(f"gives {value.rank} axes the shape {target}")
    repeats = [new // old for new, old in zip(target, value.shape, strict=True)]
    if [old * times for old, times in zip(value.shape, repeats, strict=True)] != target:
        raise NotConvertible(f"gives the shape {value.shape} the shape {target}")
    if all(times == 1 for times in repeats):
        return value
    _keep_open(value, [axis for axis, times in enumerate(repeats) if times != 1], "repeats")
    tensor, order = b.in_order(node, value)
    result = b.op(node, _ops.tile, tensor, tuple(repeats[axis] for axis in order))
    return b.result(result, order, like=value.layout)


def reverse(b: Building, node: SourceNode) -> Value:
    """Turn axes round."""
    value = b.input(node, 0)
    chosen = [int(axis) % value.rank for axis in b.constant(node, 1, "axes").reshape(-1)]
    _keep_open(value, chosen, "turns round")
    tensor, order = b.in_order(node, value)
    result = b.op(node, _ops.flip, tensor, axis=tuple(order.index(axis) for axis in chosen))
    return b.result(result, order, like=value.layout)


def product(
    b: Building, node: SourceNode, first: Value, second: Value, *, swap: tuple[bool, bool]
) -> Value:
    """Build a product of matrices, the last two axes of each.

    Args:
        b: the network.
        node: names the layers.
        first: a tensor or a constant.
        second: likewise, not both constants.
        swap: whether the last two axes of each are swapped first.
    """
    operands, ranks = [], []
    for number, (value, is_swapped) in enumerate(zip((first, second), swap, strict=True)):
        order = list(range(value.rank))
        if is_swapped:
            order[-2:] = order[:-3:-1]
        ranks.append(value.rank)
        if value.array is not None:
            operands.append(value.array.transpose(order))
        else:
            operands.append(b.in_order(node, value, order, suffix=f"in{number}")[0])
    result = b.op(node, _ops.matmul, *operands)
    leader = first if first.array is None else second
    rank = max(ranks)
    sizes = {axis: size for axis, size in enumerate(leader.shape) if axis < rank - 2}
    return b.result(result, range(rank), sizes=sizes)


def _axis(value: Value, axis: int) -> Any:
    return value.axes.source[axis]


def _keep_open(value: Value, chosen: Sequence[int], what: str) -> None:
    """Refuse work along axes whose size is open."""
    for axis in chosen:
        if is_free(_axis(value, axis)):
            size = axis_size(_axis(value, axis))
            raise NotConvertible(f"{what} axis {axis}, whose size is open" + " (the batch)" * (
                axis == 0 or size == 1))  # fmt: skip
