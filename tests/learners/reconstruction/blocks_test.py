"""Blocks: what goes together, by hand, and what is refused."""

import numpy as np
import pytest

from learners.reconstruction.blocks import Blocks
from learners.reconstruction.statistics import row_channels


def test_members_of_channels_lie_at_all_positions():
    blocks = Blocks.channels(row_channels(np.array([1, -1, 0]), 2), 3, 7)
    np.testing.assert_array_equal(blocks.members, [[2, 5], [0, 3], [-1, -1]])
    assert blocks.width == 7


def test_short_blocks_are_filled_up():
    blocks = Blocks(np.array([1, 0, 1, 1]), 2)
    np.testing.assert_array_equal(blocks.members, [[1, -1, -1], [0, 2, 3]])
    np.testing.assert_array_equal(Blocks(np.array([-1, -1]), 1).members, [[-1]])


def test_single_weights():
    np.testing.assert_array_equal(Blocks.single(3).members, [[0], [1], [2]])
    np.testing.assert_array_equal(Blocks.single(3).group_of, [0, 0, 0])


def test_which_blocks_are_single_and_how_many_may_go():
    assert (Blocks.single(3).are_single, Blocks.single(3).max_gone) == (True, 3)
    some = Blocks.n_of_m(12, 4, stay=1, of=4)
    assert (some.are_single, some.max_gone) == (True, 9)
    assert not Blocks.single(3).channels(np.arange(3), 3, 2).are_single
    assert not Blocks(np.array([1, 0]), 2).are_single
    assert not Blocks(np.array([0, -1]), 1).are_single


def test_n_of_m_never_reaches_across_positions():
    blocks = Blocks.n_of_m(12, 4, stay=1, of=2)
    assert (blocks.num_left, blocks.width) == (1, 1)
    position, channel = np.divmod(np.arange(12), 4)
    for group in range(6):
        rows = np.flatnonzero(blocks.group_of == group)
        assert len(set(position[rows])) == 1
        assert len(set(channel[rows] // 2)) == 1


def test_tiles():
    blocks = Blocks.tiles(8, 4, height=4, width=2)
    np.testing.assert_array_equal(blocks.members, [[0, 1, 2, 3], [4, 5, 6, 7]])
    assert blocks.width == 2


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Blocks(np.arange(3), 2), r"`rows` must be in \[-1, 2\). Received: 0 to 2"),
        (lambda: Blocks(np.array([-2, 0]), 1), r"`rows` must be in \[-1, 1\)"),
        (lambda: Blocks(np.arange(2), 2, width=0), "`width` must be at least 1"),
        (lambda: Blocks(np.arange(2), 2, num_left=-1), "`num_left` at least 0"),
        (lambda: Blocks(np.arange(2), 2, groups=np.zeros(3, int)), "`groups` must be int"),
        (lambda: Blocks(np.arange(2), 2, groups=np.array([0, -1])), "`groups` must be int"),
        (lambda: Blocks.n_of_m(8, 4, stay=5, of=4), r"`stay` must be in \[1, of=4\]. Received: 5"),
        (lambda: Blocks.n_of_m(8, 4, stay=0, of=4), r"`stay` must be in \[1, of=4\]. Received: 0"),
        (lambda: Blocks.n_of_m(18, 6, stay=2, of=4), "must divide their number, 6. Received: 4"),
        (lambda: Blocks.n_of_m(8, 3, stay=2, of=3), "must divide the number of rows, 8"),
        (lambda: Blocks.tiles(8, 4, height=3, width=1), "must divide their number, 4. Received: 3"),
        (lambda: Blocks.tiles(8, 4, height=0, width=1), "must divide their number, 4. Received: 0"),
    ],
)
def test_what_does_not_fit_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
