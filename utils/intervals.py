"""Intervals that say how far a figure may be from the truth, 95 % unless told otherwise.

An accuracy on n samples is one draw: another n samples would have given another. Two networks that
are run on the *same* samples share most of that chance, so their difference is known better than
either accuracy; the intervals of differences here are for such pairs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from scipy import special

LEVEL = 0.95


class Interval(NamedTuple):
    """Both ends of an interval."""

    low: float
    high: float

    def __contains__(self, value: object) -> bool:
        """Whether a number lies inside, ends included."""
        return isinstance(value, int | float) and self.low <= value <= self.high


def wilson_interval(num_right: float, num_samples: int, level: float = LEVEL) -> Interval:
    """Bound a proportion by its score interval.

    Args:
        num_right: samples that are right, in [0, num_samples].
        num_samples: samples, at least 1.
        level: probability that the interval holds the true proportion, in (0, 1).

    Returns:
        The interval, inside [0, 1].

    Raises:
        ValueError: for counts out of range.

    Example:
        >>> low, high = wilson_interval(81, 263)
        >>> round(low, 4), round(high, 4)
        (0.2553, 0.3662)

    Reference:
        Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", 1927.
        The example is that of Newcombe, "Two-Sided Confidence Intervals for the Single Proportion",
        Statistics in Medicine 17, 1998.
    """
    if num_samples < 1 or not 0 <= num_right <= num_samples:
        raise ValueError(
            "`num_right` must be in [0, num_samples], `num_samples` at least 1. Received: "
            f"num_right={num_right}, num_samples={num_samples}."
        )
    z2 = _z(level) ** 2
    centre = num_right + z2 / 2
    spread = math.sqrt(z2 * (num_right * (1 - num_right / num_samples) + z2 / 4))
    scale = num_samples + z2
    return Interval(max((centre - spread) / scale, 0.0), min((centre + spread) / scale, 1.0))


def paired_interval(table: Sequence[Sequence[int]], level: float = LEVEL) -> Interval:
    """Bound the difference of two proportions on the same samples (Newcombe's method 10).

    The Wilson intervals of both are squared and added, less what their correlation phi takes away;
    phi is corrected for continuity, and 0 where it is not clearly positive or negative:

        low = d - sqrt((p1 - l1)^2 + (u2 - p2)^2 - 2 phi (p1 - l1) (u2 - p2)),  d = p1 - p2.

    Args:
        table: counts [[both right, only the first], [only the second, neither]].
        level: probability that the interval holds the true difference, in (0, 1).

    Returns:
        The interval of the first's proportion less the second's, inside [-1, 1].

    Raises:
        ValueError: for negative counts or none at all.

    Example:
        >>> low, high = paired_interval([[59, 6], [16, 80]])
        >>> round(low, 4), round(high, 4)
        (-0.1186, -0.0046)

    Reference:
        Newcombe, "Improved Confidence Intervals for the Difference Between Binomial Proportions
        Based on Paired Data", Statistics in Medicine 17, 1998, method 10. The example is that of
        Fagerland, Lydersen, Laake, "Statistical Analysis of Contingency Tables", 2017, chapter 8.
    """
    (both, first), (second, neither) = table
    num_samples = both + first + second + neither
    if min(both, first, second, neither) < 0 or num_samples < 1:
        raise ValueError(f"`table` must hold counts, at least one. Received: {table}.")
    one, other = (both + first) / num_samples, (both + second) / num_samples
    low1, high1 = wilson_interval(both + first, num_samples, level)
    low2, high2 = wilson_interval(both + second, num_samples, level)
    phi = _phi(both, first, second, neither)

    def distance(a: float, b: float) -> float:
        return math.sqrt(max(a * a + b * b - 2 * phi * a * b, 0.0))

    low = one - other - distance(one - low1, high2 - other)
    high = one - other + distance(other - low2, high1 - one)
    return Interval(max(low, -1.0), min(high, 1.0))


def _phi(both: int, first: int, second: int, neither: int) -> float:
    """Correlation of two 0/1 variables; a positive one is moved towards 0 by n/2 counts squared."""
    margins = (both + first) * (second + neither) * (both + second) * (first + neither)
    if not margins:
        return 0.0
    excess: float = both * neither - first * second
    if excess > 0:
        excess = max(excess - (both + first + second + neither) / 2, 0.0)
    return excess / math.sqrt(margins)


def mean_interval(values: Sequence[float] | np.ndarray, level: float = LEVEL) -> Interval:
    """Bound a mean by Student's t.

    Args:
        values: independent numbers [n], n >= 2: per sample, or differences per sample.
        level: probability that the interval holds the true mean, in (0, 1).

    Returns:
        The interval around the mean.

    Raises:
        ValueError: for fewer than two values.

    Example:
        >>> low, high = mean_interval([1.0, 2.0, 3.0])
        >>> round(low, 3), round(high, 3)
        (-0.484, 4.484)
    """
    values = np.asarray(values, np.float64)
    if values.ndim != 1 or values.size < 2:
        raise ValueError(f"`values` must hold at least two numbers. Received: {values.shape}.")
    quantile = float(special.stdtrit(values.size - 1, (1 + level) / 2))
    spread = quantile * float(values.std(ddof=1)) / math.sqrt(values.size)
    centre = float(values.mean())
    return Interval(centre - spread, centre + spread)


def share_interval(hits: np.ndarray) -> Interval | None:
    """Bound an accuracy: Wilson's interval, Student's where samples are right in part.

    Args:
        hits: float [samples] in [0, 1], 1 where a sample is right.

    Returns:
        The interval, inside [0, 1]; None where one sample alone, right in part, says nothing.

    Example:
        >>> low, high = share_interval(np.repeat([1.0, 0.0], [81, 182]))
        >>> round(low, 4), round(high, 4)
        (0.2553, 0.3662)
    """
    if _is_binary(hits):
        return wilson_interval(float(hits.sum()), len(hits))
    if len(hits) < 2:
        return None
    low, high = mean_interval(hits)
    return Interval(max(low, 0.0), min(high, 1.0))


def difference_interval(one: np.ndarray, other: np.ndarray) -> Interval | None:
    """Bound the difference of two accuracies on the same samples, in the same order.

    Args:
        one: float [samples] in [0, 1], see `share_interval`.
        other: the same of the other network.

    Returns:
        The interval of the first's accuracy less the other's, inside [-1, 1]: Newcombe's for pairs,
        Student's where samples are right in part; None as for `share_interval`.

    Raises:
        ValueError: if they are not of the same samples.

    Example:
        >>> one, other = np.array([1.0, 1.0, 0.0, 1.0]), np.array([1.0, 0.0, 0.0, 1.0])
        >>> 0.0 in difference_interval(one, other)
        True
    """
    if len(one) != len(other):
        raise ValueError(f"both must hold the same samples. Received: {len(one)} and {len(other)}.")
    if _is_binary(one) and _is_binary(other):
        first, second = one > 0.5, other > 0.5
        both, neither = int(np.sum(first & second)), int(np.sum(~first & ~second))
        only_first, only_second = int(np.sum(first & ~second)), int(np.sum(~first & second))
        return paired_interval([[both, only_first], [only_second, neither]])
    if len(one) < 2:
        return None
    low, high = mean_interval(one - other)
    return Interval(max(low, -1.0), min(high, 1.0))


def _is_binary(hits: np.ndarray) -> bool:
    return bool(np.all((hits == 0.0) | (hits == 1.0)))


def median_interval(values: Sequence[float], level: float = LEVEL) -> Interval:
    """Bound a median by order statistics: whatever the distribution, half lies on either side.

    The r-th smallest and the r-th largest of n values enclose the median with probability
    1 - 2 P(Bin(n, 1/2) < r). The largest r that reaches `level` is taken; with fewer than 6 values
    none reaches 95 %, and the extremes are given.

    Args:
        values: independent numbers, at least one.
        level: probability that the interval holds the true median, in (0, 1).

    Returns:
        The interval.

    Raises:
        ValueError: without values.

    Example:
        >>> median_interval([5, 1, 2, 4, 3, 9, 7, 8, 6, 10])  # 97.9 %
        Interval(low=2.0, high=9.0)

    Reference:
        Thompson, "On Confidence Ranges for the Median", 1936.
    """
    ordered = sorted(map(float, values))
    if not ordered:
        raise ValueError("`values` must hold at least one number. Received: none.")
    outside = 0.0  # probability that the median lies below the r-th smallest value
    rank = 0
    for k in range(len(ordered) // 2):
        outside += math.comb(len(ordered), k) / 2 ** len(ordered)
        if 1 - 2 * outside < level:
            break
        rank = k
    return Interval(ordered[rank], ordered[-1 - rank])


def _z(level: float) -> float:
    return NormalDist().inv_cdf((1 + level) / 2)
