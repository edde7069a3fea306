"""Resizing along spatial axes: as TensorFlow does it where that is the same, else by weights.

Along each axis a resize is a matrix [output, input] that the framework's rule of coordinates
defines; it is compared with that of Keras' own resizing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import keras
import numpy as np

from utils.frontends import layout as axes
from utils.frontends.building import OPEN_SIZES, Building
from utils.frontends.source import NotConvertible, SourceNode, check_size
from utils.frontends.values import Value


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rule:
    """How an output position is found in the input.

    Attributes:
        mode: `nearest`, `linear` or `cubic`.
        coordinates: ONNX' `coordinate_transformation_mode`.
        rounding: of `nearest`: `round_prefer_floor`, `round_prefer_ceil`, `floor` or `ceil`.
        cubic: the coefficient of `cubic`.
    """

    mode: str
    coordinates: str = "half_pixel"
    rounding: str = "round_prefer_floor"
    cubic: float = -0.75


TENSORFLOW = {
    "nearest": Rule(mode="nearest", coordinates="tf_half_pixel_for_nn", rounding="floor"),
    "linear": Rule(mode="linear"),
}


def positions(rule: Rule, num_in: int, num_out: int, scale: float) -> np.ndarray:
    """Where each output lies in the input, as a float array [num_out].

    Raises:
        NotConvertible: if the rule is unknown.
    """
    out = np.arange(num_out, dtype=np.float64)
    if rule.coordinates == "align_corners":
        return out * (num_in - 1) / (num_out - 1) if num_out > 1 else out * 0
    if rule.coordinates == "asymmetric":
        return out / scale
    if rule.coordinates == "tf_half_pixel_for_nn":
        return (out + 0.5) / scale
    if rule.coordinates == "half_pixel" or (
        rule.coordinates == "pytorch_half_pixel" and num_out > 1
    ):
        return (out + 0.5) / scale - 0.5
    if rule.coordinates == "pytorch_half_pixel":
        return out * 0
    if rule.coordinates == "half_pixel_symmetric":
        shift = num_in / 2 * (1 - num_out / (scale * num_in))
        return shift + (out + 0.5) / scale - 0.5
    raise NotConvertible(f"its coordinates {rule.coordinates!r} have no Keras counterpart")


def matrix(rule: Rule, num_in: int, num_out: int, scale: float) -> np.ndarray:
    """Weights of the inputs for each output, float64 [num_out, num_in].

    Example:
        >>> matrix(Rule(mode="linear"), 2, 4, 2.0)[:2]
        array([[1.  , 0.  ],
               [0.75, 0.25]])
    """
    check_size((num_in, num_out))
    where = positions(rule, num_in, num_out, scale)
    result = np.zeros((num_out, num_in))
    rows = np.arange(num_out)
    if rule.mode == "nearest":
        result[rows, np.clip(_rounded(where, rule.rounding), 0, num_in - 1)] = 1
        return result
    low = np.floor(where).astype(int)
    part = where - low
    if rule.mode == "linear":
        taps = [(0, 1 - part), (1, part)]
    elif rule.mode == "cubic":
        taps = [(tap, _cubic(np.abs(part - tap), rule.cubic)) for tap in (-1, 0, 1, 2)]
    else:
        raise NotConvertible(f"resizing of mode {rule.mode!r} has no Keras counterpart")
    for tap, weight in taps:
        np.add.at(result, (rows, np.clip(low + tap, 0, num_in - 1)), weight)
    return result


def _rounded(where: np.ndarray, rounding: str) -> np.ndarray:
    functions: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "round_prefer_floor": lambda x: np.ceil(x - 0.5),
        "round_prefer_ceil": lambda x: np.floor(x + 0.5),
        "floor": np.floor,
        "ceil": np.ceil,
    }
    if rounding not in functions:
        raise NotConvertible(f"its rounding {rounding!r} is unknown")
    return functions[rounding](where).astype(int)


def _cubic(distance: np.ndarray, a: float) -> np.ndarray:
    """Keys' kernel."""
    near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
    far = ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a
    return np.where(distance <= 1, near, np.where(distance < 2, far, 0.0))


def resize(
    build: Building,
    node: SourceNode,
    value: Value,
    sizes: dict[int, int],
    scales: dict[int, float],
    rule: Rule,
) -> Value:
    """Resize source axes.

    Args:
        build: the network.
        node: names the layers.
        value: any value.
        sizes: new size by axis.
        scales: factor by axis, as the coordinates are computed with.
        rule: how.

    Returns:
        The value.
    """
    changed = {axis: size for axis, size in sizes.items() if size != value.shape[axis]}
    if any(axes.is_free(value.axes.source[axis]) for axis in changed):
        return _resize_open(build, node, value, changed, scales, rule)
    matrices = {
        axis: matrix(rule, value.shape[axis], sizes[axis], scales[axis])
        for axis in sizes
        if axis in changed or scales[axis] != 1
    }
    matrices = {
        axis: weights
        for axis, weights in matrices.items()
        if weights.shape[0] != weights.shape[1] or not np.allclose(weights, np.eye(len(weights)))
    }
    if not matrices:
        return value
    if value.rank == 4 and set(matrices) <= {2, 3}:
        made = _as_tensorflow(build, node, value, matrices, rule)
        if made is not None:
            return made
    return _by_weights(build, node, value, matrices)


def _as_tensorflow(
    build: Building,
    node: SourceNode,
    value: Value,
    matrices: dict[int, np.ndarray],
    rule: Rule,
) -> Value | None:
    """Keras' own resizing, if its weights are these; None if not."""
    tf_rule = TENSORFLOW.get(rule.mode)
    if tf_rule is None:
        return None
    for weights in matrices.values():
        num_out, num_in = weights.shape
        if not np.allclose(weights, matrix(tf_rule, num_in, num_out, num_out / num_in), atol=1e-6):
            return None
    tensor, order = build.channels_last(node, value)
    height, width = (
        len(matrices[axis]) if axis in matrices else value.shape[axis] for axis in (2, 3)
    )
    # Not the layer `Resizing`: its default `training=True` reaches the layers behind it, whose
    # batch normalization then uses the batch's statistics.
    tensor = build.op(
        node,
        keras.ops.image.resize,
        tensor,
        (height, width),
        interpolation={"nearest": "nearest", "linear": "bilinear"}[rule.mode],
        data_format="channels_last",
    )
    return build.result(tensor, order, like=value.axes, nonnegative=value.nonnegative)


def _by_weights(
    build: Building, node: SourceNode, value: Value, matrices: dict[int, np.ndarray]
) -> Value:
    tensor, order = build.in_order(node, value)
    letters = "abcdefgh"[: len(order)]
    for axis, weights in matrices.items():
        place = order.index(axis)
        if np.all(np.isin(weights, (0.0, 1.0))):
            picks = weights.argmax(axis=1).astype(np.int32)
            tensor = build.op(node, keras.ops.take, tensor, picks, axis=place)
            continue
        made = letters.replace(letters[place], "z")
        tensor = build.op(
            node,
            keras.ops.einsum,
            f"{letters},z{letters[place]}->{made}",
            tensor,
            weights.astype(np.float32),
        )
    return build.result(tensor, order, like=value.axes, nonnegative=value.nonnegative)


def _resize_open(
    build: Building,
    node: SourceNode,
    value: Value,
    sizes: dict[int, int],
    scales: dict[int, float],
    rule: Rule,
) -> Value:
    """Enlarge an image whose size is open by whole factors."""
    factors = [scales.get(axis, 1.0) for axis in (2, 3)]
    whole = all(factor >= 1 and factor == int(factor) for factor in factors)
    if value.rank != 4 or not whole or not set(sizes) <= {2, 3} or rule.mode == "cubic":
        raise NotConvertible(f"resizes axes of a size that is open. {OPEN_SIZES}")
    for factor in factors:  # a stand-in of a few positions decides
        tf_rule, count = TENSORFLOW[rule.mode], 7
        wanted = matrix(rule, count, int(factor) * count, factor)
        if not np.allclose(wanted, matrix(tf_rule, count, int(factor) * count, factor), atol=1e-6):
            raise NotConvertible(f"resizes axes of a size that is open. {OPEN_SIZES}")
    tensor, order = build.channels_last(node, value)
    tensor = build.layer(
        node,
        keras.layers.UpSampling2D,
        tensor,
        size=tuple(int(factor) for factor in factors),
        interpolation={"nearest": "nearest", "linear": "bilinear"}[rule.mode],
    )
    return build.result(tensor, order, sizes=sizes, like=value.axes, nonnegative=value.nonnegative)


def depth_to_space(
    build: Building, node: SourceNode, value: Value, block: int, blocks_first: bool
) -> Value:
    """Move channels to positions: [b, c·s·s, h, w] to [b, c, h·s, w·s].

    Args:
        build: the network.
        node: names the layers.
        value: the value.
        block: s.
        blocks_first: whether the channel axis is (s, s, c), as ONNX' DCR, instead of (c, s, s), as
            PyTorch's pixel shuffle.

    Returns:
        The value.
    """
    if value.rank != 4 or block < 1 or value.shape[1] % (block * block):
        raise NotConvertible(f"blocks of {block} do not fit {value.shape[1]} channels")
    if block == 1:
        return value
    rest = value.shape[1] // block**2
    if not blocks_first:
        inner = (value.shape[0], rest, block**2, *value.shape[2:])
        value = build.transpose(build.reshape(node, value, inner), (0, 2, 1, 3, 4))
        value = build.reshape(node, value, (value.shape[0], block**2 * rest, *value.shape[3:]))
    tensor, order = build.channels_last(node, value)
    tensor = build.op(node, keras.ops.depth_to_space, tensor, block)
    sizes = {axis: value.shape[axis] * block for axis in (2, 3)}
    made = build.result(tensor, order, sizes=sizes, like=value.axes)
    return made.replace(nonnegative=value.nonnegative)


def space_to_depth(build: Building, node: SourceNode, value: Value, block: int) -> Value:
    """Move positions to channels: [b, c, h·s, w·s] to [b, s·s·c, h, w]."""
    if block == 1:
        return value
    if value.rank != 4 or block < 1 or value.shape[2] % block or value.shape[3] % block:
        raise NotConvertible(f"blocks of {block} do not fit {value.shape[2:]} positions")
    tensor, order = build.channels_last(node, value)
    tensor = build.op(node, keras.ops.space_to_depth, tensor, block)
    sizes = {axis: value.shape[axis] // block for axis in (2, 3)}
    made = build.result(tensor, order, sizes=sizes, like=value.axes)
    return made.replace(nonnegative=value.nonnegative)
