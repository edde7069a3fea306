"""MXNet operators on shapes and places of elements, and reductions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras

from utils.frontends.building import Building, Function
from utils.frontends.parts import dense, moving, pointwise, resizing
from utils.frontends.source import NotConvertible, SourceNode
from utils.frontends.values import Value


def identity(build: Building, node: SourceNode) -> Value:
    """Operators that change nothing in inference."""
    return build.input(node, 0)


def dropout(build: Building, node: SourceNode) -> Value:
    """`Dropout`: kept, so that the network can be trained further."""
    rate, value = float(node.attrs.get("p", 0.5)), build.input(node, 0)
    if not 0 < rate < 1:
        return value
    sign = value.nonnegative
    return pointwise.activation(build, node, value, keras.layers.Dropout, sign, rate=rate)


_TYPES = {
    "float16": "float32",
    "float32": "float32",
    "float64": "float32",
    "int8": "int8",
    "int32": "int32",
    "int64": "int32",
    "uint8": "uint8",
    "bool": "bool",
}


def cast(build: Building, node: SourceNode) -> Value:
    """`Cast`: all floating point is float32, and 64-bit integers have 32 bits, as everywhere."""
    value, wanted = build.input(node, 0), str(node.attrs.get("dtype"))
    if wanted not in _TYPES:
        raise NotConvertible(f"casts to {wanted!r}; {', '.join(_TYPES)} are known")
    name = _TYPES[wanted]
    if value.array is not None:
        return Value(array=value.array.astype(name))
    if value.tensor.dtype == name:
        return value
    sign = value.nonnegative
    return pointwise.unary(build, node, value, keras.ops.cast, name, nonnegative=sign)


def flatten(build: Building, node: SourceNode) -> Value:
    """`Flatten`."""
    value = build.input(node, 0)
    return build.reshape(node, value, (value.shape[0], math.prod(value.shape[1:])))


def reshape(build: Building, node: SourceNode) -> Value:
    """`Reshape`, with its codes 0, -1, -2, -3 and -4."""
    value = build.input(node, 0)
    if node.attrs.get("reverse"):
        raise NotConvertible("reads its codes from the right")
    sizes = decoded(value.shape, node.ints("shape", ()))
    return build.reshape(node, value, sizes)


def decoded(shape: Sequence[int], codes: Sequence[int]) -> list[int]:
    """Work MXNet's codes of a reshape out, all but one -1.

    Args:
        shape: the present one.
        codes: sizes; 0 keeps an axis, -2 keeps all that are left, -3 joins two, -4 splits one into
            the two sizes behind it.

    Returns:
        The new shape.

    Raises:
        NotConvertible: if they do not fit.

    Example:
        >>> decoded((2, 6, 4, 5), (0, -4, 2, -1, -3))
        [2, 2, 3, 20]
        >>> decoded((2, 6, 4), (0, -2)), decoded((2, 6, 4), (0, -1))
        ([2, 6, 4], [2, -1])
    """
    left, made, waiting = list(shape), [], list(codes)
    try:
        while waiting:
            code = waiting.pop(0)
            if code == -4:
                whole, first, second = left.pop(0), waiting.pop(0), waiting.pop(0)
                first = whole // second if first == -1 else first
                made += [first, whole // first]
            elif code == -3:
                made.append(left.pop(0) * left.pop(0))
            elif code == -2:
                made += left
                left = []
            else:
                made.append(left.pop(0) if code == 0 else code)
                if code != 0 and left:
                    left.pop(0)
    except (IndexError, ZeroDivisionError):
        raise NotConvertible(f"its codes {tuple(codes)} do not fit {tuple(shape)}") from None
    return made


def transpose(build: Building, node: SourceNode) -> Value:
    """`transpose`."""
    value = build.input(node, 0)
    order = node.ints("axes", ()) or tuple(reversed(range(value.rank)))
    return build.transpose(value, order)


def swap_axes(build: Building, node: SourceNode) -> Value:
    """`SwapAxis`."""
    value = build.input(node, 0)
    order = list(range(value.rank))
    one, other = (int(node.attrs.get(key, 0)) for key in ("dim1", "dim2"))
    order[one], order[other] = order[other], order[one]
    return build.transpose(value, order)


def expand_dims(build: Building, node: SourceNode) -> Value:
    """`expand_dims`."""
    return moving.unsqueeze(build.input(node, 0), [int(node.attrs["axis"])])


def squeeze(build: Building, node: SourceNode) -> Value:
    """`squeeze`."""
    value = build.input(node, 0)
    given = node.attrs.get("axis")
    return moving.squeeze(value, None if given in (None, "None") else node.ints("axis", ()))


def concat(build: Building, node: SourceNode) -> Value:
    """`Concat`."""
    values = [build.input(node, place) for place in range(len(node.inputs))]
    return moving.concatenate(build, node, values, int(node.attrs.get("dim", 1)))


def stack(build: Building, node: SourceNode) -> Value:
    """`stack`."""
    axis = int(node.attrs.get("axis", 0))
    values = [build.input(node, place) for place in range(len(node.inputs))]
    axis = axis % (values[0].rank + 1)
    return moving.concatenate(build, node, [moving.unsqueeze(v, [axis]) for v in values], axis)


def slice_channel(build: Building, node: SourceNode) -> list[Value]:
    """`SliceChannel`: equal parts."""
    value, count = build.input(node, 0), int(node.attrs["num_outputs"])
    axis = int(node.attrs.get("axis", 1)) % value.rank
    if count < 1 or value.shape[axis] % count:
        raise NotConvertible(f"cannot cut {value.shape[axis]} into {count} equal parts")
    parts = moving.split(build, node, value, [value.shape[axis] // count] * count, axis)
    if node.attrs.get("squeeze_axis"):
        parts = [moving.squeeze(part, [axis]) for part in parts]
    return parts


def _bounds(node: SourceNode, key: str) -> list[int | None]:
    given = node.attrs.get(key, ())
    given = given if isinstance(given, tuple) else (given,)
    return [None if item in (None, "None") else int(item) for item in given]


def slices(build: Building, node: SourceNode) -> Value:
    """`slice`."""
    begins, ends = _bounds(node, "begin"), _bounds(node, "end")
    steps = _bounds(node, "step") or [None] * len(begins)
    steps = steps + [None] * (len(begins) - len(steps))
    keys = {
        axis: slice(begin, end, step)
        for axis, (begin, end, step) in enumerate(zip(begins, ends, steps, strict=True))
    }
    return moving.slices(build, node, build.input(node, 0), keys)


def slice_axis(build: Building, node: SourceNode) -> Value:
    """`slice_axis`."""
    value = build.input(node, 0)
    key = slice(_bounds(node, "begin")[0], _bounds(node, "end")[0])
    return moving.slices(build, node, value, {int(node.attrs["axis"]) % value.rank: key})


def crop(build: Building, node: SourceNode) -> Value:
    """`Crop` of an image to the size of a second one, or to given sizes."""
    value = build.input(node, 0)
    sizes = node.ints("h_w", (0, 0))
    if len(node.inputs) > 1:
        sizes = build.input(node, 1).shape[2:4]
    starts = node.ints("offset", (0, 0))
    if node.attrs.get("center_crop"):
        starts = tuple((value.shape[2 + i] - sizes[i]) // 2 for i in (0, 1))
    keys = {2 + i: slice(starts[i], starts[i] + sizes[i]) for i in (0, 1)}
    return moving.slices(build, node, value, keys)


def pad(build: Building, node: SourceNode) -> Value:
    """`Pad`."""
    flat, mode = node.ints("pad_width", ()), node.attrs.get("mode", "constant")
    widths = {axis: (flat[2 * axis], flat[2 * axis + 1]) for axis in range(len(flat) // 2)}
    fill = float(node.attrs.get("constant_value", 0.0))
    return moving.pad(build, node, build.input(node, 0), widths, str(mode), fill)


def _reduction(function: Any) -> Function:
    def convert(build: Building, node: SourceNode) -> Value:
        value, given = build.input(node, 0), node.attrs.get("axis")
        over: Sequence[int] = node.ints("axis", ()) if given not in (None, "None") else ()
        over = [axis % value.rank for axis in over] or list(range(value.rank))
        if node.attrs.get("exclude"):
            over = [axis for axis in range(value.rank) if axis not in over]
        keeps = bool(node.attrs.get("keepdims", False))
        return moving.reduce(build, node, value, function, over, keeps)

    return convert


def dot(build: Building, node: SourceNode) -> Value:
    """`dot` of matrices and `batch_dot`."""
    operands = []
    for place, key in enumerate(("transpose_a", "transpose_b")):
        value = build.input(node, place)
        if node.attrs.get(key):
            order = [*range(value.rank - 2), value.rank - 1, value.rank - 2]
            value = (
                build.transpose(value, order)
                if value.array is None
                else Value(array=value.array.transpose(order))
            )
        operands.append(value)
    if node.op == "dot" and max(value.rank for value in operands) > 2:
        raise NotConvertible("multiplies tensors of more than two axes")
    return dense.product(build, node, operands[0], operands[1])


def depth_to_space(build: Building, node: SourceNode) -> Value:
    """`depth_to_space`."""
    block = int(node.attrs["block_size"])
    return resizing.depth_to_space(build, node, build.input(node, 0), block, blocks_first=True)


def space_to_depth(build: Building, node: SourceNode) -> Value:
    """`space_to_depth`."""
    block = int(node.attrs["block_size"])
    return resizing.space_to_depth(build, node, build.input(node, 0), block)


FUNCTIONS: Mapping[str, Function] = {
    **{name: identity for name in ("identity", "_copy", "BlockGrad", "MakeLoss")},
    "Cast": cast,
    "cast": cast,
    "Dropout": dropout,
    "Flatten": flatten,
    "flatten": flatten,
    "Reshape": reshape,
    "reshape": reshape,
    "transpose": transpose,
    "SwapAxis": swap_axes,
    "swapaxes": swap_axes,
    "expand_dims": expand_dims,
    "squeeze": squeeze,
    "Concat": concat,
    "concat": concat,
    "stack": stack,
    "SliceChannel": slice_channel,
    "split": slice_channel,
    "slice": slices,
    "slice_axis": slice_axis,
    "Crop": crop,
    "Pad": pad,
    "pad": pad,
    "mean": _reduction(keras.ops.mean),
    "sum": _reduction(keras.ops.sum),
    "max": _reduction(keras.ops.max),
    "min": _reduction(keras.ops.min),
    "dot": dot,
    "batch_dot": dot,
    "depth_to_space": depth_to_space,
    "space_to_depth": space_to_depth,
}
