"""How layers stand in their network."""

import keras
import numpy as np
import pytest
from keras import layers

from learners.reconstruction.readings import find_readings, kernel_input_axis
from tests.learners.reconstruction import networks
from utils.graph import Ref, from_keras


def readings(model, *names, compensate=True):
    graph = from_keras(model)
    return {item.name: item for item in find_readings(graph, list(names), compensate=compensate)}


def test_residual_branches():
    model = networks.residual()
    found = readings(model, "a1", "a2", "b2", "short", "head")
    assert list(found) == ["a1", "a2", "b2", "short", "head"]
    assert [reading.item.key for reading in found.values()] == [0, 1, 2, 3, 4]
    a1, a2, b2, short, head = found.values()
    assert (a1.norm, a1.bias, a1.centred, a1.total) == ("a1_bn", False, True, None)
    assert (a2.total, a2.shortcut) == (Ref("sum_a"), Ref("stem_relu"))
    assert (b2.total, b2.shortcut) == (Ref("sum_b"), Ref("short_bn"))
    assert (short.total, short.shortcut) == (Ref("sum_b"), Ref("b2_bn"))
    assert (head.norm, head.bias, head.centred, head.total) == (None, True, True, None)
    assert head.item.kernel.shape == (12, 5)
    assert a2.item.kernel.shape == (72, 8)


def test_weights_are_the_scale_of_the_norm_behind():
    model = networks.residual()
    norm = model.get_layer("a2_bn")
    gamma, beta, mean, variance = (np.asarray(weight) for weight in norm.weights)
    scale = gamma / np.sqrt(variance + norm.epsilon)
    reading = readings(model, "a2")["a2"]
    np.testing.assert_allclose(reading.weights, np.abs(scale), rtol=1e-6)
    np.testing.assert_allclose(reading.item.branch.inverse_scale, 1 / scale, rtol=1e-5)
    np.testing.assert_allclose(reading.item.branch.shift, mean - beta / scale, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("scale", "center"), [(False, True), (True, False), (False, False)])
def test_norms_without_scale_or_shift(scale, center):
    """y = (x - mean) / s, times gamma and plus beta where they are."""
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(3, 1, name="conv")(inputs)
    norm = layers.BatchNormalization(scale=scale, center=center, name="bn")
    total = layers.Add(name="total")([norm(x), inputs])
    model = networks.randomised(keras.Model(inputs, total))
    slope = 1 / np.sqrt(np.asarray(norm.moving_variance) + norm.epsilon)
    slope = slope * np.asarray(norm.gamma) if scale else slope
    reading = readings(model, "conv")["conv"]
    np.testing.assert_allclose(reading.weights, slope, rtol=1e-6)
    images = networks.images(4)
    linear = np.asarray(keras.Model(inputs, x)(images)) - np.asarray(model.get_layer("conv").bias)
    wanted = np.asarray(model(images)) - images
    branch = reading.item.branch
    # The target, from the sum and the shortcut, is the layer's own linear map.
    np.testing.assert_allclose(
        wanted * branch.inverse_scale + branch.shift, linear, rtol=1e-4, atol=1e-4
    )


def test_outputs_of_a_vanishing_scale_keep_their_own_target():
    model = networks.residual()
    gamma = np.ones(8, np.float32)
    gamma[3] = 1e-9
    model.get_layer("a2_bn").gamma.assign(gamma)
    branch = readings(model, "a2")["a2"].item.branch
    assert branch.inverse_scale[3] == 0.0
    assert np.isfinite(branch.shift).all()
    assert (np.delete(branch.inverse_scale, 3) > 0).all()


def test_no_compensation():
    found = readings(networks.residual(), "a2", "b2", compensate=False)
    assert all(r.total is None and r.item.branch is None for r in found.values())


def test_what_cannot_be_sampled_is_left_out():
    assert list(readings(networks.transposed(), "second", "up", "third")) == ["second", "third"]
    assert list(readings(networks.grouped(), "groups", "third")) == ["third"]
    assert list(readings(networks.depthwise(), "depth1", "point2")) == ["point2"]


def test_shared_layers_are_left_out():
    first, second = keras.Input((8, 8, 3)), keras.Input((8, 8, 3))
    shared = layers.Conv2D(4, 3, name="shared")
    both = layers.Add()([shared(first), shared(second)])
    model = keras.Model([first, second], layers.Conv2D(2, 1, name="head")(both))
    assert list(readings(model, "shared", "head")) == ["head"]


@pytest.mark.parametrize("what", ["activation", "second reader", "output", "other axis"])
def test_norms_that_cannot_take_up_an_offset(what):
    inputs = keras.Input((8, 8, 8))
    activation = "relu" if what == "activation" else None
    x = layers.Conv2D(8, 3, padding="same", use_bias=False, activation=activation, name="conv")(
        inputs
    )
    y = layers.BatchNormalization(axis=1 if what == "other axis" else -1, name="bn")(x)
    outputs = {
        "activation": y,
        "second reader": layers.Add()([x, y]),
        "output": [x, y],
        "other axis": y,
    }[what]
    reading = readings(keras.Model(inputs, outputs), "conv")["conv"]
    assert (reading.norm, reading.centred) == (None, False)
    np.testing.assert_array_equal(reading.weights, np.ones(8))


@pytest.mark.parametrize("what", ["three operands", "twice itself", "broadcast", "activation"])
def test_sums_that_a_branch_cannot_make_up_for(what):
    inputs = keras.Input((8, 8, 4))
    activation = "relu" if what == "activation" else None
    x = layers.Conv2D(4, 1, activation=activation, name="conv")(inputs)
    operands = {
        "three operands": [x, inputs, inputs],
        "twice itself": [x, x],
        "broadcast": [x, layers.GlobalAveragePooling2D(keepdims=True)(inputs)],
        "activation": [x, inputs],
    }[what]
    model = keras.Model(inputs, layers.Add()(operands))
    assert readings(model, "conv")["conv"].total is None


@pytest.mark.parametrize(
    ("layer", "weight", "size"),
    [
        (layers.Conv2D(5, 3, name="it"), "kernel", 3),
        (layers.Dense(5, name="it"), "kernel", 3),
        (layers.Conv2DTranspose(5, 3, name="it"), "kernel", 3),
    ],
)
def test_axis_that_reads_channels(layer, weight, size):
    inputs = keras.Input((8, 8, 3))
    graph = from_keras(keras.Model(inputs, layer(inputs)))
    name, axis = kernel_input_axis(graph, graph.node("it"))
    assert name == weight
    assert graph.params["it"][name].shape[axis] == size


def test_layers_without_a_kernel_are_refused():
    inputs = keras.Input((8, 8, 3))
    graph = from_keras(keras.Model(inputs, layers.ReLU(name="act")(inputs)))
    with pytest.raises(ValueError, match=r"'act' \(keras.layers.ReLU\) has no weight that reads"):
        kernel_input_axis(graph, graph.node("act"))
