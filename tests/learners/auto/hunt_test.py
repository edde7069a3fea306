"""Which size is tried next, against made-up networks whose drop is known at every size."""

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from learners.auto.hunt import NEAR, Tried, next_size

LEAST, MOST = 10.0, 1000.0


def hunted(drop, max_drop, first=400.0, rounds=40):
    tried = []
    for _ in range(rounds):
        size = next_size(tried, max_drop, first=first, least=LEAST, most=MOST)
        if size is None:
            break
        assert LEAST <= size <= MOST
        tried.append(Tried(size=size, drop=drop(size)))
    return tried


@given(st.floats(LEAST, MOST), st.floats(LEAST, MOST))
@settings(max_examples=50, deadline=None)
def test_the_edge_is_found(edge, first):
    tried = hunted(lambda size: 2.0 if size < edge else 0.5, 1.0, first=first)
    inside = min((each.size for each in tried if each.drop <= 1.0), default=None)
    assert len(tried) < 40
    assert inside is not None
    assert inside >= edge
    assert inside / edge <= NEAR * 1.001 or inside <= LEAST * NEAR


def test_where_nothing_is_good_enough_the_largest_is_tried_last():
    tried = hunted(lambda size: 5.0, 1.0)
    assert tried[-1].size == pytest.approx(MOST, rel=NEAR - 1)


def test_where_all_is_good_enough_the_smallest_is_tried_last():
    tried = hunted(lambda size: 0.0, 1.0)
    assert tried[-1].size == pytest.approx(LEAST, rel=NEAR - 1)


def test_a_size_that_lost_less_by_chance_does_not_hide_a_smaller_one():
    tried = [Tried(size=100.0, drop=0.5), Tried(size=200.0, drop=1.5)]
    assert next_size(tried, 1.0, first=400.0, least=LEAST, most=MOST) < 100.0


def test_the_first_is_where_it_is_said():
    assert next_size([], 1.0, first=400.0, least=LEAST, most=300.0) == 300.0
