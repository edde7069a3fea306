"""What operators make of constants, in NumPy: shape arithmetic, and batch norm written out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from utils.frontends.arithmetic import POINTWISE
from utils.frontends.nhwc.slices import strided
from utils.frontends.source import NotConvertible, SourceNode, check_size

Arrays = list[np.ndarray]
Fold = Callable[[SourceNode, Arrays], Sequence[np.ndarray]]


def one(function: Callable[..., np.ndarray]) -> Fold:
    """Make the fold of a function of arrays alone, whose results are as large as its operands."""

    def fold(node: SourceNode, arrays: Arrays) -> Sequence[np.ndarray]:
        check_size(np.broadcast_shapes(*(array.shape for array in arrays)))
        with np.errstate(all="ignore"):
            result = np.asarray(function(*arrays))
        if arrays[0].dtype.kind == "f" and result.dtype.kind == "f":
            result = result.astype(arrays[0].dtype, copy=False)
        return [result]

    return fold


def _reshape(node: SourceNode, arrays: Arrays) -> Arrays:
    target = arrays[1] if len(arrays) > 1 else np.asarray(node.attrs.get("shape"))
    return [arrays[0].reshape([int(size) for size in target.reshape(-1)])]


def _squeeze(node: SourceNode, arrays: Arrays) -> Arrays:
    return [np.squeeze(arrays[0], node.ints("axes", ()) or None)]


def _expand(node: SourceNode, arrays: Arrays) -> Arrays:
    return [np.expand_dims(arrays[0], int(arrays[1].reshape(())))]


def _transpose(node: SourceNode, arrays: Arrays) -> Arrays:
    return [arrays[0].transpose([int(axis) for axis in arrays[1].reshape(-1)])]


def _strided(node: SourceNode, arrays: Arrays) -> Arrays:
    found = strided(node, arrays[0].shape, arrays[1:4])
    return [arrays[0][found.slices].reshape(found.shape)]


def _slice(node: SourceNode, arrays: Arrays) -> Arrays:
    begin, size = (each.reshape(-1).astype(int) for each in arrays[1:3])
    ends = [None if n == -1 else int(first + n) for first, n in zip(begin, size, strict=True)]
    return [arrays[0][tuple(slice(int(f), end) for f, end in zip(begin, ends, strict=True))]]


def _concatenate(node: SourceNode, arrays: Arrays) -> Arrays:
    check_size((sum(array.size for array in arrays),))
    return [np.concatenate(arrays, int(node.attrs["axis"]))]


def _pack(node: SourceNode, arrays: Arrays) -> Arrays:
    check_size((sum(array.size for array in arrays),))
    return [np.stack(arrays, int(node.attrs["axis"]))]


def _unpack(node: SourceNode, arrays: Arrays) -> Arrays:
    return list(np.moveaxis(arrays[0], int(node.attrs["axis"]), 0))


def _gather(node: SourceNode, arrays: Arrays) -> Arrays:
    axis, indices = int(node.attrs.get("axis", 0)), arrays[1].astype(int)
    check_size((*arrays[0].shape, indices.size))
    return [np.take(arrays[0], indices, axis)]


def _range(node: SourceNode, arrays: Arrays) -> Arrays:
    start, stop, step = (each.reshape(()).item() for each in arrays)
    if step == 0:
        raise NotConvertible("counts in steps of 0")
    check_size((max(int((stop - start) / step), 0),))
    return [np.arange(start, stop, step).astype(arrays[0].dtype)]


def _fill(node: SourceNode, arrays: Arrays) -> Arrays:
    return [np.full(check_size(arrays[0].reshape(-1)), arrays[1].reshape(()))]


def _tile(node: SourceNode, arrays: Arrays) -> Arrays:
    repeats = [int(each) for each in arrays[1].reshape(-1)]
    check_size((*arrays[0].shape, *repeats))
    return [np.tile(arrays[0], repeats)]


def _broadcast(node: SourceNode, arrays: Arrays) -> Arrays:
    return [np.broadcast_to(arrays[0], check_size(arrays[1].reshape(-1)))]


def _cast(node: SourceNode, arrays: Arrays) -> Arrays:
    return [arrays[0].astype(np.dtype(str(node.attrs["dtype"])))]


def _pad(node: SourceNode, arrays: Arrays) -> Arrays:
    pairs = arrays[1].astype(int)
    check_size(size + int(sum(pair)) for size, pair in zip(arrays[0].shape, pairs, strict=True))
    mode = str(node.attrs.get("mode", "constant"))
    if mode == "constant":
        filled = arrays[2].reshape(()) if len(arrays) > 2 else 0
        return [np.pad(arrays[0], pairs, constant_values=filled)]
    return [np.pad(arrays[0], pairs, mode=mode)]  # type: ignore[call-overload]


def _split(node: SourceNode, arrays: Arrays) -> Arrays:
    axis, array = arrays
    (count,) = check_size((int(node.attrs["num_split"]),))
    return list(np.split(array, count, int(axis.reshape(()))))


def _split_sizes(node: SourceNode, arrays: Arrays) -> Arrays:
    array, sizes, axis = arrays
    place, sizes = int(axis.reshape(())), sizes.reshape(-1).astype(int)
    rest = array.shape[place] - sizes[sizes != -1].sum()
    return list(np.split(array, np.cumsum(np.where(sizes == -1, rest, sizes))[:-1], place))


def _reverse(node: SourceNode, arrays: Arrays) -> Arrays:
    return [np.flip(arrays[0], tuple(int(axis) for axis in arrays[1].reshape(-1)))]


def _reduced(function: Callable[..., np.ndarray]) -> Fold:
    def fold(node: SourceNode, arrays: Arrays) -> Arrays:
        axes = tuple(int(axis) for axis in arrays[1].reshape(-1))
        result = np.asarray(function(arrays[0], axis=axes, keepdims=bool(node.attrs["keepdims"])))
        return [result.astype(arrays[0].dtype)]

    return fold


FOLDS: dict[str, Fold] = {
    **{name: one(function) for name, function in POINTWISE.items()},
    "all": _reduced(np.all),
    "any": _reduced(np.any),
    "broadcast": _broadcast,
    "cast": _cast,
    "concatenate": _concatenate,
    "expand": _expand,
    "fill": _fill,
    "gather": _gather,
    "max": _reduced(np.max),
    "mean": _reduced(np.mean),
    "min": _reduced(np.min),
    "pack": _pack,
    "pad": _pad,
    "prod": _reduced(np.prod),
    "range": _range,
    "rank": one(lambda x: np.array(x.ndim, np.int64)),
    "reshape": _reshape,
    "reverse": _reverse,
    "same": one(lambda x, *_: x),
    "shape": one(lambda x: np.array(x.shape, np.int64)),
    "slice": _slice,
    "split": _split,
    "split_sizes": _split_sizes,
    "squeeze": _squeeze,
    "strided": _strided,
    "sum": _reduced(np.sum),
    "tile": _tile,
    "transpose": _transpose,
    "unpack": _unpack,
    "where": one(np.where),
}
