"""Layers in integers: int8 times int8 into int32, then a fixed-point multiplier; bit for bit.

Every tensor is int8 and stands for `s (q - z)`. These are the reference kernels of TensorFlow Lite,
written anew in NumPy to say exactly what a file computes: for tests, and for networks that are to
run on other integer hardware. They are slow.

Reference:
    "LiteRT 8-bit quantization specification" (ai.google.dev/edge/litert).
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from utils.graph.row import Window
from utils.quantization.fixed_point import Multiplier, multiplier, scaled, scaled_once

INT8 = (-128, 127)
ADD_SHIFT = 20  # bits that inputs of a sum are raised by, to lose nothing when they are scaled


@dataclasses.dataclass(frozen=True, kw_only=True)
class Format:
    """What the integers of a tensor stand for.

    Attributes:
        scale: s, > 0.
        zero_point: z, in [-128, 127].
    """

    scale: float
    zero_point: int

    def encode(self, values: np.ndarray) -> np.ndarray:
        """Give the nearest integers, int8; halves go away from zero, as the kernels do it."""
        steps = np.asarray(values, np.float32) / np.float32(self.scale)
        rounded = np.trunc(steps + np.copysign(np.float32(0.5), steps))
        return np.clip(rounded + self.zero_point, *INT8).astype(np.int8)

    def decode(self, integers: np.ndarray) -> np.ndarray:
        """Give what they stand for, float32."""
        steps = integers.astype(np.int32) - self.zero_point
        return steps.astype(np.float32) * np.float32(self.scale)

    def limits(self, activation: str | None) -> tuple[int, int]:
        """Give the least and the greatest integer behind an activation.

        Raises:
            ValueError: for one that is no clip.
        """
        ends = {
            None: (None, None),
            "linear": (None, None),
            "relu": (0.0, None),
            "relu6": (0.0, 6.0),
        }
        if activation not in ends:
            raise ValueError(f"{activation!r} is no part of an integer kernel.")
        low, high = ends[activation]
        least = INT8[0] if low is None else max(INT8[0], self.zero_point)
        greatest = INT8[1] if high is None else min(INT8[1], self.zero_point + self._steps(high))
        return least, greatest

    def _steps(self, value: float) -> int:
        return math.floor(np.float32(value) / np.float32(self.scale) + 0.5)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Kernel:
    """The integers of a layer with weights.

    Attributes:
        weights: int8, HWIO for a convolution (of groups, I are the inputs of one), HWIM for a
            depthwise one, [I, O] for a dense layer.
        scales: of the outputs, float [O], or [1].
        bias: int32 [O], in steps of input scale times weight scale.
        is_depthwise: output `c M + i` reads channel c.
    """

    weights: np.ndarray
    scales: np.ndarray
    bias: np.ndarray
    is_depthwise: bool = False


def integer_bias(bias: np.ndarray, source: Format, scales: np.ndarray) -> np.ndarray:
    """Write a bias in the steps of the accumulator, int32 [O]."""
    steps = np.asarray(bias, np.float64) / (source.scale * np.asarray(scales, np.float64))
    limits = np.iinfo(np.int32)
    return np.clip(np.round(steps), limits.min, limits.max).astype(np.int32)


def convolution(
    values: np.ndarray,
    kernel: Kernel,
    source: Format,
    target: Format,
    window: Window,
    *,
    activation: str | None = None,
) -> np.ndarray:
    """Convolve.

    Args:
        values: int8 [n, h, w, c].
        kernel: the weights.
        source: format of the input; padding holds its zero point.
        target: of the output.
        window: how the input is read.
        activation: see `Format.limits`.

    Returns:
        int8 [n, h', w', O].
    """
    reach, strides = window.reach, window.strides
    centred = values.astype(np.int64) - source.zero_point  # so that padding is 0
    padded = _padded(centred, reach, strides, window.same)
    rows = (padded.shape[1] - reach[0]) // strides[0] + 1
    columns = (padded.shape[2] - reach[1]) // strides[1] + 1
    weights = kernel.weights.astype(np.int64)
    total = np.zeros((len(values), rows, columns, len(kernel.bias)), np.int64)
    for y in range(window.kernel_size[0]):
        for x in range(window.kernel_size[1]):
            top, left = y * window.dilation[0], x * window.dilation[1]
            seen = padded[
                :,
                top : top + (rows - 1) * strides[0] + 1 : strides[0],
                left : left + (columns - 1) * strides[1] + 1 : strides[1],
            ]
            if kernel.is_depthwise:
                total += (seen[..., None] * weights[y, x]).reshape(total.shape)
            else:
                total += _by_group(seen, weights[y, x])
    return _requantized(total + kernel.bias, kernel, source, target, activation)


def dense(
    values: np.ndarray,
    kernel: Kernel,
    source: Format,
    target: Format,
    *,
    activation: str | None = None,
) -> np.ndarray:
    """Multiply by a matrix.

    Args:
        values: int8 [..., I].
        kernel: the weights, [I, O].
        source: format of the input.
        target: of the output.
        activation: see `Format.limits`.

    Returns:
        int8 [..., O].
    """
    centred = values.astype(np.int64) - source.zero_point
    total = _product(centred, kernel.weights.astype(np.int64)) + kernel.bias
    by = _multiplier(kernel, source, target)
    return _clipped(scaled_once(total, by) + target.zero_point, target, activation)


def _by_group(seen: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Multiply [..., G I] by [I, G O], every group with its own columns."""
    groups = seen.shape[-1] // weights.shape[0]
    parts = zip(np.split(seen, groups, -1), np.split(weights, groups, -1), strict=True)
    return np.concatenate([_product(*each) for each in parts], axis=-1)


def _product(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Multiply matrices of small integers in float64: exact below 2^53, and much faster."""
    return (left.astype(np.float64) @ right.astype(np.float64)).astype(np.int64)


def _requantized(
    total: np.ndarray, kernel: Kernel, source: Format, target: Format, activation: str | None
) -> np.ndarray:
    by = _multiplier(kernel, source, target)
    return _clipped(scaled(total, by) + target.zero_point, target, activation)


def _multiplier(kernel: Kernel, source: Format, target: Format) -> Multiplier:
    scales = np.asarray(kernel.scales, np.float64)
    return multiplier(np.broadcast_to(source.scale * scales / target.scale, kernel.bias.shape))


def _clipped(values: np.ndarray, target: Format, activation: str | None) -> np.ndarray:
    return np.clip(values, *target.limits(activation)).astype(np.int8)


def add(
    left: np.ndarray,
    right: np.ndarray,
    formats: tuple[Format, Format],
    target: Format,
    *,
    activation: str | None = None,
) -> np.ndarray:
    """Add two tensors.

    Args:
        left: int8.
        right: int8, shaped so.
        formats: of both.
        target: of the sum.
        activation: see `Format.limits`.

    Returns:
        int8, shaped so.
    """
    twice = 2.0 * max(each.scale for each in formats)
    total = np.zeros(left.shape, np.int64)
    for values, each in zip((left, right), formats, strict=True):
        raised = (values.astype(np.int64) - each.zero_point) << ADD_SHIFT
        total = total + scaled(raised, multiplier(each.scale / twice))
    out = multiplier(twice / (2.0**ADD_SHIFT * target.scale))
    return _clipped(scaled(total, out) + target.zero_point, target, activation)


def mean(values: np.ndarray, source: Format, target: Format) -> np.ndarray:
    """Average over height and width: int8 [n, h, w, c] -> int8 [n, c]."""
    count = values.shape[1] * values.shape[2]
    total = np.sum(values, axis=(1, 2), dtype=np.int64) - count * source.zero_point
    found = scaled(total, _per_element(multiplier(source.scale / target.scale), count))
    return np.clip(found + target.zero_point, *INT8).astype(np.int8)


def _per_element(by: Multiplier, count: int) -> Multiplier:
    """Divide a multiplier by a count, keeping as many bits as there are."""
    shift = min(int(count).bit_length() - 1, 32, 31 + int(by.exponent))
    return Multiplier(np.asarray((int(by.value) << shift) // count), by.exponent - shift)


def average_pool(
    values: np.ndarray,
    size: tuple[int, int],
    strides: tuple[int, int],
    *,
    same: bool = False,
) -> np.ndarray:
    """Average windows; padding does not count. Input and output have one format.

    Args:
        values: int8 [n, h, w, c].
        size: of a window.
        strides: of both axes.
        same: pad so that an output stands for every stride.

    Returns:
        int8 [n, h', w', c].
    """
    wide = values.astype(np.int64)
    total = _windows(_padded(wide, size, strides, same), size, strides).sum(axis=(-2, -1))
    ones = np.ones_like(wide[:1, :, :, :1])
    count = _windows(_padded(ones, size, strides, same), size, strides).sum(axis=(-2, -1))
    half = np.where(total > 0, count // 2, -(count // 2))
    quotient = np.abs(total + half) // count
    return np.clip(np.sign(total + half) * quotient, *INT8).astype(np.int8)


def _windows(values: np.ndarray, size: tuple[int, int], strides: tuple[int, int]) -> np.ndarray:
    """View [n, h', w', c, *size] of the windows of [n, h, w, c]."""
    every = np.lib.stride_tricks.sliding_window_view(values, size, axis=(1, 2))
    return every[:, :: strides[0], :: strides[1]]


def _padded(
    values: np.ndarray,
    reach: tuple[int, int],
    strides: tuple[int, int],
    same: bool,
) -> np.ndarray:
    """Pad [n, h, w, c] for "same", the odd row and column behind."""
    if not same:
        return values
    widths = [(0, 0)]
    for size, window, stride in zip(values.shape[1:3], reach, strides, strict=True):
        total = max((-(-size // stride) - 1) * stride + window - size, 0)
        widths.append((total // 2, total - total // 2))
    return np.pad(values, [*widths, (0, 0)])


def requantized(
    values: np.ndarray, source: Format, target: Format, *, activation: str | None = None
) -> np.ndarray:
    """Write a tensor in another format, perhaps clipped by an activation (a ReLU of its own)."""
    by = multiplier(source.scale / target.scale)
    moved = scaled(values.astype(np.int64) - source.zero_point, by) + target.zero_point
    return _clipped(moved, target, activation)
