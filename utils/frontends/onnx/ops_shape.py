"""ONNX operators on shapes and places of elements, reductions, and chosen branches."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from utils.frontends import layout as axes
from utils.frontends.building import OPEN_SIZES, Building, Function
from utils.frontends.onnx.folding import slice_keys, split_sizes, target_shape
from utils.frontends.parts import moving, pointwise, resizing
from utils.frontends.source import NotConvertible, SourceNetwork, SourceNode
from utils.frontends.values import Value

_BROADCASTING = frozenset(("Add", "Sub", "Mul", "Div", "Pow", "Min", "Max", "Where"))
_OTHER = 7919  # what stand-ins are changed by to see what depends on them


def shape(build: Building, node: SourceNode) -> Value:
    """`Shape`: a constant, with stand-ins for open sizes."""
    value = build.input(node, 0)
    part = slice(node.attrs.get("start", 0), node.attrs.get("end"))
    sizes = np.array(value.shape, np.int64)[part]
    if value.layout is None:
        return Value(array=sizes, other=_other_sizes(value, sizes, part))
    free = np.array([axes.is_free(axis) for axis in value.axes.source], bool)[part]
    return Value(array=sizes, other=sizes + _OTHER * free if free.any() else None)


def _other_sizes(value: Value, sizes: np.ndarray, part: slice) -> np.ndarray | None:
    """The sizes of a constant with other stand-ins; None if they are the same."""
    if value.other is None:
        return None
    other = np.array(value.other.shape, np.int64)[part]
    return None if np.array_equal(sizes, other) else other


def size(build: Building, node: SourceNode) -> Value:
    """`Size`."""
    value = build.input(node, 0)
    count = np.array(math.prod(value.shape), np.int64)
    is_open = any(axes.is_free(axis) for axis in value.axes.source)
    return Value(array=count, other=count + _OTHER if is_open else None)


def identity(build: Building, node: SourceNode) -> Value:
    """`Identity`, and `Dropout` in inference."""
    return build.input(node, 0)


def dropout(build: Building, node: SourceNode) -> Value:
    """`Dropout`: kept, so that the network can be trained further."""
    rate = float(node.attrs.get("ratio", 0.5))
    if build.has(node, 1):
        rate = float(build.constant(node, 1, "ratio").reshape(()))
    value = build.input(node, 0)
    if not 0 < rate < 1:
        return value
    sign = value.nonnegative
    return pointwise.activation(build, node, value, keras.layers.Dropout, sign, rate=rate)


def reshape(build: Building, node: SourceNode) -> Value:
    """`Reshape`."""
    value = build.input(node, 0)
    target = node.attrs["shape"] if "shape" in node.attrs else _target(build, node, 1)
    sizes = target_shape(value.shape, target, bool(node.attrs.get("allowzero")))
    return build.reshape(node, value, sizes)


def _target(build: Building, node: SourceNode, place: int) -> np.ndarray:
    return build.constant(node, place, "shape", is_shape=True)


def flatten(build: Building, node: SourceNode) -> Value:
    """`Flatten`."""
    value = build.input(node, 0)
    axis = int(node.attrs.get("axis", 1))
    axis = axis % value.rank if axis < 0 else axis
    sizes = (math.prod(value.shape[:axis]), math.prod(value.shape[axis:]))
    return build.reshape(node, value, sizes)


def transpose(build: Building, node: SourceNode) -> Value:
    """`Transpose`."""
    value = build.input(node, 0)
    return build.transpose(value, node.ints("perm", tuple(reversed(range(value.rank)))))


def _axes(build: Building, node: SourceNode) -> list[int] | None:
    if build.has(node, 1):
        return [int(axis) for axis in np.ravel(build.constant(node, 1, "axes"))]
    found = node.attrs.get("axes")
    return None if found is None else list(found)


def squeeze(build: Building, node: SourceNode) -> Value:
    """`Squeeze`."""
    return moving.squeeze(build.input(node, 0), _axes(build, node))


def unsqueeze(build: Building, node: SourceNode) -> Value:
    """`Unsqueeze`."""
    return moving.unsqueeze(build.input(node, 0), _axes(build, node) or [])


def slices(build: Building, node: SourceNode) -> Value:
    """`Slice`."""
    value = build.input(node, 0)
    names = ("data", "starts", "ends", "axes", "steps")
    arrays = [
        build.constant(node, place, names[place]) if place and build.has(node, place) else None
        for place in range(len(node.inputs))
    ]
    return moving.slices(build, node, value, slice_keys(node, arrays, value.rank))


def gather(build: Building, node: SourceNode) -> Value:
    """`Gather`: constant indices, or computed ones into a constant table."""
    data, indices = build.input(node, 0), build.input(node, 1)
    axis = int(node.attrs.get("axis", 0))
    if indices.array is not None:
        chosen = build.constant(node, 1, "indices").astype(np.int64)
        return moving.take(build, node, data, chosen, axis)
    if data.array is None or data.array.ndim != 2 or axis != 0:
        raise NotConvertible("picks computed places of a computed tensor")
    tensor, order = build.in_order(node, indices)
    table = data.array.astype(np.float32)
    tensor = build.layer(
        node,
        keras.layers.Embedding,
        tensor,
        weights=[table],
        input_dim=table.shape[0],
        output_dim=table.shape[1],
    )
    return build.result(tensor, (*order, indices.rank), like=indices.axes)


def concat(build: Building, node: SourceNode) -> Value:
    """`Concat`."""
    values = [build.input(node, place) for place in range(len(node.inputs))]
    return moving.concatenate(build, node, values, int(node.attrs["axis"]))


def split(build: Building, node: SourceNode) -> list[Value]:
    """`Split`."""
    value = build.input(node, 0)
    axis = int(node.attrs.get("axis", 0)) % value.rank
    given = [None, build.constant(node, 1, "sizes")] if build.has(node, 1) else [None]
    if axes.is_free(value.axes.source[axis]):
        raise NotConvertible(f"splits an axis of a size that is open. {OPEN_SIZES}")
    sizes = split_sizes(node, given, value.shape[axis])
    return moving.split(build, node, value, sizes, axis)


def split_to_sequence(build: Building, node: SourceNode) -> Value:
    """`SplitToSequence`: by sizes, or into pieces of one size, whose axis may stay."""
    value = build.input(node, 0)
    axis = int(node.attrs.get("axis", 0)) % value.rank
    given = build.constant(node, 1, "sizes") if build.has(node, 1) else np.array(1)
    sizes = [int(size) for size in np.ravel(given)]
    if given.ndim == 0:
        count, rest = divmod(value.shape[axis], max(sizes[0], 1))
        sizes = sizes * count + [rest] * bool(rest)
    parts = moving.split(build, node, value, sizes, axis)
    if not build.has(node, 1) and not node.attrs.get("keepdims", 1):
        parts = [moving.squeeze(part, [axis]) for part in parts]
    return Value(parts=tuple(parts))


def sequence(build: Building, node: SourceNode) -> Value:
    """`SequenceConstruct`."""
    return Value(parts=tuple(build.input(node, place) for place in range(len(node.inputs))))


def sequence_at(build: Building, node: SourceNode) -> Value:
    """`SequenceAt`."""
    place = int(build.constant(node, 1, "place").reshape(()))
    return build.input(node, 0).parts[place]


def concat_from_sequence(build: Building, node: SourceNode) -> Value:
    """`ConcatFromSequence`."""
    parts, axis = build.input(node, 0).parts, int(node.attrs["axis"])
    if node.attrs.get("new_axis"):
        parts = tuple(moving.unsqueeze(part, [axis]) for part in parts)
    return moving.concatenate(build, node, parts, axis)


def pad(build: Building, node: SourceNode) -> Value:
    """`Pad`."""
    value = build.input(node, 0)
    flat = build.constant(node, 1, "widths") if build.has(node, 1) else node.attrs["pads"]
    chosen = build.constant(node, 3, "axes") if build.has(node, 3) else range(value.rank)
    half = len(flat) // 2
    widths = {
        int(axis) % value.rank: (int(flat[place]), int(flat[half + place]))
        for place, axis in enumerate(chosen)
    }
    fill = float(node.attrs.get("value", 0.0))
    if build.has(node, 2):
        fill = float(build.constant(node, 2, "value").reshape(()))
    return moving.pad(build, node, value, widths, node.attrs.get("mode", "constant"), fill)


def expand(build: Building, node: SourceNode) -> Value:
    """`Expand`."""
    value = build.input(node, 0)
    target = tuple(int(size) for size in _target(build, node, 1))
    sizes = np.broadcast_shapes(value.shape, target)
    wide = pointwise.widened(value, len(sizes))
    if _is_broadcast_anyway(build, node, sizes):
        return wide
    repeats = [
        1 if present == wanted else wanted
        for present, wanted in zip(wide.shape, sizes, strict=True)
    ]
    if any(count in (axes.BATCH_SIZE, *axes.FREE_SIZES) for count in repeats):
        raise NotConvertible("repeats along an axis of a size that is open")
    return moving.tile(build, node, wide, repeats)


def _is_broadcast_anyway(build: Building, node: SourceNode, shape: tuple[int, ...]) -> bool:
    """Whether all that read the result combine it with a tensor of its shape."""
    readers = build.readers(node.outputs[0])
    for reader in readers:
        others = [build.values.get(name) for name in reader.inputs if name != node.outputs[0]]
        if reader.op not in _BROADCASTING or not any(
            other is not None and not other.parts and other.shape == shape for other in others
        ):
            return False
    return bool(readers) and not build.is_output(node.outputs[0])


def tile(build: Building, node: SourceNode) -> Value:
    """`Tile`."""
    repeats = build.constant(node, 1, "repeats")
    return moving.tile(build, node, build.input(node, 0), [int(count) for count in repeats])


def _reduction(function: Any, prepare: Any = None, finish: Any = None) -> Function:
    def convert(build: Building, node: SourceNode) -> Value:
        value, over = build.input(node, 0), _axes(build, node)
        if over is None or not over:
            if node.attrs.get("noop_with_empty_axes"):
                return value
            over = list(range(value.rank))
        if prepare is not None:
            value = pointwise.unary(build, node, value, prepare)
        keeps = bool(node.attrs.get("keepdims", 1))
        made = moving.reduce(build, node, value, function, over, keeps)
        if finish is not None:
            made = pointwise.unary(build, node, made, finish)
        return made

    return convert


def argmax(build: Building, node: SourceNode) -> Value:
    """`ArgMax` and `ArgMin`."""
    value = build.input(node, 0)
    if node.attrs.get("select_last_index"):
        raise NotConvertible("picks the last of equal entries")
    axis = int(node.attrs.get("axis", 0)) % value.rank
    function = keras.ops.argmax if node.op == "ArgMax" else keras.ops.argmin
    keeps = bool(node.attrs.get("keepdims", 1))

    def pick(tensor: Any, axis: tuple[int, ...], keepdims: bool) -> Any:
        return function(tensor, axis=axis[0], keepdims=keepdims)

    return moving.reduce(build, node, value, pick, [axis], keeps)


def top_k(build: Building, node: SourceNode) -> list[Value]:
    """`TopK` of the largest."""
    value = build.input(node, 0)
    axis = int(node.attrs.get("axis", -1)) % value.rank
    if not node.attrs.get("largest", 1):
        raise NotConvertible("picks the smallest")
    count = int(build.constant(node, 1, "count").reshape(()))
    tensor, order = build.channels_last(node, value, axis)
    found = build.op(node, keras.ops.top_k, tensor, count)
    return [build.result(part, order, like=value.axes) for part in found]


def resize(build: Building, node: SourceNode) -> Value:
    """`Resize` and `Upsample`."""
    value = build.input(node, 0)
    sizes, scales = _new_sizes(build, node, value)
    mode = node.attrs.get("mode", "nearest")
    is_old = node.op == "Upsample" or int(node.attrs.get("opset", 11)) < 11
    rule = resizing.Rule(
        mode="linear" if mode == "bilinear" else mode,
        coordinates="asymmetric"
        if is_old
        else node.attrs.get("coordinate_transformation_mode", "half_pixel"),
        # Before opset 11 the specification leaves it open; ONNX Runtime shrinks by rounding up.
        rounding="toward_ends" if is_old else node.attrs.get("nearest_mode", "round_prefer_floor"),
        counting="by_scale",
        cubic=float(node.attrs.get("cubic_coeff_a", -0.75)),
    )
    if node.attrs.get("antialias") or node.attrs.get("exclude_outside"):
        raise NotConvertible("its antialiasing has no Keras counterpart")
    if node.attrs.get("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise NotConvertible("keeps the aspect ratio")
    return resizing.resize(build, node, value, sizes, scales, rule)


def _new_sizes(
    build: Building, node: SourceNode, value: Value
) -> tuple[dict[int, int], dict[int, float]]:
    """New sizes and factors by axis, from whichever input gives them."""
    place = 1 if node.op == "Upsample" or int(node.attrs.get("opset", 11)) < 11 else 2
    given = node.attrs.get("scales")
    if given is None and build.has(node, place) and build.input(node, place).array is not None:
        given = build.constant(node, place, "scales")
    chosen = [axis % value.rank for axis in node.ints("axes", tuple(range(value.rank)))]
    if given is not None and len(given):
        factors = {axis: float(factor) for axis, factor in zip(chosen, given, strict=True)}
        sizes = {  # in float32, as ONNX Runtime does: 10 * 0.7 is 7
            axis: math.floor(np.float32(value.shape[axis]) * np.float32(f))
            for axis, f in factors.items()
        }
        if any(f <= 0 for f in factors.values()):
            raise NotConvertible("its scales are not positive")
        return sizes, factors
    target = build.constant(node, 3, "sizes", is_shape=True)
    sizes = {axis: int(size) for axis, size in zip(chosen, target, strict=True)}
    return sizes, {axis: size / value.shape[axis] for axis, size in sizes.items()}


def depth_to_space(build: Building, node: SourceNode) -> Value:
    """`DepthToSpace`."""
    first = node.attrs.get("mode", "DCR") == "DCR"
    block = int(node.attrs["blocksize"])
    return resizing.depth_to_space(build, node, build.input(node, 0), block, blocks_first=first)


def space_to_depth(build: Building, node: SourceNode) -> Value:
    """`SpaceToDepth`."""
    return resizing.space_to_depth(build, node, build.input(node, 0), int(node.attrs["blocksize"]))


def branch(build: Building, node: SourceNode) -> list[Value]:
    """`If` whose condition is known: the chosen branch takes its place."""
    condition = build.constant(node, 0, "condition", is_shape=True)
    chosen = node.attrs["then_branch" if bool(condition.reshape(-1)[0]) else "else_branch"]
    if not isinstance(chosen, SourceNetwork):
        raise NotConvertible("lacks a branch")
    return build.branch(chosen)


FUNCTIONS: Mapping[str, Function] = {
    "Shape": shape,
    "Size": size,
    "Identity": identity,
    "Dropout": dropout,
    "Reshape": reshape,
    "Flatten": flatten,
    "Transpose": transpose,
    "Squeeze": squeeze,
    "Unsqueeze": unsqueeze,
    "Slice": slices,
    "Gather": gather,
    "Concat": concat,
    "Split": split,
    "SplitToSequence": split_to_sequence,
    "SequenceConstruct": sequence,
    "SequenceAt": sequence_at,
    "ConcatFromSequence": concat_from_sequence,
    "Pad": pad,
    "Expand": expand,
    "Tile": tile,
    "ReduceMean": _reduction(keras.ops.mean),
    "ReduceSum": _reduction(keras.ops.sum),
    "ReduceMax": _reduction(keras.ops.max),
    "ReduceMin": _reduction(keras.ops.min),
    "ReduceProd": _reduction(keras.ops.prod),
    "ReduceL1": _reduction(keras.ops.sum, prepare=keras.ops.abs),
    "ReduceL2": _reduction(keras.ops.sum, prepare=keras.ops.square, finish=keras.ops.sqrt),
    "ReduceSumSquare": _reduction(keras.ops.sum, prepare=keras.ops.square),
    "ReduceLogSumExp": _reduction(keras.ops.logsumexp),
    "ArgMax": argmax,
    "ArgMin": argmax,
    "TopK": top_k,
    "Resize": resize,
    "Upsample": resize,
    "DepthToSpace": depth_to_space,
    "SpaceToDepth": space_to_depth,
    "If": branch,
}
