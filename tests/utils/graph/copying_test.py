"""Copies against the network they are of, and what Keras' own copy loses."""

import keras
import numpy as np
import pytest
from keras import layers

from utils.errors import InputError
from utils.graph import copy_network, from_keras, to_keras

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(5.0, 3.0, size=(16, 4)).astype(np.float32)


def adapted(layer, data=X):
    layer.adapt(data)
    return layer


def wrapped(*parts, shape=(4,), dtype="float32", name="net"):
    inputs = keras.Input(shape, dtype=dtype)
    x = inputs
    for part in parts:
        x = part(x)
    return keras.Model(inputs, x, name=name)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (lambda: adapted(layers.Normalization()), (4,)),
        (lambda: layers.Normalization(mean=[1.0, 2, 3, 4], variance=[4.0, 1, 1, 9]), (4,)),
        (lambda: layers.TimeDistributed(adapted(layers.Normalization())), (4, 4)),
        (lambda: layers.Rescaling([0.1, 0.2, 0.3, 0.4], offset=[1.0, 2, 3, 4]), (4,)),
        (lambda: adapted(layers.Discretization(num_bins=4, output_mode="one_hot"), X[:, :1]), (1,)),
    ],
)
def test_what_was_adapted_stays(layer, shape):
    model = wrapped(layer(), layers.Dense(3, name="d"), shape=shape)
    x = RANDOM.normal(5.0, 3.0, size=(8, *shape)).astype(np.float32)
    copy = copy_network(model)
    np.testing.assert_array_equal(copy(x), model(x))
    np.testing.assert_array_equal(to_keras(from_keras(model))(x), model(x))


def test_names_types_and_flags():
    inner = layers.Bidirectional(layers.LSTM(2, return_sequences=True), name="both")
    frozen = layers.Dense(3, name="frozen", trainable=False)
    half = layers.Dense(3, name="half", dtype="mixed_float16")
    model = wrapped(frozen, half, layers.Reshape((3, 1)), inner, name="my net")
    inner.backward_layer.trainable = False
    model.compile("sgd", "mse")
    copy = copy_network(model)
    assert copy.name == "my net" and not copy.compiled
    assert [layer.name for layer in copy.layers] == [layer.name for layer in model.layers]
    assert copy.get_layer("half").dtype_policy.name == "mixed_float16"
    assert [w.trainable for w in copy.weights] == [w.trainable for w in model.weights]
    assert len(copy.trainable_weights) == 5 and not copy.get_layer("frozen").trainable
    assert not copy.get_layer("both").backward_layer.trainable
    np.testing.assert_array_equal(copy(X), model(X))


def test_random_layers_go_on_where_they_were():
    model = wrapped(layers.Dropout(0.5), layers.GaussianNoise(1.0))
    model(X, training=True)
    copy = copy_network(model)
    np.testing.assert_array_equal(copy(X, training=True), model(X, training=True))


def test_nothing_is_shared():
    model = wrapped(layers.Dense(3), layers.BatchNormalization())
    copy, before = copy_network(model), model.get_weights()
    copy.compile("sgd", "mse")
    copy.fit(X, np.ones((16, 3)), verbose=0)
    for weight, value in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, value)
    assert not np.array_equal(copy.get_weights()[0], before[0])


def test_change():
    """Calls with `training=True` fixed, as older helpers make them."""
    inputs = keras.Input((4,))
    model = keras.Model(inputs, layers.BatchNormalization()(inputs, training=True))

    def without_training(graph):
        nodes = [n.replace(kwargs={k: v for k, v in n.kwargs.items() if k != "training"})
                 for n in graph.nodes]  # fmt: skip
        return graph.replace(nodes=tuple(nodes))

    copy = copy_network(model, change=without_training)
    np.testing.assert_allclose(copy(X), X / np.sqrt(1.001), rtol=1e-6)
    assert not np.allclose(model(X), X, atol=0.1)


def test_python_code_is_asked_for():
    model = wrapped(layers.Lambda(lambda x: X.mean() * x, name="code"))
    with pytest.raises(
        InputError, match=r"layer 'code' is a Lambda: it runs Python code .* --allow"
    ):
        copy_network(model)
    np.testing.assert_array_equal(copy_network(model, allow_unsafe=True)(X), model(X))
    nested = wrapped(layers.TimeDistributed(layers.Lambda(lambda x: x), name="t"), shape=(2, 4))
    with pytest.raises(InputError, match=r"layer 't' is a Lambda: it runs Python code"):
        copy_network(nested)
