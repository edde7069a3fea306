"""The dynamic programme against trying everything."""

import itertools

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from learners.auto.programme import Term, least_sum, total


@st.composite
def problems(draw):
    sizes = {name: draw(st.integers(1, 4)) for name in "abcde"[: draw(st.integers(1, 5))]}
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    terms = []
    for _ in range(draw(st.integers(0, 6))):
        count = min(draw(st.integers(1, 3)), len(sizes))
        names = tuple(rng.permutation(list(sizes))[:count].tolist())
        terms.append(Term(names, rng.integers(0, 20, [sizes[n] for n in names]).astype(float)))
    return terms, sizes


@given(problems())
@settings(max_examples=60, deadline=None)
def test_the_least_of_all(problem):
    terms, sizes = problem
    everything = (
        dict(zip(sizes, values, strict=True))
        for values in itertools.product(*(range(size) for size in sizes.values()))
    )
    least = min(total(terms, values) for values in everything)
    found = least_sum(terms, sizes)
    assert list(found) == list(sizes)
    assert total(terms, found) == least


def test_a_long_chain_is_exact(rng):
    names = [f"n{i}" for i in range(12)]
    terms = [Term((a, b), rng.random((5, 5))) for a, b in itertools.pairwise(names)]
    best = np.zeros(5)  # Viterbi, from the end
    for term in reversed(terms):
        best = (term.table + best).min(axis=1)
    found = least_sum(terms, dict.fromkeys(names, 5))
    assert total(terms, found) == pytest.approx(best.min())


def test_without_room_for_tables_no_single_change_helps(rng):
    names = "abcd"
    terms = [Term(pair, rng.random((4, 4))) for pair in itertools.combinations(names, 2)]
    found = least_sum(terms, dict.fromkeys(names, 4), max_cells=1)
    now = total(terms, found)
    for name, value in itertools.product(names, range(4)):
        assert total(terms, found | {name: value}) >= now - 1e-12


def test_of_equal_ones_the_last():
    assert least_sum([Term(("a",), np.zeros(3))], {"a": 3, "b": 2}) == {"a": 2, "b": 1}


def test_a_table_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"must be \(2,\)"):
        least_sum([Term(("a",), np.zeros(3))], {"a": 2})
