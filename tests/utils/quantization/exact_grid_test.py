import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils.quantization.exact_grid import MAX_LEVEL, exact_step

LEVELS = st.lists(
    st.integers(-MAX_LEVEL, MAX_LEVEL).filter(bool), min_size=1, max_size=40, unique=True
)
STEPS = st.floats(1e-6, 1e6)


@given(LEVELS, STEPS, st.booleans())
def test_finds_a_step_of_numbers_on_a_grid(levels, step, single):
    """The coarsest: the levels' common divisor goes into the step."""
    step = float(np.float32(step)) if single else step
    levels = np.array(levels)
    values = (step * levels).astype(np.float32)
    found, coarse = exact_step(values)
    np.testing.assert_array_equal((found * coarse).astype(np.float32), values)
    np.testing.assert_array_equal(coarse * np.gcd.reduce(levels), levels)


@given(LEVELS, STEPS)
def test_finds_a_step_of_single_precision(levels, step):
    """Where the coarsest has double precision, a finer one: at worst that of the numbers."""
    values = np.float32(step) * np.array(levels, np.float32)
    found, fine = exact_step(values, single=True)
    assert found == np.float32(found) and np.abs(fine).max() <= np.abs(levels).max()
    np.testing.assert_array_equal(np.float32(found) * fine.astype(np.float32), values)


def test_doubles_are_not_taken_for_singles():
    """The coarsest step of 3 s and 33 s is 3 s, which is no float32 here."""
    values = np.float32(174763.03125) * np.array([3, 33], np.float32)
    assert exact_step(values)[1].tolist() == [1, 11]
    assert exact_step(values, single=True)[1].tolist() == [3, 33]


def test_finds_none_where_there_is_none():
    generator = np.random.default_rng(0)
    for size in (9, 30, 200):
        assert exact_step(generator.normal(size=size).astype(np.float32)) is None
    grid = np.float32(0.1) * np.arange(1, 20, dtype=np.float32)
    grid[3] = np.nextafter(np.nextafter(grid[3], np.float32(9)), np.float32(9))
    assert exact_step(grid) is None
    assert exact_step(np.array([1.0, 256.0], np.float32)) is None


@pytest.mark.parametrize("value", [1.0, -3e-39, 1e38, 5e-324 + 1.4e-45])
def test_one_number_is_its_own_step(value):
    (step, levels) = exact_step(np.array([value], np.float32))
    assert np.float32(step * levels[0]) == np.float32(value)


def test_nothing_lies_on_any_grid():
    assert exact_step(np.zeros(0, np.float32))[1].size == 0
