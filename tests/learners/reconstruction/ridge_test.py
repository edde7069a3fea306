"""Ridges: as large as asked for, larger where that is not enough."""

import numpy as np
import pytest
import scipy.linalg

from learners.reconstruction.ridge import factorised


def test_the_ridge_is_a_share_of_the_mean_diagonal():
    gram = np.diag([1.0, 2.0, 3.0])
    factor, ridge = factorised(gram, 0.01)
    assert ridge == pytest.approx(0.02)
    right = np.arange(3.0)
    np.testing.assert_allclose(
        scipy.linalg.cho_solve(factor, right), np.linalg.solve(gram + 0.02 * np.eye(3), right)
    )


def test_it_grows_until_the_factor_exists():
    gram = np.diag([1.0, -0.05])  # as rounding may leave it
    factor, ridge = factorised(gram, 1e-3)
    assert ridge == pytest.approx(1e-3 * 0.475 * 1000)  # two powers of ten are too little
    found = scipy.linalg.cho_solve(factor, np.ones(2))
    np.testing.assert_allclose(found, 1.0 / (np.diag(gram) + ridge))


def test_nothing_seen_is_no_reason_to_fail():
    factor, ridge = factorised(np.zeros((2, 2)), 1e-3)
    assert ridge > 0
    np.testing.assert_array_equal(scipy.linalg.cho_solve(factor, np.zeros(2)), 0.0)


@pytest.mark.parametrize("share", [0.0, -1.0, np.nan])
def test_a_share_must_be_positive(share):
    with pytest.raises(ValueError, match="`share` must be positive"):
        factorised(np.eye(2), share)
