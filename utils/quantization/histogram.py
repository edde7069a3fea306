"""Histograms of values that come in batches, whose range is not known beforehand.

Bins are `2^e` wide and begin at multiples of their width, so that a histogram that must reach
further merges its bins in pairs without a remainder: `floor(x / 2w) = floor(floor(x / w) / 2)`.
What comes out is the histogram of all values at the last width, whatever the order of the batches.

Exact zeros, of which a ReLU makes many, are counted apart: they are exact on every grid.
"""

from __future__ import annotations

import numpy as np

NUM_BINS = 4096  # half of them below zero
_HALF = NUM_BINS // 2
_LEAST_EXPONENT = -120  # of a bin's width: float32 goes down to 2^-126


class Histogram:
    """Counts of G groups of values; see the module.

    Args:
        num_groups: G.

    Attributes:
        counts: int64 [G, NUM_BINS]; bin k holds values in `[(k - NUM_BINS / 2) w, … + w)`.
        zeros: int64 [G], values that are 0.
        exponent: int64 [G], e: w = 2^e.

    Example:
        >>> seen = Histogram(1)
        >>> seen.add(np.array([[0.5, 0.0, 0.5]]))
        >>> seen.add(np.array([[100.0]]))
        >>> counts, centers = seen.bins(0)
        >>> counts, centers.round(1), seen.zeros
        (array([2, 1]), array([  0.5, 100. ]), array([1]))
    """

    def __init__(self, num_groups: int) -> None:
        self.counts = np.zeros((num_groups, NUM_BINS), np.int64)
        self.zeros = np.zeros(num_groups, np.int64)
        self.exponent = np.full(num_groups, _LEAST_EXPONENT, np.int64)

    def add(self, values: np.ndarray) -> None:
        """Count values.

        Args:
            values: finite float [G, n].
        """
        if not values.size:
            return
        self._reach(np.max(np.abs(values), axis=1))
        groups = np.arange(len(values))[:, None]
        width = np.exp2(self.exponent.astype(np.float64))[:, None]
        places = np.floor(values / width).astype(np.int64) + _HALF + NUM_BINS * groups
        there = values != 0
        found = np.bincount(places[there], minlength=self.counts.size)
        self.counts += found.reshape(self.counts.shape)
        self.zeros += np.sum(~there, axis=1)

    def bins(self, group: int) -> tuple[np.ndarray, np.ndarray]:
        """Give the bins of a group that are not empty.

        Returns:
            Their counts, int64 [n], and centers, float64 [n], ascending.
        """
        filled = np.flatnonzero(self.counts[group])
        width = 2.0 ** int(self.exponent[group])
        return self.counts[group][filled], (filled - _HALF + 0.5) * width

    def width(self, group: int) -> float:
        """Width of a group's bins."""
        return float(2.0 ** int(self.exponent[group]))

    def _reach(self, largest: np.ndarray) -> None:
        """Widen the bins of groups until `largest`, float [G], is inside."""
        # frexp: largest = m 2^k with m < 1, and _HALF = 2^11 bins reach up to 2^(e + 11).
        _, exponents = np.frexp(largest.astype(np.float64))
        needed = np.where(largest > 0, exponents - (_HALF.bit_length() - 1), _LEAST_EXPONENT)
        for group in np.flatnonzero(needed > self.exponent):
            steps = int(needed[group] - self.exponent[group])
            old = np.flatnonzero(self.counts[group])
            places = ((old - _HALF) >> min(steps, 62)) + _HALF
            self.counts[group] = np.bincount(
                places, self.counts[group][old], minlength=NUM_BINS
            ).astype(np.int64)
            self.exponent[group] = needed[group]
