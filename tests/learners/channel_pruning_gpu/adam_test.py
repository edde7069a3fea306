"""Adam against the closed form of the same problem."""

import numpy as np
import pytest

from learners.channel_pruning_gpu.adam import adam_kernel
from learners.reconstruction.least_squares import refit_kernel, relative_error
from tests.learners.conftest import statistics_of

RATES = {"lrn_rate": 0.05, "num_iterations": 2000}


def kept_of(rows, *channels):
    return ~np.isin(rows, channels)


@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize("pull", [1e-9, 0.1])
def test_ends_where_least_squares_does(layer, centred, pull):
    x, kernel, rows = layer
    y = x @ kernel + 0.3
    statistics, kept = statistics_of(x, y), kept_of(rows, 1, 4)
    found, offset = adam_kernel(statistics, kernel, kept, centred=centred, pull=pull, **RATES)
    exact, exact_offset = refit_kernel(statistics, kernel, kept, centred=centred, pull=pull)
    np.testing.assert_allclose(found, exact, atol=2e-2)
    assert np.sum((x @ (found - exact) + offset - exact_offset) ** 2) < 1e-4 * np.sum(y**2)
    assert not found[~kept].any()
    assert centred or not offset.any()


def test_never_worse_than_the_kernel_it_starts_from(layer):
    x, kernel, rows = layer
    statistics, kept = statistics_of(x, x @ kernel), kept_of(rows, 2)
    start = np.where(kept[:, None], kernel, 0.0)
    errors = [relative_error(statistics, start, centred=True)]
    for number in (1, 10, 100):
        found, _ = adam_kernel(
            statistics, kernel, kept, centred=True, lrn_rate=10.0, num_iterations=number, pull=0.0
        )
        errors.append(relative_error(statistics, found, centred=True))
    assert max(errors) == errors[0]  # at a rate that is far too high


def test_a_kernel_that_is_right_stays(layer):
    x, kernel, rows = layer
    statistics = statistics_of(x, x @ kernel)
    found, offset = adam_kernel(statistics, kernel, kept_of(rows), centred=True, **RATES)
    np.testing.assert_allclose(found, kernel, atol=1e-8)
    np.testing.assert_allclose(offset, 0.0, atol=1e-6)


def test_a_sparse_kernel_keeps_its_zeros(layer):
    x, kernel, rows = layer
    sparse = np.where(np.arange(kernel.size).reshape(kernel.shape) % 3 == 0, 0.0, kernel)
    found, _ = adam_kernel(
        statistics_of(x, x @ kernel), sparse, kept_of(rows, 0), centred=True, **RATES
    )
    assert not found[sparse == 0].any()
    assert np.count_nonzero(found) == np.count_nonzero(sparse[kept_of(rows, 0)])


def test_a_kernel_of_nothing_but_zeros_is_not_sparse(layer):
    x, kernel, rows = layer
    statistics = statistics_of(x, x @ kernel)
    found, _ = adam_kernel(statistics, 0.0 * kernel, kept_of(rows), centred=True, **RATES)
    assert np.count_nonzero(found) == found.size
    assert relative_error(statistics, found, centred=True) < 0.5


def test_directions_that_are_hardly_seen_stay_as_they_were():
    """An input that is almost dead: without the pull its weights run away."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 4)) * np.array([1.0, 1.0, 1.0, 1e-4])
    kernel = rng.normal(size=(4, 3))
    y = x @ kernel + rng.normal(size=(300, 3))  # noise that such weights can be fitted to
    statistics, kept = statistics_of(x, y), np.array([True, True, True, True])
    pulled, free = (
        adam_kernel(statistics, kernel, kept, centred=False, pull=pull, **RATES)[0]
        for pull in (0.1, 0.0)
    )
    assert np.abs(pulled[3] - kernel[3]).max() < 0.01
    assert np.abs(free[3] - kernel[3]).max() > 1.0
