import math

import numpy as np
import pytest

from rl_agents.ddpg.noise import adapted_std, decayed_std, perturbed, truncated_normal


def test_time_decay_is_geometric_between_its_ends():
    sizes = [decayed_std(i, 2, 6, 1.0, 1e-4) for i in range(9)]
    expected = [1.0, 1.0, 1.0, 0.1, 0.01, 1e-3, 1e-4, 1e-4, 1e-4]
    np.testing.assert_allclose(sizes, expected, rtol=1e-12)


def test_time_decay_over_no_time_at_all():
    assert decayed_std(0, 1, 0, 1.0, 0.5) == 0.5


@pytest.mark.parametrize(
    ("distance", "expected"), [(0.2, 0.5 / 1.03), (0.05, 0.5 * 1.03), (0.1, 0.5 * 1.03)]
)
def test_adaptation_shrinks_only_above_the_wanted_distance(distance, expected):
    assert adapted_std(0.5, distance, wanted=0.1, rate=1.03) == expected


@pytest.mark.parametrize("mean", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("std", [1e-5, 0.02, 0.5, 50.0])
def test_truncated_normal_stays_inside(mean, std):
    generator = np.random.default_rng(0)
    draws = np.array([truncated_normal(mean, std, generator) for _ in range(500)])
    assert draws.min() >= 0.0
    assert draws.max() <= 1.0
    assert np.abs(draws - mean).max() <= max(1.0, 8.0 * std)


def test_truncated_normal_has_the_right_moments():
    # Mean of N(0, s) cut to [0, 1]: s (phi(0) - phi(1/s)) / (Phi(1/s) - Phi(0)).
    std = 0.5
    density = [math.exp(-(x**2) / 2.0) / math.sqrt(2.0 * math.pi) for x in (0.0, 1.0 / std)]
    mass = 0.5 * math.erf(1.0 / std / math.sqrt(2.0))
    generator = np.random.default_rng(1)
    draws = [truncated_normal(0.0, std, generator) for _ in range(20_000)]
    assert np.mean(draws) == pytest.approx(std * (density[0] - density[1]) / mass, abs=0.005)


def test_large_noise_is_uniform():
    generator = np.random.default_rng(2)
    draws = [truncated_normal(0.2, 100.0, generator) for _ in range(20_000)]
    shares = np.histogram(draws, bins=10, range=(0.0, 1.0))[0] / len(draws)
    np.testing.assert_allclose(shares, 0.1, atol=0.01)


def test_parameter_noise_has_its_size_and_place():
    parameters = np.arange(10_000, dtype=np.float32)
    mask = np.arange(10_000) % 2 == 0
    noise = perturbed(parameters, mask, 0.25, np.random.default_rng(3)) - parameters
    np.testing.assert_array_equal(noise[~mask], 0.0)
    assert noise[mask].std() == pytest.approx(0.25, rel=0.05)
    assert noise.dtype == np.float32
