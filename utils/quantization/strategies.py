"""Strategies of post-training quantization: which grids weights and activations get.

| strategy | activations | scales | arithmetic |
|:--|:--|:--|:--|
| `null` | as they are | | float |
| `minmax` | affine: zero anywhere in the range | any | float, rounded to the grid |
| `symmetry_max` | symmetric about zero | any | likewise |
| `scale_shift` | symmetric | powers of two | likewise |
| the same with `_t` | | | integers (`integer_network.py`) |

Weights are symmetric without the lowest step in all of them, -127 … 127 at 8 bits, so that
`minmax` is what an int8 `.tflite` file holds. Scales that are powers of two make of every
multiplier a shift.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from utils.quantization.grid import Grid, Range, Scaling, calibrate, scale
from utils.quantization.groups import Grouping
from utils.quantization.ranges import least_squares


@dataclasses.dataclass(frozen=True, kw_only=True)
class Strategy:
    """A row of the table.

    Attributes:
        summary: for help.
        is_affine: activations have zero points.
        is_power_of_two: all scales are powers of two.
        is_integer: the network is computed in integers.
        is_quantized: there is a grid at all.
    """

    summary: str
    is_affine: bool = False
    is_power_of_two: bool = False
    is_integer: bool = False
    is_quantized: bool = True


STRATEGIES: dict[str, Strategy] = {
    "null": Strategy(summary="no quantization", is_quantized=False),
    "minmax": Strategy(summary="affine activations, as in a .tflite file", is_affine=True),
    "symmetry_max": Strategy(summary="symmetric activations"),
    "scale_shift": Strategy(summary="symmetric, scales powers of two", is_power_of_two=True),
    "minmax_t": Strategy(summary="minmax in integers", is_affine=True, is_integer=True),
    "symmetry_max_t": Strategy(summary="symmetry_max in integers", is_integer=True),
    "scale_shift_t": Strategy(
        summary="scale_shift in integers", is_power_of_two=True, is_integer=True
    ),
}


def activation_grid(strategy: Strategy, bits: int) -> Grid:
    """Say which grids an activation may have."""
    return Grid(bits=bits, kind="affine" if strategy.is_affine else "symmetric")


def activation_scaling(found: Range, strategy: Strategy, bits: int) -> Scaling:
    """Give a range its grid.

    Args:
        found: of one tensor.
        strategy: the strategy.
        bits: of an activation.

    Returns:
        The grid that reaches both ends.

    Example:
        >>> ends = Range(np.array([-1.0]), np.array([3.0]))
        >>> activation_scaling(ends, STRATEGIES["scale_shift"], 8)
        Scaling(scale=array([0.03125]), zero_point=array([128], dtype=int32))
    """
    return _shifted(scale(found, activation_grid(strategy, bits)), strategy)


def weight_grid(bits: int) -> Grid:
    """Say which grids a weight may have."""
    return Grid(bits=bits, kind="symmetric", narrow=True)


def weight_scaling(
    kernel: np.ndarray, grouping: Grouping, strategy: Strategy, bits: int, *, clipped: bool = False
) -> Scaling:
    """Choose the grids of a weight.

    Args:
        kernel: float.
        grouping: which weights share a grid.
        strategy: the strategy.
        bits: of a weight.
        clipped: by least squared error, not by the largest value.

    Returns:
        The grids of its groups.
    """
    ids, num_groups = grouping.ids(kernel.shape), grouping.num_groups(kernel.shape)
    grid = weight_grid(bits)
    if clipped:
        found = least_squares(np.asarray(kernel, np.float64), ids, num_groups, grid)
    else:
        found = scale(calibrate(np.asarray(kernel, np.float64), ids, num_groups), grid)
    return _shifted(found, strategy)


def _shifted(found: Scaling, strategy: Strategy) -> Scaling:
    return Scaling(power_of_two(found.scale, strategy), found.zero_point)


def power_of_two(scales: np.ndarray, strategy: Strategy) -> np.ndarray:
    """Take the next power of two, upwards, where the strategy wants it.

    Example:
        >>> power_of_two(np.array([0.3, 0.5]), STRATEGIES["scale_shift"])
        array([0.5, 0.5])
    """
    if not strategy.is_power_of_two:
        return scales
    found: np.ndarray = np.exp2(np.ceil(np.log2(scales)))
    return found
