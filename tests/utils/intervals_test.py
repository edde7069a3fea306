"""Intervals against SciPy, published values and brute force."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from utils.intervals import (
    Interval,
    difference_interval,
    mean_interval,
    median_interval,
    paired_interval,
    share_interval,
    wilson_interval,
)


@pytest.mark.parametrize(("right", "total"), [(0, 1), (0, 20), (15, 148), (359, 360), (50, 50)])
def test_wilson_is_that_of_scipy(right, total):
    expected = stats.binomtest(right, total).proportion_ci(0.95, method="wilson")
    assert wilson_interval(right, total) == pytest.approx((expected.low, expected.high), abs=1e-12)


# Fagerland, Lydersen, Laake, "Statistical Analysis of Contingency Tables", 2017, chapter 8.
@pytest.mark.parametrize(
    ("table", "low", "high"),
    [
        ([[59, 6], [16, 80]], -0.1186, -0.0046),
        ([[1, 1], [7, 12]], -0.5069, -0.0256),
    ],
)
def test_paired_intervals_as_published(table, low, high):
    assert paired_interval(table) == pytest.approx((low, high), abs=5e-5)


def test_no_difference_is_symmetric():
    low, high = paired_interval([[300, 10], [10, 40]])
    assert low == pytest.approx(-high)
    assert 0.0 in paired_interval([[300, 10], [10, 40]])


def test_swapped_networks_swap_the_interval():
    low, high = paired_interval([[80, 3], [9, 8]])
    assert paired_interval([[80, 9], [3, 8]]) == pytest.approx((-high, -low))


@pytest.mark.parametrize("total", [50, 360, 10_000])
def test_one_image_is_no_loss(total):
    assert 0.0 in paired_interval([[total * 9 // 10, 1], [0, total // 10 - 1]])


def test_many_images_are_a_loss():
    assert 0.0 not in paired_interval([[8900, 250], [60, 790]])


@pytest.mark.parametrize("shares", [(0.8, 0.06, 0.04, 0.1), (0.6, 0.1, 0.1, 0.2)])
def test_paired_intervals_hold_what_they_promise(shares):
    """Every table of 24 pairs with its probability: the truth lies inside at least 94 %."""
    total, truth, covered = 24, shares[1] - shares[2], 0.0
    for both, first, second in itertools.product(range(total + 1), repeat=3):
        neither = total - both - first - second
        if neither < 0:
            continue
        counts = (both, first, second, neither)
        ways = math.factorial(total) / math.prod(map(math.factorial, counts))
        weight = ways * math.prod(p**k for p, k in zip(shares, counts, strict=True))
        if truth in paired_interval([[both, first], [second, neither]]):
            covered += weight
    assert covered > 0.94


def test_pairs_are_known_better_than_each():
    low, high = paired_interval([[880, 12], [20, 88]])
    alone = [wilson_interval(892, 1000), wilson_interval(900, 1000)]
    assert high - low < min(interval.high - interval.low for interval in alone)


def test_hits_are_counted_into_the_table_of_pairs():
    counts = {(1, 1): 59, (1, 0): 6, (0, 1): 16, (0, 0): 80}
    pairs = np.repeat(list(counts), list(counts.values()), axis=0).astype(float)
    one, other = np.random.default_rng(0).permutation(pairs).T
    assert difference_interval(one, other) == pytest.approx((-0.1186, -0.0046), abs=5e-5)
    assert share_interval(one) == wilson_interval(65, 161)


def test_hits_in_part_are_means():
    one, other = np.random.default_rng(0).random((2, 30))
    expected = stats.ttest_rel(one, other).confidence_interval(0.95)
    assert difference_interval(one, other) == pytest.approx((expected.low, expected.high))
    expected = stats.ttest_1samp(one, 0.0).confidence_interval(0.95)
    assert share_interval(one) == pytest.approx((expected.low, expected.high))
    assert share_interval(np.array([0.999, 0.999, 0.9])).high == 1.0
    assert (share_interval(one[:1]), difference_interval(one[:1], other[:1])) == (None, None)


def test_means_are_those_of_scipy():
    values = np.random.default_rng(0).normal(2.0, 3.0, 40)
    expected = stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
    assert mean_interval(values) == pytest.approx((expected.low, expected.high))


@pytest.mark.parametrize(("total", "rank"), [(1, 1), (5, 1), (6, 1), (8, 1), (9, 2), (20, 6)])
def test_ranks_are_those_of_the_sign_test(total, rank):
    """Largest r with P(r <= Bin(n, 1/2) <= n - r) >= 95 %; the extremes where there is none."""
    assert median_interval(range(1, total + 1)) == (rank, total + 1 - rank)
    binomial = stats.binom(total, 0.5)
    if total >= 6:
        assert binomial.cdf(total - rank) - binomial.cdf(rank - 1) >= 0.95
    assert binomial.cdf(total - rank - 1) - binomial.cdf(rank) < 0.95


def test_membership():
    assert 1 in Interval(1.0, 2.0)
    assert 2.5 not in Interval(1.0, 2.0)
    assert "1" not in Interval(1.0, 2.0)


def test_refusals():
    with pytest.raises(ValueError, match=r"in \[0, num_samples\].*num_right=3, num_samples=2"):
        wilson_interval(3, 2)
    with pytest.raises(ValueError, match=r"`table` must hold counts, at least one"):
        paired_interval([[0, 0], [0, 0]])
    with pytest.raises(ValueError, match=r"`table` must hold counts"):
        paired_interval([[3, -1], [0, 0]])
    with pytest.raises(ValueError, match=r"the same samples. Received: 2 and 3"):
        difference_interval(np.ones(2), np.ones(3))
    with pytest.raises(ValueError, match=r"at least two numbers. Received: \(1,\)"):
        mean_interval([1.0])
    with pytest.raises(ValueError, match=r"at least one number. Received: none"):
        median_interval([])
