"""How layers stand in their network."""

import keras
import numpy as np
import pytest
from keras import layers

from learners.reconstruction.readings import Offset, find_readings
from tests.learners import networks
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
    assert (a1.offsets, a1.centred) == ((Offset("a1_bn", "moving_mean", -1.0),), True)
    assert a1.total is None
    assert (a2.total, a2.shortcut) == (Ref("sum_a"), Ref("stem_relu"))
    assert (b2.total, b2.shortcut) == (Ref("sum_b"), Ref("short_bn"))
    assert (short.total, short.shortcut) == (Ref("sum_b"), Ref("b2_bn"))
    assert (head.offsets, head.centred, head.total) == ((Offset("head", "bias"),), True, None)
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
    assert (reading.offsets, reading.centred) == ((), False)
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


def test_recurrent_layers():
    model = networks.recurrent()
    found = readings(model, "gru", "each", "both", "head")
    shapes = [reading.item.kernel.shape for reading in found.values()]
    assert shapes == [(48, 24), (8, 10), (10, 48), (12, 5)]
    assert all(
        {place.weight.rpartition("/")[2] for place in reading.offsets} == {"bias"}
        for reading in found.values()
    )
    both = model.get_layer("both")
    kernels = [np.asarray(side.cell.kernel) for side in (both.forward_layer, both.backward_layer)]
    np.testing.assert_array_equal(found["both"].item.kernel, np.concatenate(kernels, axis=1))


def test_a_norm_behind_a_linear_recurrent_layer_is_none_of_its_kernel():
    inputs = keras.Input((4, 3))
    x = layers.SimpleRNN(5, activation="linear", return_sequences=True, name="rnn")(inputs)
    reading = readings(keras.Model(inputs, layers.BatchNormalization()(x)), "rnn")["rnn"]
    assert (reading.offsets, reading.total) == ((Offset("rnn", "bias"),), None)


@pytest.mark.parametrize("name", ["gru", "both", "each"])
def test_what_a_refit_changes_gives_the_refitted_kernel(name):
    """Kernel and offset added up by hand, in front of the gates."""
    model = networks.recurrent()
    reading, graph = readings(model, name)[name], from_keras(model)
    kernel = np.random.default_rng(0).normal(size=reading.item.kernel.shape)
    offset = np.arange(kernel.shape[1], dtype=np.float64)
    changed = reading.refitted(kernel, offset, lambda *key: graph.params[key[0]][key[1]])
    layer = model.get_layer(name)
    cells = {
        "gru": lambda: [layer.cell],
        "both": lambda: [layer.forward_layer.cell, layer.backward_layer.cell],
        "each": lambda: [layer.layer],
    }[name]()
    kernels, biases = (
        [np.array(getattr(cell, weight)) for cell in cells] for weight in ("kernel", "bias")
    )
    values = list(changed.values())
    half = len(values) // 2
    np.testing.assert_array_equal(np.concatenate(values[:half], axis=1), kernel)
    assert [value.shape for value in values[:half]] == [array.shape for array in kernels]
    added = [np.atleast_2d(new - old) for new, old in zip(values[half:], biases, strict=True)]
    np.testing.assert_allclose(np.concatenate([rows[0] for rows in added]), offset, atol=1e-5)
    assert not any(rows[1:].any() for rows in added)


def test_a_convolution_at_every_time_step_is_left_out():
    inputs = keras.Input((2, 6, 6, 3))
    x = layers.TimeDistributed(layers.Conv2D(4, 3), name="frames")(inputs)
    x = layers.TimeDistributed(layers.Dense(4), name="each")(layers.Reshape((2, -1))(x))
    assert list(readings(keras.Model(inputs, x), "frames", "each")) == ["each"]


def test_where_a_relu_cuts_off():
    """At the level the ReLU's input is zero, by the network itself."""
    model = networks.residual()
    found = readings(model, "a1", "a2", "b2", "short", "head")
    assert found["head"].clip is None
    inner, end = found["a1"], found["a2"]
    images = networks.images(4)

    def output(name):
        return np.asarray(keras.Model(model.inputs, model.get_layer(name).output)(images))

    seen = (output("a1") - inner.clip.level) * inner.clip.sign > 0
    np.testing.assert_array_equal(seen, output("a1_bn") > 0)
    shortcut = output("stem_relu") * end.item.branch.inverse_scale
    seen = (output("a2") + shortcut - end.clip.level) * end.clip.sign > 0
    np.testing.assert_array_equal(seen, output("sum_a") > 0)


def test_a_layer_with_its_own_relu_is_cut_off_at_minus_its_bias():
    model = networks.vgg()
    found = readings(model, "conv1", "fc1", "fc2")
    assert found["fc2"].clip is None
    for name in ("conv1", "fc1"):
        bias = np.asarray(model.get_layer(name).bias)
        np.testing.assert_allclose(found[name].clip.level, -bias, rtol=1e-6)
        np.testing.assert_array_equal(found[name].clip.sign, np.ones(bias.size))


def test_what_is_read_beside_the_relu_is_not_cut_off():
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 1, name="conv")(inputs)
    outputs = layers.Add()([layers.ReLU()(x), x])
    assert readings(networks.randomised(keras.Model(inputs, outputs)), "conv")["conv"].clip is None
