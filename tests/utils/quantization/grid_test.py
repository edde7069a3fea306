"""Grids: the invariants of the module, as properties; ends and zero points, by hand."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from utils.quantization.grid import (
    Grid,
    Scaling,
    calibrate,
    dequantize,
    encode,
    quantize,
    rounded,
    scale,
)
from utils.quantization.groups import Grouping

_VALUES = hnp.arrays(
    np.float64,
    hnp.array_shapes(min_dims=1, max_dims=3, max_side=6),
    elements=st.floats(-1e3, 1e3, allow_subnormal=False).map(lambda v: round(v, 6)),
)
_GRIDS = st.one_of(
    st.builds(Grid, bits=st.integers(1, 16), kind=st.sampled_from(["affine", "unsigned"])),
    st.builds(Grid, bits=st.integers(1, 16), kind=st.just("symmetric")),
    st.builds(Grid, bits=st.integers(2, 16), kind=st.just("symmetric"), narrow=st.just(True)),
)
_GROUPINGS = st.sampled_from([Grouping("tensor"), Grouping("channel"), Grouping("split", size=4)])


def _fitted(values: np.ndarray, grid: Grid, grouping: Grouping) -> tuple[Any, np.ndarray]:
    ids = grouping.ids(values.shape)
    return scale(calibrate(values, ids, grouping.num_groups(values.shape)), grid), ids


@settings(max_examples=100, deadline=None)
@given(_VALUES, _GRIDS, _GROUPINGS)
def test_invariants(values: np.ndarray, grid: Grid, grouping: Grouping) -> None:
    found, ids = _fitted(values, grid, grouping)
    scales, zeros = found.scale[ids], found.zero_point[ids].astype(float)
    indices = quantize(values, scales, zeros, grid)
    points = dequantize(indices, scales, zeros)
    assert np.array_equal(indices, np.round(indices))
    assert (indices >= grid.lowest).all()
    assert (indices <= grid.highest).all()
    # idempotent, and zero exact
    np.testing.assert_array_equal(rounded(points, scales, zeros, grid), points)
    np.testing.assert_array_equal(rounded(0.0 * values, scales, zeros, grid), 0.0)
    # at most half a step off inside, the nearer end beyond
    least, most = ((end - zeros) * scales for end in (grid.lowest, grid.highest))
    inside = (values >= least) & (values <= most)
    slack = 1e-9 * (1 + np.abs(values))
    assert (np.abs(points - values) <= scales / 2 + slack)[inside].all()
    np.testing.assert_array_equal(points[values > most], most[values > most])
    np.testing.assert_array_equal(points[values < least], least[values < least])


@settings(max_examples=100, deadline=None)
@given(_VALUES, st.integers(2, 16), _GROUPINGS)
def test_the_whole_range_is_reached(values: np.ndarray, bits: int, grouping: Grouping) -> None:
    for kind in ("affine", "symmetric"):
        grid = Grid(bits=bits, kind=kind)  # type: ignore[arg-type]
        found, ids = _fitted(values, grid, grouping)
        scales, zeros = found.scale[ids], found.zero_point[ids]
        assert (values <= scales * (grid.highest - zeros) * (1 + 1e-9)).all()
        assert (values >= scales * (grid.lowest - zeros) * (1 + 1e-9)).all()


def test_an_affine_range_has_the_finer_of_two_zero_points() -> None:
    ids = np.zeros(2, int)
    found = scale(calibrate(np.array([-0.9, 2.0]), ids, 1), Grid(bits=2))
    # z = 0.93 steps of 3: z = 1 needs max(0.9, 1.0), z = 0 reaches nothing below
    assert (found.zero_point[0], found.scale[0]) == (1, pytest.approx(1.0))
    assert scale(calibrate(np.array([0.0, 3.0]), ids, 1), Grid(bits=2)).zero_point[0] == 0
    assert scale(calibrate(np.array([-3.0, 0.0]), ids, 1), Grid(bits=2)).zero_point[0] == 3


def test_one_step_goes_to_the_larger_side() -> None:
    found = scale(calibrate(np.array([-3.0, 2.0]), np.zeros(2, int), 1), Grid(bits=1))
    assert (found.zero_point[0], found.scale[0]) == (1, 3.0)


def test_kinds_have_the_steps_of_the_table() -> None:
    steps = {
        ("symmetric", False): (-4, 3),
        ("symmetric", True): (-3, 3),
        ("unsigned", False): (0, 7),
    }
    for (kind, narrow), ends in steps.items():
        grid = Grid(bits=3, kind=kind, narrow=narrow)  # type: ignore[arg-type]
        zero = grid.zero_points[0]
        assert (grid.lowest - zero, grid.highest - zero) == ends
    assert Grid(bits=3).zero_points.tolist() == list(range(8))


def test_a_group_of_zeros_has_a_grid() -> None:
    found = scale(calibrate(np.zeros((2, 2)), np.zeros((2, 2), int), 1), Grid(bits=4))
    assert found.scale[0] > 0


def test_numpy_and_keras_round_alike() -> None:
    values = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    values[:8, 0] = np.arange(-4, 4) * 0.25 + 0.125  # halves of steps
    grid, scales, zeros = Grid(bits=3), np.float32(0.25), np.float32(3.0)
    ours = rounded(values, scales, zeros, grid)
    theirs = rounded(keras.ops.convert_to_tensor(values), scales, zeros, grid, keras.ops)
    np.testing.assert_array_equal(ours, np.asarray(theirs))


@settings(max_examples=100, deadline=None)
@given(_VALUES, _GRIDS, _GROUPINGS)
def test_what_is_stored_gives_the_float32_points(
    values: np.ndarray, grid: Grid, grouping: Grouping
) -> None:
    found, ids = _fitted(values, grid, grouping)
    stored = encode(values, found, grid, grouping)
    points = stored.dequantized()
    assert points.dtype == np.float32
    wanted = rounded(values, found.scale[ids].astype(np.float32), found.zero_point[ids], grid)
    np.testing.assert_allclose(points, wanted, rtol=1e-6)
    again = encode(points, found, grid, grouping)
    np.testing.assert_array_equal(again.indices, stored.indices)
    np.testing.assert_array_equal(again.dequantized(), points)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_no_numbers_are_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="must be finite"):
        calibrate(np.array([0.0, bad]), np.zeros(2, int), 1)


def test_refusals() -> None:
    for bits in (0, 17):
        with pytest.raises(ValueError, match=rf"in \[1, 16\]. Received: {bits}"):
            Grid(bits=bits)
    with pytest.raises(ValueError, match=r"'symmetric', 'unsigned' or 'affine'. Received: 'other'"):
        Grid(bits=2, kind="other")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="`narrow` is of symmetric grids of 2 bits"):
        Grid(bits=1, kind="symmetric", narrow=True)
    with pytest.raises(ValueError, match="must have one shape"):
        calibrate(np.zeros(3), np.zeros(2, int), 1)
    with pytest.raises(ValueError, match="positive and finite"):
        Scaling(np.zeros(1), np.zeros(1, np.int32))
    with pytest.raises(ValueError, match="vectors of one length"):
        Scaling(np.ones(2), np.zeros(1, np.int32))
