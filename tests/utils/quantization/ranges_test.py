"""Ranges by squared error, against a fine search over scales and zero points."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from utils.quantization.grid import Grid, Scaling, calibrate, rounded, scale
from utils.quantization.ranges import least_squares


def _error(values: np.ndarray, found: Scaling, grid: Grid, weights: np.ndarray) -> float:
    points = rounded(values, found.scale[0], float(found.zero_point[0]), grid)
    return float(np.sum(weights * (values - points) ** 2))


@pytest.mark.parametrize("kind", ["affine", "symmetric", "unsigned"])
@pytest.mark.parametrize("bits", [2, 3, 4])
def test_no_other_grid_is_much_better(kind: str, bits: int) -> None:
    rng = np.random.default_rng(bits)
    values, weights = rng.normal(0.2, size=300), rng.uniform(0.1, 2.0, 300)
    grid = Grid(bits=bits, kind=kind)  # type: ignore[arg-type]
    ids = np.zeros(300, int)
    found = least_squares(values, ids, 1, grid, weights=weights)
    whole = scale(calibrate(values, ids, 1), grid)
    best = min(
        _error(values, Scaling(np.array([s]), np.array([z], np.int32)), grid, weights)
        for s in np.linspace(0.05, 1.2, 600) * float(whole.scale[0])
        for z in grid.zero_points
    )
    assert _error(values, found, grid, weights) <= 1.02 * best


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 5))
def test_never_worse_than_the_whole_range(seed: int, bits: int) -> None:
    rng = np.random.default_rng(seed)
    values, ids = rng.standard_t(3, size=(20, 3)), np.tile(np.arange(3), (20, 1))
    grid = Grid(bits=bits)
    found = least_squares(values, ids, 3, grid)
    whole = scale(calibrate(values, ids, 3), grid)
    for group in range(3):
        errors = [
            _error(
                values[:, group],
                Scaling(each.scale[group : group + 1], each.zero_point[group : group + 1]),
                grid,
                np.ones(20),
            )
            for each in (found, whole)
        ]
        assert errors[0] <= errors[1] * (1 + 1e-9)


def test_a_group_that_does_not_count_goes_by_its_values() -> None:
    values = np.array([[1.0], [-0.3], [0.4]])
    ids = np.zeros((3, 1), int)
    grid = Grid(bits=3)
    without = least_squares(values, ids, 1, grid)
    idle = least_squares(values, ids, 1, grid, weights=np.zeros((3, 1)))
    np.testing.assert_array_equal(without.scale, idle.scale)
