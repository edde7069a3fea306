"""Multipliers in fixed point."""

import numpy as np
import pytest

from utils.quantization.fixed_point import multiplier, rounded_shift, scaled, scaled_once


def test_fixed_point_is_within_half_a_step_of_the_real_product() -> None:
    rng = np.random.default_rng(0)
    values = rng.integers(-(2**20), 2**20, 4000)
    real = np.exp(rng.uniform(np.log(1e-6), np.log(8.0), 4000))
    error = scaled(values, multiplier(real)) - values * real
    assert np.max(np.abs(error)) <= 1.0  # half a step of each of the two roundings


def test_halves_go_away_from_zero() -> None:
    assert rounded_shift(np.array([6, -6, 2, -2, 1, -1]), 2).tolist() == [2, -2, 1, -1, 0, 0]


@pytest.mark.parametrize("wrong", [-0.5, float("nan"), float("inf")])
def test_multipliers_must_be_finite_and_positive(wrong: float) -> None:
    with pytest.raises(ValueError, match="finite and at least 0"):
        multiplier(wrong)


def test_a_single_rounding_is_the_nearest() -> None:
    rng = np.random.default_rng(1)
    values = rng.integers(-(2**20), 2**20, 4000)
    real = multiplier(np.exp(rng.uniform(np.log(1e-5), np.log(0.5), 4000)))
    error = scaled_once(values, real) - values * real.real
    assert np.max(np.abs(error)) <= 0.5 + 1e-9
