import math

import numpy as np
import pytest

from utils.quantization.slicing import Slicing, slicings

CASES = [
    ((3, 4), Slicing()),
    ((3, 4), Slicing(axes=(0,))),
    ((3, 4), Slicing(axes=(0, 1))),
    ((2, 3, 4), Slicing(axes=(0, 2))),
    ((2, 3, 4), Slicing(axes=(1,))),
    ((2, 3, 4), Slicing(bucket=5)),
    ((2, 3, 4), Slicing(bucket=100)),
]


def by_loop(shape, slicing):
    """Slice of each entry, counted out: a new one where the kept indices are new."""
    if slicing.bucket:
        return [place // slicing.bucket for place in range(math.prod(shape))]
    known = sorted({tuple(i[a] for a in slicing.axes) for i in np.ndindex(*shape)})
    return [known.index(tuple(i[a] for a in slicing.axes)) for i in np.ndindex(*shape)]


@pytest.mark.parametrize(("shape", "slicing"), CASES)
def test_numbers_rows_and_positions_agree_with_counting(shape, slicing):
    expected = np.array(by_loop(shape, slicing))
    array = np.random.default_rng(0).normal(size=shape)
    np.testing.assert_array_equal(slicing.numbers(shape), expected)
    assert slicing.count(shape) == expected.max() + 1
    rows, positions = list(slicing.rows(array)), slicing.positions(shape)
    assert len(rows) == len(positions) == slicing.count(shape)
    for number, (row, places) in enumerate(zip(rows, positions, strict=True)):
        np.testing.assert_array_equal(np.flatnonzero(expected == number), places)
        np.testing.assert_array_equal(np.sort(array.ravel()[places]), np.sort(row))
    some = np.array([5, 0, 7])
    np.testing.assert_array_equal(slicing.numbers(shape, some), expected[some])


def test_lists_what_quantizers_use_and_nothing_idle():
    found = list(slicings((3, 3, 8, 4)))
    axes = [slicing.axes for slicing in found if not slicing.bucket]
    assert axes == [(), (0,), (1,), (2,), (3,), (2, 3)]
    assert [slicing.bucket for slicing in found if slicing.bucket] == [256, 128, 64, 32, 16]
    assert list(slicings((1, 1))) == []
    assert [slicing.axes for slicing in slicings((1, 9))] == [()]
