"""Cutting zero filters: what masked networks and those before compute, the cut ones compute."""

import keras
import numpy as np
import pytest
from keras import layers

from learners.channels.segments import cut, merged
from learners.filters.carriers import BIAS, FILTER, carriers
from learners.filters.choice import filter_groups
from learners.filters.strip import absorbed, example_inputs, stripped, with_needed
from tests.learners import networks
from tests.learners.filters import blocks
from utils.graph import from_keras, masked_model, to_keras
from utils.graph.law import TOLERANCE, relative_error


def zeroed(model, residual="inner", ratio=0.5, seed=0):
    """Set a random half of the filters of each group to zero, with their biases."""
    graph = from_keras(model)
    groups = filter_groups(graph, residual=residual)
    rng = np.random.default_rng(seed)
    params = {layer: dict(arrays) for layer, arrays in graph.params.items()}
    keep = {}
    for group in groups:
        mask = np.ones(group.size, bool)
        mask[rng.choice(group.size, round(ratio * group.size), replace=False)] = False
        keep[group.name] = mask
        for part in carriers(graph, group):
            if part.kind in (FILTER, BIAS):
                array = params[part.layer][part.weight]
                params[part.layer][part.weight] = part.without(array, ~mask)
    return graph.replace(params=params), groups, keep


def outputs(graph, inputs):
    return to_keras(graph)(inputs, training=False)


def valid():
    """Convolutions without padding, with batch norm; Flatten and dense layers behind."""
    inputs = keras.Input((8, 8, 3))
    x = inputs
    for number, width in enumerate((6, 8), start=1):
        x = layers.Conv2D(width, 3, use_bias=False, name=f"conv{number}")(x)
        x = layers.ReLU()(layers.BatchNormalization(name=f"bn{number}")(x))
    x = layers.Flatten()(x)
    x = layers.Dense(7, name="fc1")(x)
    x = layers.ReLU()(layers.BatchNormalization(name="bn3")(x))
    return networks.randomised(keras.Model(inputs, layers.Dense(4, name="fc2")(x), name="valid"))


EXACT = {
    "valid": valid,
    "inverted residual": blocks.mobile,
    "with recurrent layers": networks.recurrent,
    "biases alone": networks.vgg,
}


@pytest.mark.parametrize("name", EXACT)
def test_what_zero_filters_give_stays(name):
    graph, groups, keep = zeroed(EXACT[name]())
    images = networks.images(6)
    small = stripped(graph, groups, keep, example_inputs(graph)).graph
    before, after = outputs(graph, images), outputs(small, images)
    assert relative_error(before, after) <= TOLERANCE
    assert to_keras(small).count_params() < to_keras(graph).count_params()


def test_without_taking_it_up_they_differ():
    graph, groups, keep = zeroed(valid())
    images = networks.images(6)
    assert relative_error(outputs(graph, images), outputs(cut(graph, groups, keep), images)) > 0.01


def test_a_constant_needs_no_images():
    graph, groups, keep = zeroed(valid())
    images = networks.images(6)
    small = stripped(graph, groups, keep, np.zeros_like(images)).graph
    assert relative_error(outputs(graph, images), outputs(small, images)) <= TOLERANCE


NETWORKS = {
    "residual": networks.residual,
    "concat": networks.concat,
    "depthwise": networks.depthwise,
    "transposed": networks.transposed,
    "grouped": networks.grouped,
    "squeeze and excite": lambda: blocks.mobile(squeeze=True),
    "dense excite": blocks.excited,
    **EXACT,
}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("residual", ["inner", "joint"])
def test_the_law(name, residual):
    """Masked in front of all readers and cut are the same network."""
    graph, groups, keep = zeroed(NETWORKS[name](), residual)
    images = networks.images(4)
    keep = with_needed(graph, groups, keep, images)
    taken = absorbed(graph, groups, keep, images)
    masked = masked_model(taken, merged(taken, keep))(images, training=False)
    small = stripped(graph, groups, keep, images).graph
    assert relative_error(masked, outputs(small, images)) <= TOLERANCE


def without_offset():
    """The last layer has no bias, and no batch norm behind it."""
    inputs = keras.Input((6,))
    x = layers.Dense(8, use_bias=False, name="first")(inputs)
    x = layers.ReLU()(layers.BatchNormalization(name="norm")(x))
    return networks.randomised(keras.Model(inputs, layers.Dense(4, use_bias=False)(x)))


def called_twice():
    """A layer with a bias that reads the channels in two places."""
    inputs = keras.Input((6,))
    x = layers.Dense(8, use_bias=False, name="first")(inputs)
    x = layers.BatchNormalization(name="norm")(x)
    shared = layers.Dense(4, name="shared")
    total = layers.Add()([shared(layers.ReLU()(x)), shared(layers.Activation("tanh")(x))])
    return networks.randomised(keras.Model(inputs, total))


@pytest.mark.parametrize("make", [without_offset, called_twice])
def test_what_no_layer_can_take_up_stays(make):
    graph, groups, keep = zeroed(make(), ratio=0.75)
    inputs = np.random.default_rng(1).normal(size=(5, 6)).astype(np.float32)
    small = stripped(graph, groups, keep, example_inputs(graph))
    assert relative_error(outputs(graph, inputs), outputs(small.graph, inputs)) <= TOLERANCE
    left = small.graph.params["first"]["kernel"].shape[1]
    assert 2 < left <= 8 and small.num_held == left - 2
    assert small.note.startswith(f"{small.num_held} filters that are zero stay, of first: what ")
    without = outputs(cut(graph, groups, keep), inputs)
    assert relative_error(outputs(graph, inputs), without) > 0.01


def test_what_gives_nothing_goes_whoever_reads_it():
    """Behind ReLU a negative beta is zero."""
    graph, groups, keep = zeroed(without_offset(), ratio=0.75)
    params = {layer: dict(arrays) for layer, arrays in graph.params.items()}
    params["norm"] |= {"beta": np.full(8, -1.0, np.float32), "moving_mean": np.zeros(8, np.float32)}
    small = stripped(graph.replace(params=params), groups, keep, example_inputs(graph))
    assert small.graph.params["first"]["kernel"].shape[1] == 2
    assert (small.num_held, small.note) == (0, None)


def test_padded_borders_are_taken_up_as_the_mean():
    """Not exact, but nearer than nothing."""
    graph, groups, keep = zeroed(networks.residual())
    images = networks.images(8)
    before = outputs(graph, images)
    taken = relative_error(before, outputs(stripped(graph, groups, keep, images).graph, images))
    dropped = relative_error(before, outputs(cut(graph, groups, keep), images))
    assert TOLERANCE < taken < dropped


def test_groups_that_stay_whole_change_nothing():
    graph, groups, _ = zeroed(valid())
    keep = {group.name: np.ones(group.size, bool) for group in groups}
    small = stripped(graph, groups, keep, example_inputs(graph)).graph
    for layer, arrays in graph.params.items():
        for weight, array in arrays.items():
            np.testing.assert_array_equal(small.params[layer][weight], array)


def test_noise_has_the_networks_structure():
    one, two = keras.Input((4, 3), name="one"), keras.Input((None, 2), name="two")
    x = layers.Concatenate(axis=-1)([layers.GlobalAveragePooling1D()(t) for t in (one, two)])
    graph = from_keras(keras.Model({"a": one, "b": two}, layers.Dense(2)(x)))
    drawn = example_inputs(graph, size=3)
    assert {name: array.shape for name, array in drawn.items()} == {"a": (3, 4, 3), "b": (3, 16, 2)}
