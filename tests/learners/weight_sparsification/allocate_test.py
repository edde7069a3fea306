import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learners.weight_sparsification.allocate import (
    PROTOCOLS,
    by_rank,
    heurist,
    total_left,
    uniform,
)

SIZES = st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 5000), min_size=1)


@pytest.mark.parametrize("name", PROTOCOLS)
@given(sizes=SIZES, ratio=st.floats(0.0, 0.999))
def test_the_total_is_met_exactly(name, sizes, ratio):
    left = total_left(sizes, ratio)
    counts = PROTOCOLS[name](sizes, left)
    assert sum(counts.values()) == left
    assert list(counts) == list(sizes)
    assert all(1 <= counts[layer] <= size for layer, size in sizes.items())


def test_uniform_is_the_same_ratio_but_for_rounding():
    counts = uniform({"a": 1000, "b": 250, "c": 2000}, 325)
    assert counts == {"a": 100, "b": 25, "c": 200}


def test_heurist_grows_with_the_logarithm():
    sizes = {"a": 100, "b": 1000, "c": 10000}
    counts = heurist(sizes, 5550)
    ratios = {name: 1 - counts[name] / size for name, size in sizes.items()}
    alpha = ratios["c"] / math.log(10000)
    assert ratios["b"] == pytest.approx(alpha * math.log(1000), abs=1e-3)
    assert ratios["a"] == pytest.approx(alpha * math.log(100), abs=1e-2)


def test_where_a_large_layer_cannot_give_more_the_others_do():
    sizes = {"small": 50, "large": 10000}
    counts = heurist(sizes, 20)
    assert counts["large"] >= 1 and sum(counts.values()) == 20


@pytest.mark.parametrize("ratio", [-0.1, 1.0, 1.5])
def test_ratios_outside_are_refused(ratio):
    with pytest.raises(ValueError, match=r"`ratio` must be in \[0, 1\)"):
        total_left({"a": 10}, ratio)


def test_totals_out_of_reach_are_refused():
    with pytest.raises(ValueError, match=r"`num_left` must be in \[2, 20\]"):
        uniform({"a": 10, "b": 10}, 1)


@given(seed=st.integers(0, 1000), left=st.integers(3, 30))
def test_ranking_takes_the_best_of_all_layers(seed, left):
    rng = np.random.default_rng(seed)
    scores = {name: rng.permutation(10).astype(float) + rng.random() for name in "abc"}
    counts = by_rank(scores, left)
    assert sum(counts.values()) == left
    # By hand: the best of each layer, then all others in the order of their scores.
    best = {name: 1 for name in scores}
    others = [(v, n) for n, values in scores.items() for v in sorted(values)[:-1]]
    for _, name in sorted(others, reverse=True)[: left - 3]:
        best[name] += 1
    assert counts == best
