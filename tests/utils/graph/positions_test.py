"""Uses of kernel entries, against the gradient of a real layer: each use adds one to it."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from utils.graph import from_keras
from utils.graph.positions import position_uses, transposed_uses, window_uses


def gradient(layer, shape):
    """Derivative of the sum of a layer's outputs by its kernel, on ones: how often each is used."""
    ones = tf.ones((1, *shape))
    layer(ones)
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(layer(ones))
    return tape.gradient(total, layer.kernel.value).numpy()


def node_of(layer, shape):
    inputs = keras.Input(shape)
    graph = from_keras(keras.Model(inputs, layer(inputs)))
    return graph, graph.nodes[-1]


CONVOLUTIONS = [
    (layers.Conv2D(1, 3, padding="same", use_bias=False), (7, 6, 1)),
    (layers.Conv2D(1, (3, 2), strides=2, padding="same", use_bias=False), (7, 6, 1)),
    (layers.Conv2D(1, 3, dilation_rate=2, padding="same", use_bias=False), (9, 8, 1)),
    (layers.Conv2D(1, 3, strides=(2, 1), use_bias=False), (7, 6, 1)),
    (layers.Conv1D(1, 3, padding="causal", dilation_rate=2, use_bias=False), (9, 1)),
    (layers.Conv3D(1, 2, padding="same", use_bias=False), (4, 3, 5, 1)),
]


@pytest.mark.parametrize(("layer", "shape"), CONVOLUTIONS)
def test_windows_inside_the_image(layer, shape):
    uses = window_uses(*node_of(layer, shape), True)
    np.testing.assert_array_equal(uses, gradient(layer, shape)[..., 0, 0])


@pytest.mark.parametrize(("layer", "shape"), CONVOLUTIONS)
def test_windows_counted_as_the_tables_do(layer, shape):
    """Padding counts as if it were image: once per output position."""
    outputs = layer(np.ones((1, *shape), np.float32)).shape[1:-1]
    assert window_uses(*node_of(layer, shape), False) == np.prod(outputs)


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("strides", [1, 2])
def test_transposed_convolutions(padding, strides):
    layer = layers.Conv2DTranspose(1, 3, strides=strides, padding=padding, use_bias=False)
    graph, node = node_of(layer, (5, 4, 1))
    np.testing.assert_array_equal(
        transposed_uses(graph, node, True), gradient(layer, (5, 4, 1))[..., 0, 0]
    )
    assert transposed_uses(graph, node, False) == 20


def test_dense_layers_are_used_at_every_position():
    layer = layers.Dense(2, use_bias=False)
    graph, node = node_of(layer, (5, 4, 3))
    assert position_uses(graph, node, False) == gradient(layer, (5, 4, 3))[0, 0] == 20


@pytest.mark.parametrize(
    ("pad", "layer", "shape"),
    [
        (layers.ZeroPadding2D(((1, 2), (0, 3))), layers.Conv2D(1, 3, 2, use_bias=False), (7, 6, 1)),
        (layers.ZeroPadding1D((2, 1)), layers.Conv1D(1, 4, use_bias=False), (9, 1)),
    ],
)
def test_zeros_of_a_padding_layer_lie_outside_the_image(pad, layer, shape):
    inputs = keras.Input(shape)
    graph = from_keras(keras.Model(inputs, layer(pad(inputs))))
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(layer(pad(tf.ones((1, *shape)))))
    expected = tape.gradient(total, layer.kernel.value).numpy()[..., 0, 0]
    np.testing.assert_array_equal(window_uses(graph, graph.nodes[-1], True), expected)
    assert window_uses(graph, graph.nodes[-1], False) == np.prod(layer.output.shape[1:-1])
