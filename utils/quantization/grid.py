"""Grids of equal steps: calibrate -> scale -> quantize -> dequantize.

With b bits a weight is an index i in [0, 2^b) and stands for

    s (i - z),    s > 0 the scale, z an integer: the index of zero,                        (1)

so that zero is always exact. `steps` = i - z are the integers that hardware computes with. What
differs between kinds of grids is which z there may be:

| kind | z | steps at 3 bits | narrow |
|:--|:--|:--|:--|
| `symmetric` | 2^(b-1) | -4 … 3 | -3 … 3: without the lowest index |
| `unsigned` | 0 | 0 … 7 | as it is |
| `affine` | any of [0, 2^b), chosen by the values | -4 … 3, -1 … 6, … | as it is |

With 1 bit a symmetric grid has the steps -1 and 0, and cannot be narrow; an affine one has those or
0 and 1.

Invariants, for finite values x, with q the composition `dequantize(quantize(x))`:

- q(q(x)) = q(x), and q(0) = 0 exactly;
- |x - q(x)| <= s / 2 where x lies between the grid's ends, up to rounding of floats;
- beyond them q(x) is the nearer end;
- infinities and NaN are refused by `calibrate` (and so by all that begins with it).

`quantize` and `dequantize` are written with operations that NumPy and `keras.ops` both have: the
same function quantizes once, in float64, and in every training step.

Reference:
    Jacob et al., "Quantization and Training of Neural Networks for Efficient
    Integer-Arithmetic-Only Inference", CVPR 2018, arXiv:1712.05877, equation (1).
"""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

import numpy as np

from utils.quantization.groups import Grouping
from utils.quantization.tensor import MAX_BITS, QuantizedTensor

SMALLEST_SCALE = 1e-12  # of a group of nothing but zeros


@dataclasses.dataclass(frozen=True, kw_only=True)
class Grid:
    """Which grids a group of values may take.

    Attributes:
        bits: of an index, 1 to 16.
        kind: see the module.
        narrow: as many steps below zero as above; only of `symmetric`.

    Example:
        >>> Grid(bits=3, kind="symmetric", narrow=True).zero_points, Grid(bits=3).lowest
        (array([4]), 0)
    """

    bits: int
    kind: Literal["symmetric", "unsigned", "affine"] = "affine"
    narrow: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.bits <= MAX_BITS:
            raise ValueError(f"`bits` must be in [1, {MAX_BITS}]. Received: {self.bits}.")
        if self.kind not in ("symmetric", "unsigned", "affine"):
            raise ValueError(
                f"`kind` must be 'symmetric', 'unsigned' or 'affine'. Received: {self.kind!r}."
            )
        if self.narrow and (self.kind != "symmetric" or self.bits == 1):
            raise ValueError(
                "`narrow` is of symmetric grids of 2 bits and more. Received: "
                f"{self.bits} bits, {self.kind!r}."
            )

    @property
    def lowest(self) -> int:
        """The lowest index."""
        return 1 if self.narrow else 0

    @property
    def highest(self) -> int:
        """The highest index."""
        return 2**self.bits - 1

    @property
    def zero_points(self) -> np.ndarray:
        """All z that there may be, int."""
        if self.kind == "affine":
            return np.arange(2**self.bits)
        return np.array([2 ** (self.bits - 1) if self.kind == "symmetric" else 0])


@dataclasses.dataclass(frozen=True, eq=False)
class Range:
    """Least and greatest value of each group, float64 [G], 0 included: least <= 0 <= greatest."""

    least: np.ndarray
    greatest: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Scaling:
    """The grid of each group.

    Attributes:
        scale: s, float64 [G], > 0.
        zero_point: z, int32 [G].
    """

    scale: np.ndarray
    zero_point: np.ndarray

    def __post_init__(self) -> None:
        if self.scale.shape != self.zero_point.shape or self.scale.ndim != 1:
            raise ValueError(
                "`scale` and `zero_point` must be vectors of one length. Received: "
                f"{self.scale.shape} and {self.zero_point.shape}."
            )
        if not (np.isfinite(self.scale).all() and (self.scale > 0).all()):
            raise ValueError("`scale` must be positive and finite.")


def calibrate(values: np.ndarray, ids: np.ndarray, num_groups: int) -> Range:
    """Look at the values of each group.

    Args:
        values: float array.
        ids: int, shaped so: their groups, see `Grouping.ids`.
        num_groups: G.

    Returns:
        Their ranges.

    Raises:
        ValueError: if the shapes differ, or a value is NaN or infinite.

    Example:
        >>> found = calibrate(np.array([0.5, -1.0, 2.0]), np.array([0, 0, 1]), 2)
        >>> found.least, found.greatest
        (array([-1.,  0.]), array([0.5, 2. ]))
    """
    if values.shape != ids.shape:
        raise ValueError(
            f"`values` and `ids` must have one shape. Received: {values.shape}, {ids.shape}."
        )
    if not np.isfinite(values).all():
        raise ValueError("values must be finite: there is NaN or infinity among them.")
    least, greatest = np.zeros(num_groups), np.zeros(num_groups)
    np.minimum.at(least, ids.ravel(), values.ravel())
    np.maximum.at(greatest, ids.ravel(), values.ravel())
    return Range(least, greatest)


def scale(found: Range, grid: Grid) -> Scaling:
    """Give each group the finest grid that reaches both ends of its range.

    Args:
        found: the ranges.
        grid: which grids there may be.

    Returns:
        The grids. An affine one has z where the range divides so, rounded outwards; values of the
        other sign than an unsigned grid's lie beyond its end.

    Example:
        >>> ends = Range(np.array([-1.0]), np.array([2.0]))
        >>> chosen = scale(ends, Grid(bits=2))
        >>> chosen.scale, chosen.zero_point
        (array([1.]), array([1], dtype=int32))
    """
    below, above = -found.least, found.greatest
    if grid.kind == "affine":
        return _affine(below, above, grid)
    zero = int(grid.zero_points[0])
    num_below, num_above = zero - grid.lowest, grid.highest - zero
    found_scale = above / num_above if num_above else np.zeros_like(above)
    if num_below:
        found_scale = np.maximum(found_scale, below / num_below)
    return Scaling(_positive(found_scale), np.full(len(below), zero, np.int32))


def _affine(below: np.ndarray, above: np.ndarray, grid: Grid) -> Scaling:
    """Try the two z on either side of where the range divides; the finer grid is taken."""
    num_steps = grid.highest
    exact = num_steps * below / np.where(below + above > 0, below + above, 1.0)
    best, zero = np.full(below.shape, np.inf), np.zeros(below.shape, np.int32)
    for tried in (np.floor(exact), np.ceil(exact)):
        tried = np.clip(tried, 0, num_steps)
        with np.errstate(divide="ignore", invalid="ignore"):
            needed = np.maximum(
                np.where(below > 0, below / tried, 0.0),
                np.where(above > 0, above / (num_steps - tried), 0.0),
            )
        finer = needed < best
        best, zero = np.where(finer, needed, best), np.where(finer, tried, zero).astype(np.int32)
    one_sided = np.isinf(best)  # a single step reaches one of two signs: that of the larger value
    best = np.where(one_sided, np.maximum(below, above), best)
    zero = np.where(one_sided, below > above, zero).astype(np.int32)
    return Scaling(_positive(best), zero)


def _positive(found: np.ndarray) -> np.ndarray:
    return np.maximum(found, SMALLEST_SCALE)


def quantize(values: Any, scales: Any, zeros: Any, grid: Grid, xp: Any = np) -> Any:
    """Round values to their nearest indices; halves go to the even step.

    Args:
        values: float array or tensor.
        scales: s of each, broadcast to `values`.
        zeros: z of each, likewise, of the values' type.
        grid: the ends.
        xp: `numpy` or `keras.ops`.

    Returns:
        Indices in [grid.lowest, grid.highest], in the type of `values`.

    Example:
        >>> quantize(np.array([-9.0, 0.0, 0.3, 0.5, 9.0]), 0.5, 2.0, Grid(bits=2))
        array([0., 2., 3., 3., 3.])
    """
    # Steps are rounded, not indices: 0 + z must not be pulled to an even neighbour.
    steps = xp.round(values / scales)
    return xp.clip(steps + zeros, grid.lowest, grid.highest)


def dequantize(indices: Any, scales: Any, zeros: Any) -> Any:
    """Give what indices stand for: (1)."""
    return scales * (indices - zeros)


def rounded(values: Any, scales: Any, zeros: Any, grid: Grid, xp: Any = np) -> Any:
    """Give the point of the grid nearest to each value: `dequantize` of `quantize`."""
    return dequantize(quantize(values, scales, zeros, grid, xp), scales, zeros)


def encode(values: np.ndarray, scaling: Scaling, grid: Grid, grouping: Grouping) -> QuantizedTensor:
    """Store a weight by indices.

    Args:
        values: float, the weight, on the grid or not.
        scaling: its grids; scales are taken as float32.
        grid: the ends.
        grouping: which weights share them.

    Returns:
        The indices nearest to the values; `dequantized()` is a weight that the network can hold.

    Example:
        >>> chosen = Scaling(np.array([0.5]), np.array([2], np.int32))
        >>> stored = encode(np.array([-1.0, 0.6]), chosen, Grid(bits=2), Grouping("tensor"))
        >>> stored.indices, stored.dequantized()
        (array([0, 3], dtype=uint16), array([-1. ,  0.5], dtype=float32))
    """
    ids = grouping.ids(values.shape)
    scales = scaling.scale.astype(np.float32)
    found = quantize(values, scales[ids].astype(np.float64), scaling.zero_point[ids], grid)
    return QuantizedTensor(
        indices=found.astype(np.uint16),
        bits=grid.bits,
        grouping=grouping,
        scale=scales,
        zero_point=scaling.zero_point.astype(np.int32),
    )
