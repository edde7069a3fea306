"""What outputs are, found through everything that only moves values."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from utils.graph import from_keras
from utils.graph.endings import endings


def ending_of(end, size=12, shape=None):
    """Say what a network is that ends in `end` behind a layer of 12 sums."""
    inputs = keras.Input(shape or (6,))
    x = layers.Dense(size, name="sums")(inputs)
    (found,) = endings(from_keras(keras.Model(inputs, end(x))))
    return found


def nested_head(x):
    head = keras.Sequential([keras.Input((12,)), layers.Dense(4), layers.Softmax()], name="head")
    return head(x)


@keras.saving.register_keras_serializable("endings_test")
class Opaque(layers.Layer):
    def call(self, x):
        return ops.softmax(x)


@pytest.mark.parametrize(
    "end",
    [
        layers.Dense(4, activation="softmax"),
        layers.Dense(4, activation=keras.activations.softmax),
        layers.Activation("softmax"),
        layers.Softmax(),
        ops.softmax,
        keras.activations.softmax,
        nested_head,
        lambda x: layers.Reshape((3, 4))(layers.Softmax()(x)),
        lambda x: layers.Flatten()(layers.Softmax()(layers.Reshape((3, 4))(x))),
        lambda x: ops.cast(layers.Identity()(ops.stop_gradient(ops.softmax(x))), "float32"),
        lambda x: ops.squeeze(ops.expand_dims(ops.softmax(x), 1), 1),
        lambda x: layers.Activation("linear", dtype="float32")(layers.Softmax()(x)),
        layers.EinsumDense("ab,bc->ac", 4, activation="softmax"),
    ],
)
def test_softmax(end):
    found = ending_of(end)
    assert (found.kind, found.places) == ("softmax", None)


def test_softmax_of_a_map():
    found = ending_of(
        lambda x: layers.Conv2D(5, 1, activation="softmax")(layers.Reshape((2, 2, 3))(x))
    )
    assert (found.kind, found.shape) == ("softmax", (None, 2, 2, 5))


@pytest.mark.parametrize(
    ("end", "kind"),
    [
        (layers.Dense(1, activation="sigmoid"), "sigmoid"),
        (layers.Activation("sigmoid"), "sigmoid"),
        (ops.sigmoid, "sigmoid"),
        (lambda x: layers.Reshape((3, 4))(ops.sigmoid(x)), "sigmoid"),
        (layers.Dense(4), "linear"),
        (lambda x: layers.Reshape((3, 4))(x), "linear"),
        (layers.Activation("linear"), "linear"),
        (ops.log_softmax, "linear"),
        (layers.Activation("log_softmax"), "linear"),
        (layers.Dense(4, activation="relu"), "unknown"),
        (Opaque(), "unknown"),
        (lambda x: ops.exp(x) / ops.sum(ops.exp(x), axis=-1, keepdims=True), "unknown"),
        (lambda x: layers.Softmax(axis=(1, 2))(layers.Reshape((3, 4))(x)), "unknown"),
        (lambda x: layers.Concatenate()([ops.softmax(x), ops.softmax(x)]), "unknown"),
        (lambda x: layers.SimpleRNN(4, activation="softmax")(layers.Reshape((3, 4))(x)), "unknown"),
        (lambda x: ops.ravel(ops.softmax(x)), "unknown"),
        (lambda x: ops.softmax(x)[:, :3], "unknown"),
    ],
)
def test_other_endings(end, kind):
    assert ending_of(end).kind == kind


@pytest.mark.parametrize(
    "move",
    [
        lambda x: layers.Permute((2, 1))(x),
        lambda x: ops.transpose(x, (0, 2, 1)),
        lambda x: layers.Flatten()(ops.swapaxes(x, 1, 2)),
        lambda x: ops.moveaxis(ops.expand_dims(x, 1), -1, 1),
        lambda x: ops.flip(x, axis=2),
    ],
)
def test_values_are_followed_to_their_places(move):
    """The layer's values are the output's, taken at `places`: checked on numbers."""
    inputs = keras.Input((12,))
    x = layers.Softmax(name="last")(layers.Reshape((3, 4))(inputs))
    model = keras.Model(inputs, [x, move(x)])
    found = endings(from_keras(model))[1]
    values, moved = model(np.random.default_rng(0).normal(size=(5, 12)))
    assert found.kind == "softmax" and found.layer == "last"
    back = ops.reshape(moved, (5, -1)).numpy()[:, found.places].reshape(5, 3, 4)
    np.testing.assert_array_equal(back, values)


def test_the_axis_of_the_classes():
    found = ending_of(lambda x: ops.softmax(layers.Reshape((3, 4))(x), axis=1))
    assert (found.kind, found.axis) == ("softmax", 1)


def test_open_sizes():
    shape = (None, None, 3)
    straight = ending_of(lambda x: ops.cast(ops.softmax(x), "float32"), shape=shape)
    assert (straight.kind, straight.shape) == ("softmax", (None, None, None, 12))
    rows = ending_of(lambda x: ops.reshape(ops.softmax(x), (-1, 12)), shape=(None, 3))
    assert (rows.kind, rows.places) == ("softmax", None)
    turned = ending_of(lambda x: ops.transpose(ops.softmax(x), (0, 3, 1, 2)), shape=shape)
    assert turned.kind == "unknown"


def test_each_output_has_its_own():
    inputs = keras.Input((6,))
    x = layers.Dense(4)(inputs)
    model = keras.Model(inputs, {"b": ops.sigmoid(x), "a": ops.softmax(x), "c": x})
    assert [found.kind for found in endings(from_keras(model))] == ["softmax", "sigmoid", "linear"]
