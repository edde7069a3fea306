import numpy as np
import pytest

from learners.channels.blocks import best_channels, with_blocks
from tests.learners import networks
from utils.graph import channel_groups, from_keras

SCORES = np.arange(8.0)


@pytest.fixture(scope="module")
def group():
    (found, *_) = (g for g in channel_groups(from_keras(networks.vgg())) if g.size == 8)
    blocks = (np.array([0, 1]), np.array([2, 3, 4, 5, 6, 7]))
    return type(found)(**{**vars(found), "blocks": blocks})


def test_swap_for_a_block_without_channels(group):
    np.testing.assert_array_equal(np.flatnonzero(best_channels(SCORES, 3, group)), [1, 6, 7])
    np.testing.assert_array_equal(np.flatnonzero(best_channels(SCORES, 7, group)), np.arange(1, 8))


def test_more_blocks_than_channels(group):
    np.testing.assert_array_equal(np.flatnonzero(best_channels(SCORES, 1, group)), [1, 7])


def test_where_a_rule_chose_nobody_goes_for_a_block(group):
    mask = SCORES >= 5
    np.testing.assert_array_equal(np.flatnonzero(with_blocks(mask, SCORES, group)), [1, 5, 6, 7])
    nothing = np.zeros(8, bool)
    np.testing.assert_array_equal(np.flatnonzero(with_blocks(nothing, SCORES, group)), [1, 7])
    assert not nothing.any()
