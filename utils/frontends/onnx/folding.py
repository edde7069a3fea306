"""ONNX operators on constants, in NumPy: shape arithmetic and weights that are worked out.

Each function takes the node and its arrays (None for one that is left out) and returns the outputs.
No array is made before its size is known to be bounded.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from utils.frontends.arithmetic import POINTWISE, dequantized
from utils.frontends.source import NotConvertible, SourceNode, check_size

Arrays = list[Any]
Fold = Callable[[SourceNode, Arrays], Sequence[Any]]
_CASTS: Mapping[int, Any] = {
    1: np.float32,
    2: np.uint8,
    3: np.int8,
    5: np.int16,
    6: np.int32,
    7: np.int64,
    9: np.bool_,
    10: np.float32,
    11: np.float32,
    12: np.uint32,
    13: np.uint64,
    16: np.float32,
}


def cast_type(code: int) -> Any:
    """NumPy type of ONNX' code; all floating point is float32.

    Raises:
        NotConvertible: if it is none of numbers.
    """
    if code not in _CASTS:
        raise NotConvertible(f"casts to type {code}, which is not numbers")
    return _CASTS[code]


def axes_behind(node: SourceNode, rank: int, other_rank: int) -> int:
    """Count the axes of size 1 that a second operand gets behind its own.

    Before opset 7 `axis` said on which axis of the first operand it begins to lie.

    Args:
        node: combines them.
        rank: of the first operand.
        other_rank: of the second.
    """
    is_old = int(node.attrs.get("opset", 7)) < 7 and node.attrs.get("broadcast")
    axis = int(node.attrs.get("axis", -1)) if is_old else -1
    if axis == -1:
        return 0
    behind = rank - axis % rank - other_rank
    if behind < 0:
        raise NotConvertible(f"its second operand does not fit from axis {axis} on")
    return behind


def axes_of(node: SourceNode, arrays: Arrays, place: int = 1) -> list[int] | None:
    """Axes that stand in an attribute or, in newer files, in an input."""
    if len(arrays) > place and arrays[place] is not None:
        return [int(axis) for axis in np.ravel(arrays[place])]
    axes = node.attrs.get("axes")
    return None if axes is None else list(axes)


def slice_keys(node: SourceNode, arrays: Arrays, rank: int) -> dict[int, slice]:
    """Slices by axis, of both forms of the operator."""
    if "starts" in node.attrs:
        starts, ends = node.attrs["starts"], node.attrs["ends"]
        axes, steps = node.attrs.get("axes"), None
    else:
        starts, ends = np.ravel(arrays[1]), np.ravel(arrays[2])
        axes = arrays[3] if len(arrays) > 3 else None
        steps = arrays[4] if len(arrays) > 4 else None
    axes = range(len(starts)) if axes is None else np.ravel(axes)
    steps = [1] * len(starts) if steps is None else np.ravel(steps)
    keys = {}
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        first, last = int(start), int(end)
        stop = None if int(step) < 0 and last < -(1 << 30) else last
        keys[int(axis) % rank] = slice(first, stop, int(step))
    return keys


def target_shape(shape: Sequence[int], target: Any, allows_zero: bool) -> list[int]:
    """Replace the zeros in a Reshape's target by the sizes they stand for."""
    sizes = [int(size) for size in target]
    if allows_zero:
        return sizes
    for axis, size in enumerate(sizes):
        if size == 0:
            if axis >= len(shape):
                raise NotConvertible(f"keeps axis {axis} of {tuple(shape)}, which it has not")
            sizes[axis] = shape[axis]
    return sizes


def _unary(function: Callable[[Any], Any]) -> Callable[[SourceNode, Arrays], Arrays]:
    return lambda node, arrays: [function(arrays[0])]


def _binary(function: Callable[..., Any]) -> Callable[[SourceNode, Arrays], Arrays]:
    def fold(node: SourceNode, arrays: Arrays) -> Arrays:
        arrays = [array for array in arrays if array is not None]
        if len(arrays) == 2:
            behind = axes_behind(node, arrays[0].ndim, arrays[1].ndim)
            arrays[1] = arrays[1].reshape((*arrays[1].shape, *[1] * behind))
        check_size(np.broadcast_shapes(*(array.shape for array in arrays)))
        made = arrays[0]
        for array in arrays[1:]:
            made = function(made, array)
        return [np.asarray(made, dtype=_same(made, arrays))]

    return fold


def _same(made: Any, arrays: Arrays) -> Any:
    """Integers stay what they are; NumPy's promotion to float64 is undone."""
    return np.float32 if np.asarray(made).dtype == np.float64 else np.asarray(made).dtype


def _remainder(node: SourceNode, arrays: Arrays) -> Arrays:
    return _binary(np.fmod if node.attrs.get("fmod") else POINTWISE["mod"])(node, arrays)


def _reduce(function: Callable[..., Any]) -> Callable[[SourceNode, Arrays], Arrays]:
    def fold(node: SourceNode, arrays: Arrays) -> Arrays:
        axes = axes_of(node, arrays)
        keeps = bool(node.attrs.get("keepdims", 1))
        if not axes and node.attrs.get("noop_with_empty_axes"):
            return [arrays[0]]
        made = function(arrays[0], axis=tuple(axes) if axes else None, keepdims=keeps)
        return [np.asarray(made).astype(arrays[0].dtype)]

    return fold


def _reshape(node: SourceNode, arrays: Arrays) -> Arrays:
    target = arrays[1] if len(arrays) > 1 else node.attrs["shape"]
    sizes = target_shape(arrays[0].shape, target, bool(node.attrs.get("allowzero")))
    check_size(arrays[0].shape)
    return [arrays[0].reshape(sizes)]


def _gather(node: SourceNode, arrays: Arrays) -> Arrays:
    axis = int(node.attrs.get("axis", 0))
    data, indices = arrays
    check_size((*data.shape[:axis], *indices.shape, *data.shape[axis + 1 :]))
    return [np.take(data, indices.astype(np.int64), axis=axis)]


def _slice(node: SourceNode, arrays: Arrays) -> Arrays:
    keys = slice_keys(node, arrays, arrays[0].ndim)
    return [arrays[0][tuple(keys.get(axis, slice(None)) for axis in range(arrays[0].ndim))]]


def _concat(node: SourceNode, arrays: Arrays) -> Arrays:
    check_size((sum(array.size for array in arrays),))
    return [np.concatenate(arrays, axis=int(node.attrs["axis"]))]


def _unsqueeze(node: SourceNode, arrays: Arrays) -> Arrays:
    return [np.expand_dims(arrays[0], tuple(axes_of(node, arrays) or ()))]


def _squeeze(node: SourceNode, arrays: Arrays) -> Arrays:
    axes = axes_of(node, arrays)
    return [np.squeeze(arrays[0], None if axes is None else tuple(axes))]


def split_sizes(node: SourceNode, arrays: Arrays, size: int) -> list[int]:
    """Sizes of the parts, of all forms of the operator."""
    given = arrays[1] if len(arrays) > 1 else node.attrs.get("split")
    if given is not None:
        return [int(part) for part in np.ravel(given)]
    count = int(node.attrs.get("num_outputs", len(node.outputs)))
    each = -(-size // count)
    return [min(each, size - each * part) for part in range(count)]


def _split(node: SourceNode, arrays: Arrays) -> Arrays:
    axis = int(node.attrs.get("axis", 0))
    sizes = split_sizes(node, arrays, arrays[0].shape[axis])
    return list(np.split(arrays[0], np.cumsum(sizes)[:-1], axis=axis))


def _expand(node: SourceNode, arrays: Arrays) -> Arrays:
    shape = np.broadcast_shapes(arrays[0].shape, tuple(int(size) for size in arrays[1]))
    return [np.broadcast_to(arrays[0], shape)]  # a view: no memory


def _constant_of_shape(node: SourceNode, arrays: Arrays) -> Arrays:
    value = np.asarray(node.attrs.get("value", np.zeros(1, np.float32))).reshape(-1)[:1]
    shape = tuple(int(size) for size in arrays[0])
    if min(shape, default=1) < 0 or math.prod(shape) > 1 << 62:
        raise NotConvertible(f"makes a constant of the impossible shape {shape}")
    return [np.broadcast_to(value.reshape(()), shape)]  # a view: no memory


def _range(node: SourceNode, arrays: Arrays) -> Arrays:
    start, limit, delta = (array.reshape(()).item() for array in arrays)
    if delta == 0:
        raise NotConvertible("its step is 0")
    check_size((max(math.ceil((limit - start) / delta), 0),))
    return [np.arange(start, limit, delta, dtype=arrays[0].dtype)]


def _tile(node: SourceNode, arrays: Arrays) -> Arrays:
    counts = [int(count) for count in arrays[1]]
    check_size([size * count for size, count in zip(arrays[0].shape, counts, strict=True)])
    return [np.tile(arrays[0], counts)]


def _pad(node: SourceNode, arrays: Arrays) -> Arrays:
    flat = arrays[1] if len(arrays) > 1 else node.attrs["pads"]
    half = len(flat) // 2
    widths = [(int(flat[axis]), int(flat[half + axis])) for axis in range(half)]
    if (len(arrays) > 3 and arrays[3] is not None) or half != arrays[0].ndim:
        raise NotConvertible("pads chosen axes of a constant")
    check_size([size + sum(pair) for size, pair in zip(arrays[0].shape, widths, strict=True)])
    mode = node.attrs.get("mode", "constant")
    if mode != "constant":
        return [np.pad(arrays[0], widths, mode=mode)]
    given = arrays[2] if len(arrays) > 2 else None
    fill = np.asarray(node.attrs.get("value", 0.0)) if given is None else given
    return [np.pad(arrays[0], widths, constant_values=fill.reshape(()).item())]


def _matmul(node: SourceNode, arrays: Arrays) -> Arrays:
    one, other = arrays
    if one.ndim >= 2 and other.ndim >= 2:
        check_size((one.size // one.shape[-1], other.size // other.shape[-2]))
    return [np.matmul(one, other)]


def _clip(node: SourceNode, arrays: Arrays) -> Arrays:
    low, high = ([*arrays, None, None])[1:3]
    low = node.attrs.get("min", -np.inf) if low is None else low
    high = node.attrs.get("max", np.inf) if high is None else high
    return [np.clip(arrays[0], low, high).astype(arrays[0].dtype)]


def _where(node: SourceNode, arrays: Arrays) -> Arrays:
    check_size(np.broadcast_shapes(*(array.shape for array in arrays)))
    return [np.where(*arrays)]


def _dequantize(node: SourceNode, arrays: Arrays) -> Arrays:
    data, scale = arrays[:2]
    zero = arrays[2] if len(arrays) > 2 and arrays[2] is not None else 0.0
    if scale.size > 1 and int(node.attrs.get("block_size", 0)):
        raise NotConvertible("its weights are quantized in blocks")
    return [dequantized(data, scale, zero, int(node.attrs.get("axis", 1)))]


def _scatter_nd(node: SourceNode, arrays: Arrays) -> Arrays:
    if node.attrs.get("reduction", "none") != "none":
        raise NotConvertible("reduces while it scatters")
    made, indices = arrays[0].copy(), arrays[1]
    made[tuple(np.moveaxis(indices, -1, 0))] = arrays[2]
    return [made]


def _trilu(node: SourceNode, arrays: Arrays) -> Arrays:
    offset = int(arrays[1]) if len(arrays) > 1 and arrays[1] is not None else 0
    return [(np.triu if node.attrs.get("upper", 1) else np.tril)(arrays[0], offset)]


def _cumsum(node: SourceNode, arrays: Arrays) -> Arrays:
    if node.attrs.get("exclusive") or node.attrs.get("reverse"):
        raise NotConvertible("sums up exclusively or in reverse")
    return [np.cumsum(arrays[0], axis=int(arrays[1])).astype(arrays[0].dtype)]


def _argmax(node: SourceNode, arrays: Arrays) -> Arrays:
    axis, keeps = int(node.attrs.get("axis", 0)), bool(node.attrs.get("keepdims", 1))
    if node.attrs.get("select_last_index"):
        raise NotConvertible("picks the last of equal entries")
    return [np.argmax(arrays[0], axis=axis, keepdims=keeps)]


def _flatten(node: SourceNode, arrays: Arrays) -> Arrays:
    axis = int(node.attrs.get("axis", 1))
    axis = axis + arrays[0].ndim if axis < 0 else axis
    return [arrays[0].reshape(math.prod(arrays[0].shape[:axis]), -1)]


def _transpose(node: SourceNode, arrays: Arrays) -> Arrays:
    order = node.attrs.get("perm")
    return [np.transpose(arrays[0], order)]


def _bounded(fold: Fold) -> Fold:
    """Look at the sizes first: an array that repeats one entry takes no memory until it is used."""

    def checked(node: SourceNode, arrays: Arrays) -> Sequence[Any]:
        for array in arrays:
            if array is not None:
                check_size(array.shape)
        return fold(node, arrays)

    return checked


# What only looks at its arrays, or makes views of them.
_VIEWS = frozenset(
    "Identity Dropout Size Transpose Slice Unsqueeze Squeeze Split Expand Gather".split()
)
# ONNX' name -> the name in the shared table.
_UNARY = {
    "Abs": "abs",
    "Ceil": "ceil",
    "Cos": "cos",
    "Erf": "erf",
    "Exp": "exp",
    "Floor": "floor",
    "IsNaN": "isnan",
    "Log": "log",
    "Neg": "negative",
    "Not": "logical_not",
    "Reciprocal": "reciprocal",
    "Relu": "relu",
    "Round": "round",
    "Sigmoid": "sigmoid",
    "Sign": "sign",
    "Sin": "sin",
    "Softplus": "softplus",
    "Sqrt": "sqrt",
    "Tanh": "tanh",
}
_BINARY = {
    "Add": "add",
    "And": "logical_and",
    "Div": "divide",
    "Equal": "equal",
    "Greater": "greater",
    "GreaterOrEqual": "greater_equal",
    "Less": "less",
    "LessOrEqual": "less_equal",
    "Max": "maximum",
    "Min": "minimum",
    "Mul": "multiply",
    "Or": "logical_or",
    "Pow": "power",
    "Sub": "subtract",
    "Sum": "add",
    "Xor": "logical_xor",
}
_ALL: Mapping[str, Fold] = {
    **{name: _unary(POINTWISE[shared]) for name, shared in _UNARY.items()},
    **{name: _binary(POINTWISE[shared]) for name, shared in _BINARY.items()},
    "Identity": _unary(lambda x: x),
    "Dropout": _unary(lambda x: x),
    "Size": _unary(lambda x: np.int64(x.size)),
    "NonZero": _unary(lambda x: np.stack(np.nonzero(x)).astype(np.int64)),
    "Cast": lambda node, arrays: [arrays[0].astype(cast_type(int(node.attrs["to"])))],
    "CastLike": lambda node, arrays: [arrays[0].astype(arrays[1].dtype)],
    "Mod": _remainder,
    "Where": _where,
    "ReduceSum": _reduce(np.sum),
    "ReduceMean": _reduce(np.mean),
    "ReduceMax": _reduce(np.max),
    "ReduceMin": _reduce(np.min),
    "ReduceProd": _reduce(np.prod),
    "Reshape": _reshape,
    "Flatten": _flatten,
    "Transpose": _transpose,
    "Gather": _gather,
    "Slice": _slice,
    "Concat": _concat,
    "Unsqueeze": _unsqueeze,
    "Squeeze": _squeeze,
    "Split": _split,
    "Expand": _expand,
    "ConstantOfShape": _constant_of_shape,
    "Range": _range,
    "Tile": _tile,
    "Pad": _pad,
    "MatMul": _matmul,
    "Clip": _clip,
    "DequantizeLinear": _dequantize,
    "ScatterND": _scatter_nd,
    "Trilu": _trilu,
    "CumSum": _cumsum,
    "ArgMax": _argmax,
}
FOLDS: Mapping[str, Fold] = {
    name: fold if name in _VIEWS else _bounded(fold) for name, fold in _ALL.items()
}
