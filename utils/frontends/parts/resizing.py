"""Resizing along spatial axes: as TensorFlow does it where that is the same, else by shares.

Along each axis a resize is a matrix [output, input] that the framework's rule of coordinates
defines; it is compared with that of Keras' own resizing. What Keras lacks is written out as rows
that are picked and shares of them: channels stay apart, so that they can be cut.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

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
        rounding: of `nearest`: `round_prefer_floor`, `round_prefer_ceil`, `floor`, `ceil`, or
            `toward_ends`: `ceil` along an axis that shrinks, else `floor`.
        cubic: the coefficient of `cubic`.
        counting: how positions are computed; in float32 the rounding decides which neighbor is
            nearest. `exact`: in float64. `by_ratio`: in float32, times the ratio of the sizes, as
            TensorFlow does. `by_scale`: in float32, divided by the scale, as ONNX Runtime does.
    """

    mode: str
    coordinates: str = "half_pixel"
    rounding: str = "round_prefer_floor"
    cubic: float = -0.75
    counting: str = "exact"


def tensorflow_rule(mode: str, *, corners: bool, halves: bool) -> Rule:
    """Give the rule of TensorFlow's and TFLite's operators.

    Args:
        mode: `nearest` or `linear`.
        corners: the first and the last entries of both images lie on each other.
        halves: entries lie in the middles of pixels.
    """
    if corners:
        coordinates, rounding = "align_corners", "round_prefer_ceil"
    elif not halves:
        coordinates, rounding = "asymmetric", "floor"
    elif mode == "nearest":
        coordinates, rounding = "tf_half_pixel_for_nn", "floor"
    else:
        coordinates, rounding = "half_pixel", "round_prefer_floor"
    return Rule(mode=mode, coordinates=coordinates, rounding=rounding, counting="by_ratio")


KERAS = {mode: tensorflow_rule(mode, corners=False, halves=True) for mode in ("nearest", "linear")}
"""What Keras' own resizing does."""

_WORDS = {"nearest": "nearest", "linear": "bilinear"}  # for it
_Taps = list[tuple[np.ndarray, np.ndarray]]


def positions(rule: Rule, num_in: int, num_out: int, scale: float) -> np.ndarray:
    """Where each output lies in the input, as a float array [num_out].

    Raises:
        NotConvertible: if the rule is unknown.
    """
    number: Any = np.float64 if rule.counting == "exact" else np.float32
    out, half = np.arange(num_out, dtype=number), number(0.5)
    if rule.coordinates == "align_corners":
        return _between_corners(rule, out, num_in)
    if rule.coordinates == "asymmetric":
        return _apart(rule, out, num_in, scale)
    if rule.coordinates == "pytorch_half_pixel" and num_out == 1:
        return out * 0
    middles = _apart(rule, out + half, num_in, scale)
    if rule.coordinates == "tf_half_pixel_for_nn":
        return middles
    if rule.coordinates in ("half_pixel", "pytorch_half_pixel"):
        return middles - half
    if rule.coordinates == "half_pixel_symmetric":
        drawn_in = number(1) - number(num_out) / (number(scale) * number(num_in))
        return number(num_in) / number(2) * drawn_in + middles - half
    raise NotConvertible(f"its coordinates {rule.coordinates!r} have no Keras counterpart")


def _apart(rule: Rule, out: np.ndarray, num_in: int, scale: float) -> np.ndarray:
    """Put steps of the output into the input."""
    if rule.counting == "by_ratio":
        return out * out.dtype.type(num_in / len(out))
    return out / out.dtype.type(scale)


def _between_corners(rule: Rule, out: np.ndarray, num_in: int) -> np.ndarray:
    number, steps = out.dtype.type, len(out) - 1
    if not steps:
        return out * 0
    if rule.counting == "by_ratio":
        return out * number((num_in - 1) / steps)
    return out * number(num_in - 1) / number(steps)


def taps(rule: Rule, num_in: int, num_out: int, scale: float) -> _Taps:
    """Which inputs each output is made of.

    Returns:
        Pairs of positions in the input and shares of what lies there, int32 and float64 [num_out].

    Example:
        >>> for where, share in taps(Rule(mode="linear"), 2, 4, 2.0):
        ...     print(where, share)
        [0 0 0 1] [0.25 0.75 0.25 0.75]
        [0 1 1 1] [0.75 0.25 0.75 0.25]
    """
    check_size((num_out, 8))  # bytes
    where = positions(rule, num_in, num_out, scale)
    if rule.mode == "nearest":
        rounding = rule.rounding
        if rounding == "toward_ends":
            rounding = "ceil" if scale < 1 else "floor"
        found = [(_rounded(where, rounding), np.ones(num_out))]
    else:
        low = np.floor(where).astype(np.int64)
        part = (where - low).astype(np.float64)
        if rule.mode == "linear":
            found = [(low, 1 - part), (low + 1, part)]
        elif rule.mode == "cubic":
            found = [(low + tap, _cubic(np.abs(part - tap), rule.cubic)) for tap in (-1, 0, 1, 2)]
        else:
            raise NotConvertible(f"resizing of mode {rule.mode!r} has no Keras counterpart")
    return [
        (np.clip(places, 0, num_in - 1).astype(np.int32), share)
        for places, share in found
        if share.any()
    ]


def matrix(rule: Rule, num_in: int, num_out: int, scale: float) -> np.ndarray:
    """Weights of the inputs for each output, float64 [num_out, num_in].

    Example:
        >>> matrix(Rule(mode="linear"), 2, 4, 2.0)[:2]
        array([[1.  , 0.  ],
               [0.75, 0.25]])
    """
    check_size((num_in, num_out, 8))  # bytes
    result = np.zeros((num_out, num_in))
    for places, share in taps(rule, num_in, num_out, scale):
        np.add.at(result, (np.arange(num_out), places), share)
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
    # In float64, where half of a position is added to a float32 number without a loss.
    return functions[rounding](where.astype(np.float64)).astype(np.int64)


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
    moved = [
        axis
        for axis in sizes
        if (axis in changed or scales[axis] != 1)
        and not _is_identity(matrix(rule, value.shape[axis], sizes[axis], scales[axis]))
    ]
    if not moved:
        return value
    if value.rank == 4 and set(moved) <= {2, 3}:
        made = _by_keras(build, node, value, {a: sizes[a] for a in moved}, scales, rule)
        if made is not None:
            return made
    return _by_shares(
        build,
        node,
        value,
        {axis: taps(rule, value.shape[axis], sizes[axis], scales[axis]) for axis in moved},
    )


def _is_identity(weights: np.ndarray) -> bool:
    return weights.shape[0] == weights.shape[1] and np.allclose(weights, np.eye(len(weights)))


def _is_keras(rule: Rule, num_in: int, num_out: int, scale: float) -> bool:
    """Whether a rule is that of Keras' own resizing, for these sizes."""
    own, keras_rule = matrix(rule, num_in, num_out, scale), KERAS.get(rule.mode)
    if keras_rule is None:
        return False
    theirs = matrix(keras_rule, num_in, num_out, num_out / num_in)
    # Keras counts positions in float32, and they grow with the size.
    return np.allclose(own, theirs, rtol=0, atol=1e-6 + 2e-7 * num_in)


def _by_keras(
    build: Building,
    node: SourceNode,
    value: Value,
    sizes: dict[int, int],
    scales: dict[int, float],
    rule: Rule,
) -> Value | None:
    """Keras' own resizing, if it does the same; None if not."""
    if not all(
        _is_keras(rule, value.shape[axis], size, scales[axis]) for axis, size in sizes.items()
    ):
        return None
    tensor, order = build.channels_last(node, value)
    # Not the layer `Resizing`: its default `training=True` reaches the layers behind it, whose
    # batch normalization then uses the batch's statistics.
    tensor = build.op(
        node,
        keras.ops.image.resize,
        tensor,
        tuple(sizes.get(axis, value.shape[axis]) for axis in (2, 3)),
        interpolation=_WORDS[rule.mode],
        data_format="channels_last",
    )
    return build.result(tensor, order, like=value.axes, nonnegative=value.nonnegative)


def _by_shares(build: Building, node: SourceNode, value: Value, taps_of: dict[int, _Taps]) -> Value:
    """Pick rows along each axis, and add them up in shares."""
    tensor, order = build.in_order(node, value)
    for axis, found in taps_of.items():
        place, parts = order.index(axis), []
        for number, (places, share) in enumerate(found):
            name = f"{axis}_{number}"
            row = build.op(node, keras.ops.take, tensor, places, axis=place, suffix=name)
            if np.any(share != 1):
                factors = share.astype(np.float32).reshape(-1, *[1] * (len(order) - 1 - place))
                row = build.op(node, keras.ops.multiply, row, factors, suffix=f"{name}_share")
            parts.append(row)
        tensor = parts[0]
        if len(parts) > 1:
            tensor = build.layer(node, keras.layers.Add, *parts, suffix=f"{axis}_add")
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
        if not _is_keras(rule, 7, int(factor) * 7, factor):
            raise NotConvertible(f"resizes axes of a size that is open. {OPEN_SIZES}")
    tensor, order = build.channels_last(node, value)
    tensor = build.layer(
        node,
        keras.layers.UpSampling2D,
        tensor,
        size=tuple(int(factor) for factor in factors),
        interpolation=_WORDS[rule.mode],
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
