"""LASSO on Gram matrices: against scikit-learn and by hand."""

import numpy as np
import pytest
from sklearn.linear_model import Lasso

from learners.channels import lasso
from tests.learners.conftest import statistics_of


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


def test_equal_scores_are_broken_by_index():
    np.testing.assert_array_equal(
        lasso.largest(np.array([1.0, 2.0, 2.0, 2.0]), 2), [False, True, True, False]
    )
    assert not lasso.largest(np.array([1.0, 2.0]), 0).any()


def test_a_penalty_of_zero_gives_least_squares(layer):
    x, kernel, rows = layer
    parts = lasso.channel_quadratic(statistics_of(x, x @ kernel), kernel, rows, 6, centred=False)
    beta = lasso.ista(*parts, 0.0, start=np.zeros(6), num_iterations=20_000)
    np.testing.assert_allclose(beta, 1.0, atol=1e-4)


def test_the_largest_penalty_removes_every_channel(layer):
    x, kernel, rows = layer
    quadratic, linear = lasso.channel_quadratic(
        statistics_of(x, x @ kernel), kernel, rows, 6, centred=False
    )
    highest = np.max(np.abs(linear))
    start = np.zeros(6)
    assert not lasso.ista(quadratic, linear, highest, start=start, num_iterations=50).any()
    assert lasso.ista(quadratic, linear, 0.99 * highest, start=start, num_iterations=50).any()


def test_joint_choice_adds_layers_up_fairly(layer):
    """A layer of a hundred times larger outputs weighs no more than the other."""
    x, kernel, rows = layer
    single = lasso.channel_quadratic(statistics_of(x, x @ kernel), kernel, rows, 6, centred=True)
    large = lasso.channel_quadratic(
        statistics_of(x, x @ (100 * kernel)), 100 * kernel, rows, 6, centred=True
    )
    for one, other in zip(single, large, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9)


def test_silent_layer_is_no_division_by_zero():
    stats = statistics_of(np.zeros((5, 2)), np.zeros((5, 1)))
    quadratic, linear = lasso.channel_quadratic(
        stats, np.ones((2, 1)), np.arange(2), 2, centred=True
    )
    assert np.isfinite(quadratic).all()
    np.testing.assert_array_equal(lasso.lasso_mask(quadratic, linear, 1), [True, False])
