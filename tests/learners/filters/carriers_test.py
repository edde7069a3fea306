import keras
import numpy as np
import pytest
from keras import layers

from learners.filters.carriers import (
    BIAS,
    FILTER,
    MEAN,
    SCALE,
    SHIFT,
    Carrier,
    carriers,
    silence,
)
from learners.filters.choice import all_groups
from learners.live_weights import LiveWeights
from tests.learners import networks
from tests.learners.filters import blocks
from utils.graph import from_keras


def parts_of(model, name):
    graph = from_keras(model)
    group = next(group for group in all_groups(graph) if group.name == name)
    return {(part.layer, part.weight): part for part in carriers(graph, group)}


def kinds(parts):
    return {key: part.kind for key, part in parts.items()}


def test_a_convolution_with_its_norm():
    parts = parts_of(networks.residual(), "a1")
    assert kinds(parts) == {
        ("a1", "kernel"): FILTER,
        ("a1_bn", "gamma"): SCALE,
        ("a1_bn", "beta"): SHIFT,
        ("a1_bn", "moving_mean"): MEAN,
        ("a1_bn", "moving_variance"): "",
    }
    assert all(part.axis == -1 for part in parts.values())
    np.testing.assert_array_equal(parts["a1", "kernel"].channels, np.arange(8))


def test_a_residual_stream_is_made_by_all_that_write_it():
    filters = {k for k, p in parts_of(networks.residual(), "stem").items() if p.kind == FILTER}
    assert filters == {("stem", "kernel"), ("a2", "kernel")}


def test_a_depthwise_kernel_makes_the_channels_that_pass_it():
    parts = parts_of(blocks.mobile(), "one_expand")
    assert parts["one_depth", "kernel"].kind == FILTER
    assert parts["one_depth", "kernel"].axis == -2
    assert ("one_project", "kernel") not in parts  # it reads them


def test_the_excitation_scales_with_the_group():
    parts = parts_of(blocks.mobile(squeeze=True), "two_expand")
    assert kinds(parts)["two_excite", "kernel"] == FILTER
    assert kinds(parts)["two_excite", "bias"] == BIAS
    assert ("two_squeeze", "kernel") not in parts


def test_branches_of_a_concatenation_are_groups_of_their_own():
    parts = parts_of(networks.concat(), "right")
    assert {layer for layer, _ in parts} == {"right", "right_bn"}


def test_a_norm_behind_a_concatenation_holds_several_groups():
    inputs = keras.Input((8, 8, 3))
    left, right = (
        layers.Conv2D(n, 3, name=name)(inputs) for n, name in ((2, "left"), (3, "right"))
    )
    x = layers.BatchNormalization(name="bn")(layers.Concatenate()([left, right]))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, name="last")(x))
    parts = parts_of(keras.Model(inputs, layers.Dense(2)(x)), "right")
    np.testing.assert_array_equal(parts["bn", "gamma"].channels, [-1, -1, 0, 1, 2])
    assert kinds(parts)["right", "bias"] == BIAS
    assert ("bn", "moving_mean") not in parts  # what it normalizes is no output of filters alone


def test_units_of_a_recurrent_layer_have_a_row_per_gate():
    parts = parts_of(networks.recurrent(), "gru")
    assert kinds(parts)["gru", "kernel"] == kinds(parts)["gru", "recurrent_kernel"] == FILTER
    assert kinds(parts)["gru", "bias"] == BIAS
    np.testing.assert_array_equal(
        np.bincount(parts["gru", "kernel"].channels), np.full(8, 3)
    )  # three gates


def test_zeros_in_slices_of_some_channels():
    part = Carrier("c", "kernel", -2, np.array([0, -1, 1]), FILTER)
    array = np.ones((2, 3, 4))
    changed = part.without(array, np.array([False, True]))
    assert array.all()
    np.testing.assert_array_equal(changed[:, 2], 0.0)
    assert changed[:, :2].all()
    assert part.rows(array).shape == (3, 8)


@pytest.mark.parametrize(("axis", "shape"), [(-2, (2, 3, 4)), (-1, (3,)), (-3, (3, 2, 2))])
def test_the_mask_on_the_device_is_that_of_the_copy(axis, shape):
    part = Carrier("c", "kernel", axis, np.array([0, -1, 1]), FILTER)
    gone = keras.Variable(np.array([False, True]), dtype="bool", trainable=False)
    mask = np.broadcast_to(part.gone(gone, len(shape)), shape)
    np.testing.assert_array_equal(mask, part.without(np.ones(shape), np.asarray(gone)) == 0.0)


def test_channels_of_a_model_are_silenced_in_place():
    model = networks.vgg()
    live = LiveWeights(model)
    group = next(group for group in all_groups(live.graph) if group.name == "conv1")
    gone = np.arange(group.size) == 1
    silence(live, [p for p in carriers(live.graph, group) if p.kind == FILTER], gone)
    kernel = np.asarray(model.get_layer("conv1").kernel)
    np.testing.assert_array_equal(~kernel.any(axis=(0, 1, 2)), gone)


def test_a_group_of_another_network_is_refused():
    group = all_groups(from_keras(networks.vgg()))[0]
    with pytest.raises(ValueError, match="'conv1' is no group of this network"):
        carriers(from_keras(networks.residual()), group)
