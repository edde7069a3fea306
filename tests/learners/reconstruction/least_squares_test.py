"""Refitting and backward elimination: against NumPy, brute force and by hand."""

import itertools

import numpy as np
import pytest

from learners.reconstruction.least_squares import (
    MAX_STEPS,
    PULL,
    ReaderMoments,
    backward_order,
    refit_kernel,
    relative_error,
)
from learners.reconstruction.ridge import RIDGE
from tests.learners.conftest import statistics_of


@pytest.mark.parametrize("centred", [False, True])
def test_refit_matches_numpy(layer, centred):
    x, kernel, _ = layer
    y = x @ kernel + 3.0
    kept = np.array([True, False] * 6)
    stats = statistics_of(x, y)
    refitted, offset = refit_kernel(stats, kernel, kept, centred=centred, pull=RIDGE)
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


def test_the_pull_keeps_kernels_small_where_inputs_hardly_vary(layer):
    """A row that is another one and a hundredth of noise: only the sum of both is known."""
    x, kernel, _ = layer
    x = np.hstack([x, x[:, :1] + 1e-2 * np.random.default_rng(0).normal(size=(len(x), 1))])
    y = x[:, :12] @ kernel + np.random.default_rng(1).normal(size=(len(x), kernel.shape[1]))
    stats, old = statistics_of(x, y), np.vstack([kernel, kernel[:1]])
    kept = np.ones(13, bool)
    exact, pulled = (refit_kernel(stats, old, kept, centred=True, pull=p)[0] for p in (RIDGE, PULL))
    assert np.sum(exact**2) > 2 * np.sum(pulled**2)
    error = relative_error(stats, pulled, centred=True)
    assert error < 1.2 * relative_error(stats, exact, centred=True)


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


def test_rows_that_are_gone_make_up_for_nothing(layer):
    """Rows that went with channels of another group, as if the layer had never had them."""
    x, kernel, rows = layer
    left = np.arange(12) % 6 != 1
    rows = np.where(left, rows, -1)
    stats = [statistics_of(x[:, chosen], x @ kernel) for chosen in (left, np.full(12, True))]
    expected = backward_order([ReaderMoments(stats[0], rows[left], False)], 6)
    found = backward_order([ReaderMoments(stats[1], rows, False, left)], 6)
    np.testing.assert_array_equal(found, expected)
    ignored = backward_order([ReaderMoments(stats[1], rows, False)], 6)
    assert not np.array_equal(ignored, expected)


def test_backward_elimination_near_the_best_subset(layer):
    x, kernel, rows = layer
    y = x @ kernel
    stats = statistics_of(x, y)

    def error(channels):
        kept = np.isin(rows, channels)
        refitted = refit_kernel(stats, kernel, kept, centred=False, pull=RIDGE)[0]
        return relative_error(stats, refitted, centred=False)

    best = min(error(subset) for subset in itertools.combinations(range(6), 3))
    chosen = error(backward_order([ReaderMoments(stats, rows, False)], 6)[3:])
    assert chosen <= 1.5 * best


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_fewer_samples_than_rows(dtype):
    """Moments of 40 samples in 200 rows, summed in float32, are singular and not quite definite."""
    rng = np.random.default_rng(1)
    x = (100.0 + rng.normal(size=(40, 200))).astype(dtype)
    kernel = rng.normal(size=(200, 3))
    stats = statistics_of(x, x @ kernel.astype(dtype))
    kept = np.arange(200) < 100
    refitted, _ = refit_kernel(stats, kernel, kept, centred=True)
    assert np.isfinite(refitted).all()
    order = backward_order([ReaderMoments(stats, np.arange(200) // 2, True)], 100)
    np.testing.assert_array_equal(np.sort(order), np.arange(100))


def test_relative_error_is_never_negative(layer):
    x, kernel, _ = layer
    stats = statistics_of(x, x @ kernel)
    assert relative_error(stats, kernel, centred=True) == pytest.approx(0.0, abs=1e-12)
    assert relative_error(stats, 0 * kernel, centred=True) == pytest.approx(1.0)


def test_two_readers_are_weighed_by_their_own_energy():
    """The channel that only a quiet layer needs stays before one that a loud layer hardly needs."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 3))
    loud, quiet = np.array([[100.0], [0.5], [0.0]]), np.array([[0.0], [0.0], [0.01]])
    readers = [
        ReaderMoments(statistics_of(x, x @ kernel), np.arange(3), False) for kernel in (loud, quiet)
    ]
    assert backward_order(readers, 3)[0] == 1


def test_channels_that_a_reader_does_not_read_cost_it_nothing(layer):
    x, kernel, rows = layer
    elsewhere = np.where(rows == 2, -1, rows)
    order = backward_order([ReaderMoments(statistics_of(x, x @ kernel), elsewhere, False)], 6)
    assert order[0] == 2


def test_blocks_of_different_sizes():
    rng = np.random.default_rng(2)
    x = rng.normal(size=(300, 5))
    kernel = np.array([[1.0], [1.0], [0.1], [0.1], [3.0]])
    rows = np.array([0, 0, 1, 1, 2])
    order = backward_order([ReaderMoments(statistics_of(x, x @ kernel), rows, False)], 3)
    np.testing.assert_array_equal(order, [1, 0, 2])


def test_large_groups_go_several_at_a_time():
    num_channels = MAX_STEPS + 40
    rng = np.random.default_rng(4)
    x = rng.normal(size=(2000, num_channels))
    strength = rng.permutation(np.arange(1.0, num_channels + 1))
    stats = statistics_of(x, x * strength)
    order = backward_order([ReaderMoments(stats, np.arange(num_channels), False)], num_channels)
    np.testing.assert_array_equal(np.sort(order), np.arange(num_channels))
    assert np.corrcoef(np.arange(num_channels), strength[order])[0, 1] > 0.99


@pytest.mark.parametrize("centred", [False, True])
def test_a_sparse_kernel_keeps_its_zeros(layer, centred):
    """Each output is the least-squares solution on the entries that it has, by NumPy."""
    x, kernel, _ = layer
    y = x @ kernel + 0.1 * np.random.default_rng(1).normal(size=(len(x), 5))
    sparse = kernel * (np.random.default_rng(2).random(kernel.shape) < 0.6)
    kept = np.arange(12) != 3
    found, _ = refit_kernel(statistics_of(x, y), sparse, kept, centred=centred, pull=1e-9)
    assert not found[sparse == 0].any()
    assert not found[3].any()
    shifted = (x - x.mean(0), y - y.mean(0)) if centred else (x, y)
    for output in range(5):
        own = np.flatnonzero((sparse[:, output] != 0) & kept)
        wanted = np.linalg.lstsq(shifted[0][:, own], shifted[1][:, output], rcond=None)[0]
        np.testing.assert_allclose(found[own, output], wanted, rtol=1e-4, atol=1e-6)


def test_a_kernel_of_nothing_but_zeros_may_learn(layer):
    x, kernel, _ = layer
    found, _ = refit_kernel(
        statistics_of(x, x @ kernel), np.zeros_like(kernel), np.ones(12, bool), centred=False,
        pull=1e-9,
    )  # fmt: skip
    np.testing.assert_allclose(found, kernel, rtol=1e-3, atol=1e-4)
