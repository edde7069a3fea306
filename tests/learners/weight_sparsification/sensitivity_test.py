import itertools

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learners.kernels.layers import kernel_layers
from learners.kernels.tables import Moments
from learners.reconstruction.sampling import Sampler
from learners.sparsity.masks import ELEMENT
from learners.weight_sparsification.sensitivity import error_tables, shared_out, shares
from learners.weight_sparsification.versions import SparseVersions
from utils.graph import from_keras


@st.composite
def tables(draw):
    """Tables of convex errors over all counts, so that every share is a corner."""
    found = {}
    for name in "abc"[: draw(st.integers(1, 3))]:
        drops = draw(st.lists(st.integers(0, 50), min_size=1, max_size=6))
        errors = np.cumsum([0, *sorted(drops)])[::-1]
        found[name] = {count + 1: float(error) for count, error in enumerate(errors)}
    return found


@given(tables(), st.data())
def test_no_other_shares_have_a_smaller_error(given_tables, data):
    most = sum(map(max, given_tables.values()))
    left = data.draw(st.integers(len(given_tables), most))
    counts = shared_out(given_tables, left)
    assert sum(counts.values()) == left
    best = min(
        sum(table[count] for table, count in zip(given_tables.values(), chosen, strict=True))
        for chosen in itertools.product(*given_tables.values())
        if sum(chosen) == left
    )
    assert sum(given_tables[name][count] for name, count in counts.items()) == pytest.approx(best)


@given(
    st.dictionaries(
        st.sampled_from("abcd"),
        st.dictionaries(st.integers(1, 100), st.floats(0, 1e6), min_size=1, max_size=8),
        min_size=1,
    ),
    st.data(),
)
def test_the_total_is_met_whatever_the_tables(given_tables, data):
    left = data.draw(st.integers(len(given_tables), sum(map(max, given_tables.values()))))
    counts = shared_out(given_tables, left)
    assert sum(counts.values()) == left
    assert all(1 <= counts[name] <= max(table) for name, table in given_tables.items())


def test_layers_without_a_table_get_the_ratio_and_tiles_stay_whole():
    counts = shares({"b": {4: 9.0, 40: 0.0}}, {"a": 20, "b": 40, "c": 20}, left=40, unit=4)
    assert counts == {"a": 12, "b": 20, "c": 8}  # half of 5, 10 and 5 tiles
    assert list(counts) == ["a", "b", "c"]
    assert all(count % 4 == 0 for count in counts.values())
    assert sum(counts.values()) == 40


def test_tables_say_what_the_outputs_lose():
    """The last layer's error is the outputs' own: r without its mean leaves 1 - 1 / O of it."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6, 6, 3))
    x = keras.layers.Conv2D(5, 3, activation="relu", name="conv")(inputs)
    x = keras.layers.Flatten(name="flatten")(x)
    graph = from_keras(keras.Model(inputs, keras.layers.Dense(4, name="head")(x)))
    images = np.random.default_rng(0).normal(size=(400, 6, 6, 3)).astype(np.float32)
    sampler = Sampler([images], num_images=400, num_positions=8, seed=0)
    layers = kernel_layers(graph)
    tables = error_tables(graph, layers, sampler, SparseVersions(ELEMENT, 0.5))
    assert set(tables) == {"conv", "head"}
    head = next(layer for layer in layers if layer.name == "head")
    rows = keras.Model(inputs, x)(images).numpy()
    for count in list(tables["head"])[::7]:
        (kernel,) = [
            version
            for number, version in SparseVersions(ELEMENT, 0.5).versions(
                head, head.matrix(graph.params), moments_of(rows, head.matrix(graph.params))
            )
            if number == count
        ]
        change = (rows - rows.mean(axis=0)) @ (kernel - head.matrix(graph.params))
        lost = np.mean(np.sum(change**2, axis=1)) * (1 - 1 / 4)
        assert tables["head"][count] == pytest.approx(lost, rel=0.35, abs=1e-4)


def moments_of(rows, kernel):
    """Second moments about the mean, all outputs alike."""
    centred = rows.astype(np.float64) - rows.mean(axis=0)
    gram = centred.T @ centred
    return Moments(gram, gram @ kernel, np.ones(kernel.shape[1]), 1.0)
