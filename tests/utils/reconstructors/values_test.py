import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils.reconstructors.values import Value, block_rows, channels_first, moves_nothing, plain


def test_a_value_knows_where_its_axes_are_stored():
    value = Value(handle=0, shape=(None, 5, 7, 3), dtype="float32", order=(0, 3, 1, 2))
    assert value.stored_shape == (None, 3, 5, 7)
    assert [value.place(axis) for axis in (0, 1, -1)] == [0, 2, 1]
    assert not value.is_plain


@pytest.mark.parametrize(("axis", "order"), [(-1, (0, 4, 1, 2, 3)), (1, (0, 1, 2, 3, 4))])
def test_channels_first(axis, order):
    assert channels_first(5, axis) == order


@given(st.permutations(range(3)), st.tuples(*[st.integers(1, 4)] * 3))
def test_rows_of_a_block_are_those_of_a_transposed_map(order, sizes):
    values = np.random.default_rng(0).normal(size=sizes)
    stored = values.transpose(order).ravel()
    assert np.array_equal(values.ravel()[block_rows((tuple(order), sizes))], stored)


@given(st.permutations(range(3)), st.tuples(*[st.integers(1, 3)] * 3))
def test_moving_axes_of_one_moves_nothing(perm, sizes):
    values = np.arange(np.prod(sizes)).reshape(sizes)
    same = np.array_equal(values.transpose(perm).ravel(), values.ravel())
    assert moves_nothing(sizes, perm) <= same
    assert plain(3) == (0, 1, 2)
