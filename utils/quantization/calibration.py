"""Ranges of activations from samples, batch by batch: five methods.

| method | range |
|:--|:--|
| `minmax` | the least and the greatest value seen |
| `moving` | moving averages of each batch's least and greatest value |
| `percentile` | what leaves out an equal share of the values at either end |
| `kl` | the clipped range whose quantized distribution says most about the whole one |
| `mse` | the range with the least squared error |

`minmax` and `moving` need two numbers of a batch, the others a histogram (`histogram.py`), which
holds a fixed number of bins, whatever the number of samples. All but `moving` do not depend on the
order of the batches. A clipped range never reaches beyond what was seen, and all of them hold 0.

References:
    Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-
    Only Inference", CVPR 2018, arXiv:1712.05877, section 3.1, for moving averages.
    Migacz, "8-bit Inference with TensorRT", GPU Technology Conference 2017, for `kl`.
    Nagel et al., "A White Paper on Neural Network Quantization", 2021, arXiv:2106.08295, section
    3.1, for `mse` and a comparison.

Departs from Migacz: candidates are parts of the range seen, 0 included, at both ends alike, so that
values of both signs and zero points other than 0 are served too.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from utils.quantization.grid import Grid, Range, dequantize, quantize, scale
from utils.quantization.histogram import Histogram

Method = Literal["minmax", "moving", "percentile", "kl", "mse"]
METHODS: tuple[Method, ...] = get_args(Method)
DECAY = 0.9  # of moving averages, per batch: calibration sees few
PERCENTILE = 99.99  # of the values that a range holds
NUM_TRIED = 64  # parts of the range seen, from the whole of it to 1 / NUM_TRIED
_NUM_TURNS = 2  # in which the ends are moved one by one
_LEAST_MASS = 1e-9  # of a bin that holds values, for `kl`


class Statistics:
    """What is kept of the values of a tensor.

    Args:
        num_groups: G: 1, or the number of channels.
        with_histogram: keep one, which `percentile`, `kl` and `mse` need.
        decay: of the moving averages, in [0, 1).

    Attributes:
        least: float64 [G], <= 0.
        greatest: float64 [G], >= 0.
        total: float64 [G], the sum of all values.
        count: of values per group.
        histogram: the histogram or None.

    Example:
        >>> seen = Statistics()
        >>> seen.add(np.array([1.0, 2.0]))
        >>> seen.add(np.array([-1.0, 4.0]))
        >>> found = seen.range("minmax")
        >>> found.least, found.greatest, seen.mean
        (array([-1.]), array([4.]), array([1.5]))
    """

    def __init__(
        self, num_groups: int = 1, *, with_histogram: bool = True, decay: float = DECAY
    ) -> None:
        self.least, self.greatest = np.zeros(num_groups), np.zeros(num_groups)
        self.total, self.count = np.zeros(num_groups), 0
        self.histogram = Histogram(num_groups) if with_histogram else None
        self._decay = decay
        self._moving: tuple[np.ndarray, np.ndarray] | None = None

    def add(self, values: np.ndarray) -> None:
        """Look at a batch.

        Args:
            values: float; of one group any shape, else [..., G].

        Raises:
            ValueError: if one is NaN or infinite, or the last axis is not the groups.
        """
        num_groups = len(self.least)
        if num_groups > 1 and values.shape[-1:] != (num_groups,):
            raise ValueError(
                f"the last axis must have {num_groups} groups. Received: {values.shape}."
            )
        if not values.size:
            return
        columns = values.reshape(1, -1) if num_groups == 1 else values.reshape(-1, num_groups).T
        with np.errstate(invalid="ignore"):  # infinities are refused below
            total = columns.sum(axis=1, dtype=np.float64)
        self.add_summary(columns.min(axis=1), columns.max(axis=1), total, columns.shape[1])
        if self.histogram is not None:
            self.histogram.add(columns)

    def add_summary(
        self, least: np.ndarray, greatest: np.ndarray, total: np.ndarray, count: int
    ) -> None:
        """Look at a batch of which only this is known; there must be no histogram beside it.

        Args:
            least: float [G].
            greatest: float [G].
            total: float [G], the sums.
            count: of values per group.

        Raises:
            ValueError: if a number is NaN or infinite.
        """
        if not np.isfinite([least, greatest]).all():
            raise ValueError("values must be finite: there is NaN or infinity among them.")
        least, greatest = np.minimum(least, 0.0), np.maximum(greatest, 0.0)
        self.least = np.minimum(self.least, least)
        self.greatest = np.maximum(self.greatest, greatest)
        self.total = self.total + total
        self.count += count
        if self._moving is None:
            self._moving = (least.astype(np.float64), greatest.astype(np.float64))
            return
        low, high = self._moving
        self._moving = (
            self._decay * low + (1 - self._decay) * least,
            self._decay * high + (1 - self._decay) * greatest,
        )

    @property
    def mean(self) -> np.ndarray:
        """Mean of each group, float64 [G]."""
        return self.total / max(self.count, 1)

    def range(
        self, method: Method, grid: Grid | None = None, *, percentile: float = PERCENTILE
    ) -> Range:
        """Choose the range of each group.

        Args:
            method: see the module.
            grid: which the range is for; None for 8 bits, affine.
            percentile: of the values inside, in (50, 100].

        Returns:
            The ranges; [0, 0] where nothing but zeros was seen.

        Raises:
            ValueError: for an unknown method, one without its histogram, or before any value.
        """
        if method not in METHODS:
            raise ValueError(f"`method` must be one of {', '.join(METHODS)}. Received: {method!r}.")
        if self._moving is None:
            raise ValueError("no values were seen.")
        if method == "minmax":
            return Range(self.least, self.greatest)
        if method == "moving":
            return Range(*self._moving)
        if self.histogram is None:
            raise ValueError(f"`{method}` needs a histogram, and none was kept.")
        ends = [
            self._group_range(group, method, grid or Grid(bits=8), percentile)
            for group in range(len(self.least))
        ]
        least, greatest = np.array(ends).T
        return Range(least, greatest)

    def _group_range(
        self, group: int, method: Method, grid: Grid, percentile: float
    ) -> tuple[float, float]:
        if self.histogram is None:
            raise ValueError("no histogram.")
        counts, centers = self.histogram.bins(group)
        whole = (float(self.least[group]), float(self.greatest[group]))
        if not len(counts):
            return whole
        if method == "percentile":
            zeros, width = int(self.histogram.zeros[group]), self.histogram.width(group)
            low, high = _percentile(counts, centers, zeros, width, percentile)
            return max(min(low, 0.0), whole[0]), min(max(high, 0.0), whole[1])
        if method == "kl":
            return _least_divergence(counts, centers, self.histogram.width(group), whole, grid)
        return _least_squares(counts, centers, whole, grid)


def _percentile(
    counts: np.ndarray, centers: np.ndarray, zeros: int, width: float, percentile: float
) -> tuple[float, float]:
    """Find the two values beyond which lies half of what is left out each."""
    place = int(np.searchsorted(centers, 0.0))
    edges = np.insert(centers - width / 2, place, 0.0)
    widths = np.insert(np.full(len(centers), width), place, 0.0)
    mass = np.insert(counts, place, zeros).astype(np.float64)
    share = (100.0 - percentile) / 200.0 * mass.sum()

    def beyond(order: slice) -> tuple[int, float]:
        passed = np.cumsum(mass[order])
        bin_ = min(int(np.searchsorted(passed, share, side="right")), len(passed) - 1)
        inside = mass[order][bin_]
        before = passed[bin_] - inside
        return bin_, float((share - before) / inside) if inside else 0.0

    first, part = beyond(slice(None))
    low = edges[first] + part * widths[first]
    last, part = beyond(slice(None, None, -1))
    last = len(mass) - 1 - last
    return float(low), float(edges[last] + (1 - part) * widths[last])


def _indices(
    centers: np.ndarray, ends: tuple[float, float], grid: Grid
) -> tuple[np.ndarray, np.ndarray]:
    """Quantize bins; give the indices and the values that they stand for."""
    found = scale(Range(np.array([ends[0]]), np.array([ends[1]])), grid)
    step, zero = float(found.scale[0]), float(found.zero_point[0])
    indices = quantize(centers, step, zero, grid)
    return indices, dequantize(indices, step, zero)


def _least_squares(
    counts: np.ndarray, centers: np.ndarray, whole: tuple[float, float], grid: Grid
) -> tuple[float, float]:
    def error(ends: tuple[float, float]) -> float:
        _, values = _indices(centers, ends, grid)
        return float(counts @ (centers - values) ** 2)

    parts = np.arange(1, NUM_TRIED + 1)[::-1] / NUM_TRIED
    best = min(((whole[0] * part, whole[1] * part) for part in parts), key=error)
    for _ in range(_NUM_TURNS):
        best = min((best, *((whole[0] * part, best[1]) for part in parts)), key=error)
        best = min((best, *((best[0], whole[1] * part) for part in parts)), key=error)
    return best


def _least_divergence(
    counts: np.ndarray,
    centers: np.ndarray,
    width: float,
    whole: tuple[float, float],
    grid: Grid,
) -> tuple[float, float]:
    """Minimize KL(P || Q): P the clipped distribution, Q what is left of it in the grid's steps.

    With no more filled bins than the grid has levels Q is P, whatever was cut off: such a
    distribution is taken whole, and a candidate that leaves so few is none. Migacz begins at as
    many bins as there are levels, too.
    """
    num_levels = grid.highest - grid.lowest + 1
    if len(counts) <= num_levels:
        return whole
    mass = counts / counts.sum()

    def divergence(ends: tuple[float, float]) -> float:
        # By their edges: the center of the bin that holds the greatest value may lie beyond it.
        inside = (centers + width / 2 > ends[0]) & (centers - width / 2 <= ends[1])
        if np.count_nonzero(inside) < num_levels:
            return np.inf
        kept, places = mass[inside], centers[inside]
        clipped = kept.copy()
        clipped[0] += mass[centers < places[0]].sum()
        clipped[-1] += mass[centers > places[-1]].sum()
        indices = _indices(places, ends, grid)[0].astype(np.int64)
        # Within a step the distribution is lost: its mass is spread evenly over the filled bins.
        spread = np.bincount(indices, kept) / np.maximum(np.bincount(indices), 1)
        seen = np.maximum(spread[indices] / kept.sum(), _LEAST_MASS)
        return float(np.sum(clipped * np.log(clipped / seen)))

    parts = np.arange(1, NUM_TRIED + 1)[::-1] / NUM_TRIED
    return min(((whole[0] * part, whole[1] * part) for part in parts), key=divergence)
