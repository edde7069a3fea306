"""Connected components against a search of our own; what a builder makes of what it was told."""

import numpy as np
import pytest

from utils.graph.groups import GroupBuilder, components
from utils.graph.row import FIXED


def reachable(start, edges):
    found, waiting = {start}, [start]
    while waiting:
        here = waiting.pop()
        for a, b in edges:
            for one, other in ((a, b), (b, a)):
                if one == here and other not in found:
                    found.add(other)
                    waiting.append(other)
    return found


@pytest.mark.parametrize("seed", range(5))
def test_components_are_what_can_be_reached(seed):
    rng = np.random.default_rng(seed)
    first, second = rng.integers(0, 20, (2, 12))
    labels = components(first, second, 20)
    edges = list(zip(first.tolist(), second.tolist(), strict=True))
    for vertex in range(20):
        assert set(np.flatnonzero(labels == labels[vertex])) == reachable(vertex, edges)


def test_no_vertices():
    assert components(np.empty(0, int), np.empty(0, int), 0).size == 0


def builder(reasons=("", "frozen")):
    # Elements 0 to 3 are channels 0 to 3 of group 0, elements 4 and 5 those of group 1.
    group_of, channel_of = np.array([0, 0, 0, 0, 1, 1]), np.array([0, 1, 2, 3, 0, 1])
    return GroupBuilder(list(reasons), group_of, channel_of)


def test_readers_know_where_their_inputs_come_from():
    made = builder()
    made.add_reader("conv", np.array([1, FIXED, 4, 3]))
    group, other = (
        made.build(n, [(f"p{n}", ids)]) for n, ids in ((0, np.arange(4)), (1, np.array([4, 5])))
    )
    np.testing.assert_array_equal(group.readers[0].channels, [1, -1, -1, 3])
    np.testing.assert_array_equal(other.readers[0].channels, [-1, -1, 0, -1])


def test_tensors_of_one_group_must_not_become_empty():
    made = builder()
    made.add_tensor(np.array([0, 1]))
    made.add_tensor(np.array([2, 4]))  # of two groups: one may go whole
    made.add_tensor(np.array([3, FIXED]))  # something is left whatever goes
    blocks = made.build(0, [("p", np.arange(4))]).blocks
    assert [block.tolist() for block in blocks] == [[0, 1]]


def test_streams_have_several_producers():
    made = builder()
    made.add_stream(np.array([0, 1]))
    assert not made.build(0, [("p", np.arange(4))]).is_stream
    assert made.build(0, [("p", np.arange(4)), ("q", np.arange(4))]).is_stream


def test_reasons():
    frozen = builder().build(1, [("p", np.array([4, 5]))])
    assert (frozen.prunable, frozen.reason) == (False, "frozen")
    single = GroupBuilder([""], np.array([0]), np.array([0])).build(0, [("p", np.array([0]))])
    assert (single.prunable, single.reason) == (False, "it is a single channel")
