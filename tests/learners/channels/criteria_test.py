"""Criteria: one signature; scores that give what the algorithms behind them give."""

import numpy as np
import pytest

from learners.channels.criteria import CRITERIA, GroupReader
from learners.channels.lasso import channel_quadratic, largest, lasso_mask
from learners.reconstruction.least_squares import ReaderMoments
from tests.learners.conftest import statistics_of


@pytest.fixture
def reader(layer):
    x, kernel, rows = layer
    return GroupReader(ReaderMoments(statistics_of(x, x @ kernel), rows, True), kernel)


def error_without(layer, dropped):
    """Least squares on the rows left, by NumPy."""
    x, kernel, rows = layer
    y = x @ kernel
    x, y = x - x.mean(0), y - y.mean(0)
    left = x[:, ~np.isin(rows, dropped)]
    return np.sum((y - left @ np.linalg.lstsq(left, y, rcond=None)[0]) ** 2)


@pytest.mark.parametrize("name", CRITERIA)
@pytest.mark.parametrize("num_keep", [None, 1, 3, 6])
def test_a_score_for_each_channel(reader, name, num_keep):
    scores = CRITERIA[name]([reader], 6, num_keep, num_iterations=100)
    assert scores.shape == (6,)
    assert np.isfinite(scores).all()
    assert np.unique(scores).size == 6


def test_backward_lets_the_least_missed_go_first(layer, reader):
    scores = CRITERIA["backward"]([reader], 6, None)
    alone = [error_without(layer, [channel]) for channel in range(6)]
    assert np.argmin(scores) == np.argmin(alone)
    order = np.argsort(scores)
    pairs = [error_without(layer, [order[0], channel]) for channel in order[1:]]
    assert np.argmin(pairs) == 0


@pytest.mark.parametrize("num_keep", [1, 2, 3, 4, 5])
def test_lasso_keeps_what_the_bisection_keeps(layer, reader, num_keep):
    x, kernel, rows = layer
    quadratic, linear = channel_quadratic(reader.moments.statistics, kernel, rows, 6, centred=True)
    scores = CRITERIA["lasso"]([reader], 6, num_keep)
    np.testing.assert_array_equal(
        largest(scores, num_keep), lasso_mask(quadratic, linear, num_keep)
    )


def test_l1_sums_the_magnitudes_of_the_slices(layer):
    """By brute force over the weights of a convolution that reads 6 channels at 2 positions."""
    x, _, _ = layer
    plain = np.random.default_rng(0).normal(size=(2, 6, 5))  # position, channel, output
    weights = np.array([0.0, 3.0, 1.0, 0.1, 2.0])
    rows = np.tile(np.arange(6), 2)
    matrix = plain.reshape(12, 5)
    moments = statistics_of(x, x @ (matrix * weights))
    reader = GroupReader(ReaderMoments(moments, rows, True), matrix * weights, matrix)
    wanted = [
        sum(abs(plain[position, channel, output]) for position in range(2) for output in range(5))
        for channel in range(6)
    ]
    for num_keep in (None, 3):
        np.testing.assert_allclose(CRITERIA["l1"]([reader], 6, num_keep), wanted)
    np.testing.assert_allclose(CRITERIA["l1"]([reader, reader], 6, 3), 2 * np.array(wanted))


def test_l1_leaves_rows_of_others_out(layer):
    x, kernel, rows = layer
    others = np.where(rows == 2, -1, rows)
    reader = GroupReader(ReaderMoments(statistics_of(x, x @ kernel), others, True), kernel)
    scores = CRITERIA["l1"]([reader], 6, None)
    assert scores[2] == 0.0
    assert np.count_nonzero(scores) == 5


@pytest.mark.parametrize("name", CRITERIA)
def test_a_silent_channel_goes_first(layer, name):
    x, kernel, rows = layer
    kernel = kernel * (rows != 4)[:, None]
    reader = GroupReader(ReaderMoments(statistics_of(x, x @ kernel), rows, True), kernel)
    for num_keep in (None, 5):
        assert np.argmin(CRITERIA[name]([reader], 6, num_keep)) == 4


@pytest.mark.parametrize("name", CRITERIA)
def test_readers_decide_together(layer, name):
    """A reader that only looks at some channels moves the choice towards them."""
    x, kernel, rows = layer
    others = kernel * (rows < 2)[:, None]
    readers = [
        GroupReader(ReaderMoments(statistics_of(x, x @ each), rows, True), each)
        for each in (kernel, others)
    ]
    alone, together = (CRITERIA[name](given, 6, 2) for given in ([readers[1]], readers))
    assert set(np.flatnonzero(largest(alone, 2))) == {0, 1}
    assert set(np.flatnonzero(largest(together, 2))) & {0, 1}
