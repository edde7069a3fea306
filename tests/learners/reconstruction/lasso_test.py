"""LASSO on Gram matrices: against scikit-learn, brute force and by hand."""

import itertools

import numpy as np
import pytest
from sklearn.linear_model import Lasso

from learners.reconstruction import lasso
from learners.reconstruction.least_squares import (
    ReaderMoments,
    backward_order,
    refit_kernel,
    relative_error,
)
from learners.reconstruction.statistics import LayerStatistics, row_channels


def statistics_of(x, y):
    ones = np.hstack([x, np.ones((len(x), 1))])
    return LayerStatistics(ones.T @ ones, ones.T @ y, np.sum(y**2, axis=0))


@pytest.fixture
def layer():
    rng = np.random.default_rng(3)
    x = rng.normal(size=(500, 12)) @ rng.normal(size=(12, 12)) + 0.7  # correlated, off centre
    kernel = rng.normal(size=(12, 5)) * np.repeat(rng.uniform(0.1, 2.0, 6), 2)[:, None]
    return x, kernel, np.repeat(np.arange(6), 2)


def test_ista_matches_sklearn(layer):
    x, kernel, rows = layer
    y = x @ kernel
    quadratic, linear = lasso.channel_quadratic(statistics_of(x, y), kernel, rows, 6, centred=False)
    features = np.stack([(x[:, rows == c] @ kernel[rows == c]).ravel() for c in range(6)], axis=1)
    energy = np.sum(y**2)
    for penalty in (0.001, 0.02, 0.1):
        beta = lasso.ista(quadratic, linear, penalty, start=np.zeros(6), num_iterations=20_000)
        model = Lasso(alpha=penalty * energy / y.size, fit_intercept=False, tol=1e-10)
        model.fit(features, y.ravel())
        np.testing.assert_allclose(beta, model.coef_, atol=1e-4)


def test_quadratic_is_the_relative_error(layer):
    x, kernel, rows = layer
    y = x @ kernel
    quadratic, linear = lasso.channel_quadratic(statistics_of(x, y), kernel, rows, 6, centred=False)
    beta = np.array([1.0, 0.0, 0.5, 1.0, 0.0, -1.0])
    direct = np.sum((y - x @ (kernel * beta[rows][:, None])) ** 2) / np.sum(y**2)
    assert beta @ quadratic @ beta - 2 * linear @ beta + 1 == pytest.approx(direct)


def test_fixed_rows_are_taken_out_of_the_target(layer):
    x, kernel, rows = layer
    y = x @ kernel
    rows = np.where(rows == 5, -1, rows)  # the last channel comes from elsewhere
    quadratic, linear = lasso.channel_quadratic(statistics_of(x, y), kernel, rows, 5, centred=False)
    beta = np.array([1.0, 0.0, 1.0, 1.0, 1.0])
    scale = np.append(beta, 1.0)[rows]
    direct = np.sum((y - x @ (kernel * scale[:, None])) ** 2) / np.sum(y**2)
    rest = np.sum((y - x[:, rows < 0] @ kernel[rows < 0]) ** 2) / np.sum(y**2)
    assert beta @ quadratic @ beta - 2 * linear @ beta + rest == pytest.approx(direct)


@pytest.mark.parametrize("num_keep", [1, 2, 3, 4, 5, 6])
def test_exact_count_at_every_size(layer, num_keep):
    x, kernel, rows = layer
    parts = lasso.channel_quadratic(statistics_of(x, x @ kernel), kernel, rows, 6, centred=True)
    assert lasso.lasso_mask(*parts, num_keep).sum() == num_keep


def test_exact_count_when_channels_leave_together():
    quadratic, linear = np.eye(4), np.array([1.0, 1.0, 1.0, 1.0])
    mask = lasso.lasso_mask(quadratic, linear, 3)
    np.testing.assert_array_equal(mask, [True, True, True, False])


def test_useless_channel_goes_first():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 4))
    kernel = np.array([[1.0], [0.0], [2.0], [0.5]])
    parts = lasso.channel_quadratic(
        statistics_of(x, x @ kernel), kernel, np.arange(4), 4, centred=False
    )
    np.testing.assert_array_equal(lasso.lasso_mask(*parts, 3), [True, False, True, True])


@pytest.mark.parametrize("num_keep", [0, 7])
def test_refuses_impossible_counts(num_keep):
    with pytest.raises(ValueError, match=r"`num_keep` must be in \[1, 6\]. Received: "):
        lasso.lasso_mask(np.eye(6), np.ones(6), num_keep)


@pytest.mark.parametrize("centred", [False, True])
def test_refit_matches_numpy(layer, centred):
    x, kernel, _ = layer
    y = x @ kernel + 3.0
    kept = np.array([True, False] * 6)
    refitted, offset = refit_kernel(statistics_of(x, y), kernel, kept, centred=centred)
    design = np.hstack([x[:, kept], np.ones((len(x), 1))]) if centred else x[:, kept]
    expected = np.linalg.lstsq(design, y, rcond=None)[0]
    np.testing.assert_allclose(refitted[kept], expected[: kept.sum()], atol=1e-3)
    assert not refitted[~kept].any()
    if centred:
        np.testing.assert_allclose(offset, expected[-1], atol=1e-3)
        residual = y - x @ refitted - offset
        energy = np.sum((y - y.mean(0)) ** 2)
        assert relative_error(statistics_of(x, y), refitted, centred=True) == pytest.approx(
            np.sum(residual**2) / energy, rel=1e-4
        )


def test_refit_without_loss_is_the_identity(layer):
    x, kernel, _ = layer
    stats = statistics_of(x, x @ kernel)
    refitted, offset = refit_kernel(stats, kernel, np.ones(12, bool), centred=True)
    np.testing.assert_allclose(refitted, kernel, atol=1e-6)
    np.testing.assert_allclose(offset, 0, atol=1e-5)


def test_refit_survives_a_dead_input():
    x = np.zeros((50, 3))
    x[:, 0] = np.linspace(-1, 1, 50)
    kernel = np.ones((3, 2))
    stats = statistics_of(x, x @ kernel)
    refitted, _ = refit_kernel(stats, kernel, np.ones(3, bool), centred=False)
    np.testing.assert_allclose(refitted, kernel, atol=1e-6)


def test_backward_elimination_is_exact_stepwise(layer):
    x, kernel, rows = layer
    y = x @ kernel
    stats = statistics_of(x, y)
    order = backward_order([ReaderMoments(stats, rows, False)], 6)
    left = list(range(6))
    for channel in order[:-1]:
        losses = {}
        for candidate in left:
            keep = np.isin(rows, [c for c in left if c != candidate])
            fit = np.linalg.lstsq(x[:, keep], y, rcond=None)[0]
            losses[candidate] = np.sum((y - x[:, keep] @ fit) ** 2)
        assert losses[channel] == pytest.approx(min(losses.values()), rel=1e-3)
        left.remove(channel)


def test_backward_elimination_near_the_best_subset(layer):
    x, kernel, rows = layer
    y = x @ kernel
    stats = statistics_of(x, y)

    def error(channels):
        kept = np.isin(rows, channels)
        refitted = refit_kernel(stats, kernel, kept, centred=False)[0]
        return relative_error(stats, refitted, centred=False)

    best = min(error(subset) for subset in itertools.combinations(range(6), 3))
    chosen = error(backward_order([ReaderMoments(stats, rows, False)], 6)[3:])
    assert chosen <= 1.5 * best


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
