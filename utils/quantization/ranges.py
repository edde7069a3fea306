"""Ranges by least squared error: the largest values may be cut off where that helps all others.

The error of a group is `sum a (w - q(w))^2`, with `a` what one unit of squared error counts: 1, or
the energy of the input that the weight is multiplied with. Scales from the whole range down to a
part of it are tried, with each zero point that there may be; the best is then refined by turns:
for fixed indices the best scale is `sum a w k / sum a k^2`, k the steps.

Reference:
    Banner, Nahshan & Soudry, "Post Training 4-bit Quantization of Convolutional Networks for
    Rapid-Deployment", NeurIPS 2019, arXiv:1810.05723, for ranges by squared error. Here the error
    is computed, not modelled.
"""

from __future__ import annotations

import numpy as np

from utils.quantization.grid import (
    SMALLEST_SCALE,
    Grid,
    Scaling,
    calibrate,
    dequantize,
    quantize,
    scale,
)

NUM_TRIED = 40  # scales between the whole range and `LEAST_PART` of it
LEAST_PART = 0.2
NUM_REFINED = 8
MAX_ZERO_POINTS = 8  # tried of each group: those around where the range divides


def least_squares(
    values: np.ndarray,
    ids: np.ndarray,
    num_groups: int,
    grid: Grid,
    *,
    weights: np.ndarray | None = None,
) -> Scaling:
    """Choose the grid of each group by the squared error that it leaves.

    Args:
        values: float array.
        ids: int, shaped so: their groups.
        num_groups: G.
        grid: which grids there may be.
        weights: a, float >= 0, broadcast to `values`; None = 1. Where all of a group are 0, as if
            they were 1.

    Returns:
        The grids; never worse than those of `scale`.

    Raises:
        ValueError: see `calibrate`.

    Example:
        >>> values = np.array([-0.1, 0.1, 0.1, -0.1, 0.1, -0.1, 0.12])
        >>> least_squares(values, np.zeros(7, int), 1, Grid(bits=2, kind="symmetric")).scale
        array([0.10285714])
    """
    whole = scale(calibrate(values, ids, num_groups), grid)
    flat, groups = np.asarray(values, np.float64).ravel(), ids.ravel()
    counts = _counted(values, flat, groups, num_groups, weights)
    search = _Search(flat, groups, num_groups, grid, counts)
    for zeros in _tried_zeros(whole, grid):
        for part in np.linspace(1.0, LEAST_PART, NUM_TRIED):
            search.offer(whole.scale * part, zeros)
    for _ in range(NUM_REFINED):
        search.refine()
    return Scaling(np.maximum(search.scale, SMALLEST_SCALE), search.zeros.astype(np.int32))


def _counted(
    values: np.ndarray,
    flat: np.ndarray,
    groups: np.ndarray,
    num_groups: int,
    weights: np.ndarray | None,
) -> np.ndarray:
    if weights is None:
        return np.ones_like(flat)
    counts = np.broadcast_to(np.asarray(weights, np.float64), values.shape).ravel()
    total = np.bincount(groups, counts, num_groups)
    return np.where(total[groups] > 0, counts, 1.0)


def _tried_zeros(whole: Scaling, grid: Grid) -> list[np.ndarray]:
    """List the zero points to try, float64 [G] each: those of the whole range and around them."""
    if grid.kind != "affine":
        return [whole.zero_point.astype(np.float64)]
    num_tried = min(MAX_ZERO_POINTS, len(grid.zero_points))
    first = np.clip(whole.zero_point - num_tried // 2, 0, len(grid.zero_points) - num_tried)
    return [(first + offset).astype(np.float64) for offset in range(num_tried)]


class _Search:
    """The best grid of each group so far."""

    def __init__(
        self,
        values: np.ndarray,
        groups: np.ndarray,
        num_groups: int,
        grid: Grid,
        counts: np.ndarray,
    ) -> None:
        self._values, self._groups, self._grid, self._counts = values, groups, grid, counts
        self._num_groups = num_groups
        self._errors = np.full(num_groups, np.inf)
        self.scale = np.ones(num_groups)
        self.zeros = np.zeros(num_groups)

    def offer(self, scales: np.ndarray, zeros: np.ndarray) -> None:
        """Take a grid where it is better than the best."""
        spread, offsets = scales[self._groups], zeros[self._groups]
        indices = quantize(self._values, spread, offsets, self._grid)
        errors = self._sums((self._values - dequantize(indices, spread, offsets)) ** 2)
        better = errors < self._errors
        self._errors = np.where(better, errors, self._errors)
        self.scale = np.where(better, scales, self.scale)
        self.zeros = np.where(better, zeros, self.zeros)

    def refine(self) -> None:
        """Fit the scales to the indices that they give."""
        offsets = self.zeros[self._groups]
        steps = quantize(self._values, self.scale[self._groups], offsets, self._grid) - offsets
        squares, products = self._sums(steps * steps), self._sums(steps * self._values)
        fitted = products / np.where(squares > 0, squares, 1.0)
        self.offer(np.where((squares > 0) & (fitted > 0), fitted, self.scale), self.zeros)

    def _sums(self, values: np.ndarray) -> np.ndarray:
        return np.bincount(self._groups, self._counts * values, self._num_groups)
