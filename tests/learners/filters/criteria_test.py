"""Criteria against loops over single filters."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learners.channels.criteria import backward_scores
from learners.filter_pruning.recipe import CRITERIA as NAMES
from learners.filters.carriers import carriers
from learners.filters.choice import all_groups
from learners.filters.criteria import (
    CRITERIA,
    Filters,
    GroupFilters,
    bn_gamma,
    geometric_median,
    group_filters,
    l1_norm,
    l2_norm,
    random_scores,
    taylor,
)
from tests.learners import networks
from utils.errors import InputError
from utils.graph import from_keras

RNG = np.random.default_rng(0)


def coupled(seed=0, size=5):
    """Two layers make a group; the second has its channels in another order and two of others."""
    rng = np.random.default_rng(seed)
    first = Filters(np.arange(size), rng.normal(size=(size, 9)), rng.normal(size=(3, size)))
    order = np.concatenate([rng.permutation(size), [-1, -1]])
    second = Filters(order, rng.normal(size=(size + 2, 4)), rng.normal(size=(3, size + 2)))
    scale = Filters(np.arange(size), rng.normal(size=(size, 1)))
    return GroupFilters("pair", size, (first, second), (scale,))


def by_loop(group, worth):
    """Sum `worth(part, index)` of every slice of every channel."""
    return np.array(
        [
            sum(
                worth(part, index)
                for part in group.filters
                for index in np.flatnonzero(part.channels == channel)
            )
            for channel in range(group.size)
        ]
    )


seeds = given(st.integers(0, 1000))


@seeds
def test_l1_norm(seed):
    group = coupled(seed)
    wanted = by_loop(group, lambda part, i: sum(abs(weight) for weight in part.weights[i]))
    np.testing.assert_allclose(l1_norm(group, RNG), wanted)


@seeds
def test_l2_norm(seed):
    group = coupled(seed)
    wanted = by_loop(group, lambda part, i: sum(weight**2 for weight in part.weights[i])) ** 0.5
    np.testing.assert_allclose(l2_norm(group, RNG), wanted)


@seeds
def test_geometric_median(seed):
    group = coupled(seed)

    def distances(part, i):
        others = np.flatnonzero(part.channels >= 0)
        return sum(np.linalg.norm(part.weights[i] - part.weights[j]) for j in others)

    np.testing.assert_allclose(geometric_median(group, RNG), by_loop(group, distances), atol=1e-6)


def test_equal_filters_are_at_no_distance():
    part = Filters(np.arange(3), np.full((3, 4), 1e3 / 3))
    np.testing.assert_array_equal(geometric_median(GroupFilters("g", 3, (part,)), RNG), 0.0)


@seeds
def test_taylor(seed):
    group = coupled(seed)
    batches = [by_loop(group, lambda part, i, b=b: part.products[b, i]) ** 2 for b in range(3)]
    np.testing.assert_allclose(taylor(group, RNG), np.mean(batches, axis=0))


def test_taylor_needs_gradients():
    with pytest.raises(ValueError, match=r"taylor needs the `products` of 'g'\. Received: None\."):
        taylor(GroupFilters("g", 2, (Filters(np.arange(2), np.ones((2, 3))),)), RNG)


def test_bn_gamma():
    group = coupled()
    np.testing.assert_allclose(bn_gamma(group, RNG), np.abs(group.scales[0].weights[:, 0]))
    bare = GroupFilters("conv9", 5, group.filters)
    with pytest.raises(InputError, match=r"bn_gamma .* behind 'conv9' there is none\. Choose"):
        bn_gamma(bare, RNG)


def test_random_is_a_function_of_the_generator():
    scores = [random_scores(coupled(), np.random.default_rng(seed)) for seed in (1, 1, 2)]
    np.testing.assert_array_equal(scores[0], scores[1])
    assert not np.array_equal(scores[0], scores[2])
    assert scores[0].shape == (5,)


def test_the_table():
    assert tuple(CRITERIA) == NAMES  # the flags know the names without TensorFlow
    assert {name for name, row in CRITERIA.items() if row.gradients} == {"taylor"}
    assert {name: row.walk for name, row in CRITERIA.items() if row.walk} == {
        "obs": backward_scores
    }
    assert all((row.score is None) == (row.walk is not None) for row in CRITERIA.values())


@pytest.mark.parametrize("name", [name for name, row in CRITERIA.items() if row.score])
def test_every_criterion_scores_every_channel(name):
    scores = CRITERIA[name].score(coupled(), np.random.default_rng(0))
    assert scores.shape == (5,)
    assert (scores >= 0).all()


def test_all_writers_of_a_stream_speak():
    """Of a residual network a channel's score is the sum over the layers that write it."""
    model = networks.residual()
    graph = from_keras(model)
    group = next(group for group in all_groups(graph) if group.name == "b2")
    filters = group_filters(group, carriers(graph, group), lambda la, w: graph.params[la][w])
    wanted = sum(
        np.abs(np.asarray(model.get_layer(name).kernel)).sum(axis=(0, 1, 2))
        for name in ("b2", "short")
    )
    np.testing.assert_allclose(l1_norm(filters, RNG), wanted, rtol=1e-6)
    gammas = sum(
        np.abs(np.asarray(model.get_layer(f"{name}_bn").gamma)) for name in ("b2", "short")
    )
    np.testing.assert_allclose(bn_gamma(filters, RNG), gammas, rtol=1e-6)
