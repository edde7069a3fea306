import numpy as np
import pytest

from learners.reconstruction.least_squares import ReaderMoments
from learners.reconstruction.nested import nested_errors
from learners.reconstruction.statistics import LayerStatistics, row_channels

NUM_SAMPLES, NUM_CHANNELS, NUM_OUTPUTS = 400, 5, 4


def layer(num_positions=1, seed=0):
    """Correlated inputs, targets with noise of their own, and the moments of both."""
    rng = np.random.default_rng(seed)
    size = NUM_CHANNELS * num_positions
    x = rng.normal(size=(NUM_SAMPLES, size)) @ rng.normal(size=(size, size)) + 1.0
    y = x @ rng.normal(size=(size, NUM_OUTPUTS)) + rng.normal(size=(NUM_SAMPLES, NUM_OUTPUTS)) + 2.0
    ones = np.concatenate([x, np.ones((NUM_SAMPLES, 1))], axis=1)
    return x, y, LayerStatistics(ones.T @ ones, ones.T @ y, np.sum(y**2, axis=0))


def residual(x, y, rows, centred):
    """The relative squared error of numpy's own least squares on some of the columns."""
    if centred:
        x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    fit = x[:, rows] @ np.linalg.lstsq(x[:, rows], y, rcond=None)[0] if rows.any() else 0.0
    return np.sum((y - fit) ** 2) / np.sum(y**2)


@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize("num_positions", [1, 3])
def test_errors_are_those_of_a_fit_at_every_size(num_positions, centred):
    x, y, statistics = layer(num_positions)
    channels = row_channels(np.arange(NUM_CHANNELS), num_positions)
    order = np.array([3, 0, 4, 1, 2])
    errors = nested_errors(ReaderMoments(statistics, channels, centred), order)
    for count in range(NUM_CHANNELS + 1):
        rows = np.isin(channels, order[NUM_CHANNELS - count :])
        assert errors[count] == pytest.approx(residual(x, y, rows, centred), abs=1e-5)
    assert np.all(np.diff(errors) <= 1e-12)


def test_rows_that_are_not_up_for_choice_stay_and_dropped_ones_are_gone():
    x, y, statistics = layer(2)
    channels = row_channels(np.array([0, -1, 1, -1, 2]), 2)
    left = np.ones(10, bool)
    left[[3, 4]] = False
    reader = ReaderMoments(statistics, channels, centred=True, left=left)
    errors = nested_errors(reader, np.array([2, 0, 1]))
    for count, kept in enumerate(([], [1], [1, 0], [1, 0, 2])):
        rows = left & ((channels < 0) | np.isin(channels, kept))
        assert errors[count] == pytest.approx(residual(x, y, rows, True), abs=1e-5)


def test_inputs_that_say_nothing_have_errors_too():
    moment = np.zeros((4, 4))
    moment[-1, -1] = 10.0
    statistics = LayerStatistics(moment, np.zeros((4, 2)), np.ones(2))
    errors = nested_errors(ReaderMoments(statistics, np.arange(3), True), np.arange(3))
    assert errors == pytest.approx(np.ones(4))


def test_an_order_that_is_none_is_refused():
    _, _, statistics = layer()
    reader = ReaderMoments(statistics, np.arange(NUM_CHANNELS), True)
    with pytest.raises(ValueError, match=r"must name each of 2 channels once. Received: \[1, 1\]"):
        nested_errors(reader, np.array([1, 1]))
