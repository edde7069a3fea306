import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from learners.filters.criteria import Filters
from learners.filters.redundancy import failure_rate, is_redundant, sparsity


@given(st.integers(0, 1000), st.integers(2, 6), st.integers(1, 9))
def test_share_of_small_weights_by_loops(seed, size, width):
    rng = np.random.default_rng(seed)
    parts = [
        Filters(rng.permutation(size), rng.normal(size=(size, width)) * (rng.random() + 0.1)),
        Filters(np.append(np.arange(size), -1), rng.normal(size=(size + 1, 3))),
    ]
    wanted = []
    for channel in range(size):
        small = number = 0
        for part in parts:
            mean = np.mean([abs(weight) for row in part.weights for weight in row])
            for weight in part.weights[part.channels.tolist().index(channel)]:
                small += abs(weight) < mean
                number += 1
        wanted.append(small / number)
    np.testing.assert_allclose(sparsity(parts, size), wanted)


def test_zero_filters_are_redundant_also_among_themselves():
    np.testing.assert_array_equal(sparsity([Filters(np.arange(2), np.zeros((2, 5)))], 2), 1.0)
    mixed = np.vstack([np.zeros((1, 4)), np.ones((1, 4))])
    np.testing.assert_array_equal(sparsity([Filters(np.arange(2), mixed)], 2), [1.0, 0.0])


def test_zeros_make_the_others_less_redundant():
    weights = np.random.default_rng(0).normal(size=(20, 100))
    before = sparsity([Filters(np.arange(20), weights)], 20)
    weights[:10] = 0.0
    after = sparsity([Filters(np.arange(20), weights)], 20)
    assert (after[10:] < before[10:]).all()


def test_the_threshold_itself_is_not_redundant():
    np.testing.assert_array_equal(is_redundant(np.array([0.8, 0.81, 0.2]), 0.8), [0, 1, 0])


def test_failures():
    meant = [np.array([True, True, False]), np.array([True, True])]
    now = [np.array([True, False, True]), np.array([True, True])]
    assert failure_rate(meant, now) == 0.25
    assert failure_rate([np.zeros(3, bool)], [np.ones(3, bool)]) == 0.0
