"""Rows of layers: shapes and costs of both networks, bits and zeros of both, learners' facts."""

import types

import keras
import numpy as np
import pytest
from keras import layers

from pipeline.layer_rows import layer_rows, mean_bits
from utils.graph import complexity, from_keras, shrink


def network():
    inputs = keras.Input((6, 6, 1))
    x = layers.Conv2D(4, 3, name="first")(inputs)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.ReLU(name="act")(x)
    x = layers.Conv2D(2, 3, name="second")(x)
    return keras.Model(inputs, layers.Dense(3, name="head")(layers.Flatten()(x)))


@pytest.fixture(scope="module")
def pair():
    """Graphs of a small network before and after one of two channels of `first` is cut."""
    before = from_keras(network())
    return before, shrink(before, {"first": np.array([True, False, True, False])})


def test_rows_of_layers(pair):
    counts = [complexity(graph) for graph in pair]
    rows = layer_rows(pair, counts, {"second": {"error": 0.125, "kept": "odd ones"}})
    assert [row.name for row in rows] == ["first", "norm", "second", "head"]
    first, _, second, head = rows
    assert (first.channels_in_before, first.channels_out_before) == (1, 4)
    assert (first.channels_in_after, first.channels_out_after) == (1, 2)
    assert (second.channels_in_before, second.channels_in_after) == (4, 2)
    assert (second.ratio, second.facts) == (0.5, {"error": 0.125, "kept": "odd ones"})
    assert (second.params_before, second.params_after) == (4 * 9 * 2 + 2, 2 * 9 * 2 + 2)
    assert (second.flops_before, second.flops_after) == (4 * 9 * 2 * 4, 2 * 9 * 2 * 4)
    assert (head.ratio, head.facts) == (0.0, {})


def test_layers_that_are_gone_have_no_row(pair):
    counts = [complexity(graph) for graph in pair]
    counts[1] = types.SimpleNamespace(rows=[row for row in counts[1].rows if row.name != "norm"])
    rows = layer_rows(pair, counts, {})
    assert [row.name for row in rows] == ["first", "second", "head"]


def test_bits_and_zeros_are_read_off_the_weights():
    model = network()
    before = from_keras(model)
    kernel = np.random.default_rng(0).integers(-3, 4, (3, 3, 4, 2)) * 0.125
    model.get_layer("second").kernel.assign(kernel)
    after = from_keras(model)
    counts = [complexity(graph) for graph in (before, after)]
    first, norm, second, _ = layer_rows((before, after), counts, {})
    assert (first.bits_before, first.bits_after) == (32, 32)
    assert (first.sparsity_before, first.sparsity_after) == (0.0, 0.0)
    assert (second.bits_before, second.bits_after) == (32, 3)
    assert second.sparsity_after == np.mean(kernel == 0) > 0
    assert (norm.bits_after, norm.sparsity_after) == (None, None)
    sizes = {"first": 36, "second": 72, "head": 24}
    expected = (32 * (sizes["first"] + sizes["head"]) + 3 * sizes["second"]) / sum(sizes.values())
    assert mean_bits(after) == pytest.approx(expected)
    assert mean_bits(before) == 32.0


def test_no_kernel_no_bits():
    inputs = keras.Input((6, 6, 1))
    model = keras.Model(inputs, layers.BatchNormalization()(inputs))
    assert mean_bits(from_keras(model)) is None
