"""Groups against plain loops over the weights."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from utils.quantization.groups import Grouping


@pytest.mark.parametrize("axes", [(-1,), (-2,), (-2, -1)])
def test_channels_are_told_apart_by_their_axes(axes: tuple[int, ...]) -> None:
    shape = (2, 3, 4, 5)
    ids = Grouping("channel", axes=axes).ids(shape)
    assert ids.shape == shape
    channels: dict[tuple[int, ...], int] = {}
    for place in itertools.product(*map(range, shape)):
        key = tuple(place[axis] for axis in axes)
        assert channels.setdefault(key, ids[place]) == ids[place]
    assert sorted(channels.values()) == list(
        range(Grouping("channel", axes=axes).num_groups(shape))
    )


def test_buckets_follow_memory_and_the_last_is_smaller() -> None:
    grouping = Grouping("split", size=7)
    ids = grouping.ids((3, 5))
    assert ids.ravel().tolist() == [0] * 7 + [1] * 7 + [2]
    assert grouping.num_groups((3, 5)) == 3


def test_a_tensor_is_one_group() -> None:
    assert Grouping("tensor").num_groups((3, 5)) == 1
    np.testing.assert_array_equal(Grouping("tensor").ids((3, 5)), np.zeros((3, 5)))


def test_refusals() -> None:
    with pytest.raises(ValueError, match="'tensor', 'channel' or 'split'"):
        Grouping("row")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="for 'split' only"):
        Grouping("split")
    with pytest.raises(ValueError, match="for 'split' only"):
        Grouping("tensor", size=4)
    with pytest.raises(ValueError, match="at least 1"):
        Grouping("split", size=0)
    with pytest.raises(ValueError, match="from the back"):
        Grouping("channel", axes=(0,))
