"""Moments: against the rows they come from."""

import numpy as np
import pytest

from learners.reconstruction.statistics import LayerStatistics, row_channels
from tests.learners.conftest import statistics_of


def test_rows_follow_the_hwio_order():
    kernel = np.arange(2 * 1 * 3).reshape(2, 1, 3)  # [kh, kw, ci], values say (position, channel)
    np.testing.assert_array_equal(row_channels(np.arange(3), 2), kernel.ravel() % 3)


def test_statistics_add_up_batch_by_batch(layer):
    x, kernel, _ = layer
    whole = statistics_of(x, x @ kernel)
    summed = LayerStatistics.empty(12, 5)
    for part in np.split(x, 5):
        summed = summed + statistics_of(part, part @ kernel)
    np.testing.assert_allclose(summed.moment, whole.moment)
    np.testing.assert_allclose(summed.cross, whole.cross)
    assert summed.count == 500


@pytest.mark.parametrize("centred", [False, True])
def test_against_the_rows(layer, centred):
    x, kernel, _ = layer
    y = x @ kernel + 2.0
    stats = statistics_of(x, y)
    shift = 1.0 if centred else 0.0
    x_shifted, y_shifted = x - shift * x.mean(0), y - shift * y.mean(0)
    np.testing.assert_allclose(stats.gram(centred), x_shifted.T @ x_shifted, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(
        stats.cross_gram(centred), x_shifted.T @ y_shifted, rtol=1e-6, atol=1e-6
    )
    assert stats.target_energy(centred) == pytest.approx(np.sum(y_shifted**2))
    np.testing.assert_allclose(stats.means()[0], x.mean(0))
    np.testing.assert_allclose(stats.means()[1], y.mean(0))


def test_weighted_targets(layer):
    x, kernel, _ = layer
    weights = np.array([0.0, 1.0, 2.0, -3.0, 0.5])
    direct = statistics_of(x, x @ kernel * weights)
    weighted = statistics_of(x, x @ kernel).weighted(weights)
    for field in ("moment", "cross", "target_squares"):
        np.testing.assert_allclose(getattr(weighted, field), getattr(direct, field), atol=1e-9)


def test_channels_from_elsewhere_keep_their_mark():
    np.testing.assert_array_equal(row_channels(np.array([1, -1]), 3), [1, -1, 1, -1, 1, -1])


def test_the_offset_makes_the_means_equal(layer):
    x, kernel, _ = layer
    y, other = x @ kernel, 0.5 * kernel
    offset = statistics_of(x, y).offset(other, centred=True)
    np.testing.assert_allclose((x @ other + offset).mean(axis=0), y.mean(axis=0), atol=1e-9)
    assert not statistics_of(x, y).offset(other, centred=False).any()
