"""Activations against TensorFlow's own."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.utils.frontends.nhwc.one_node import images, reason, run
from utils.frontends.nhwc import activations

X = 3 * images(2, 4, 3, 5)
PLAIN = {
    "relu": tf.nn.relu,
    "relu6": tf.nn.relu6,
    "relu_0_to_1": lambda x: tf.clip_by_value(x, 0, 1),
    "relu_n1_to_1": lambda x: tf.clip_by_value(x, -1, 1),
    "tanh": tf.tanh,
    "sigmoid": tf.sigmoid,
    "hard_swish": lambda x: x * tf.nn.relu6(x + 3) / 6,
    "elu": tf.nn.elu,
    "selu": tf.nn.selu,
    "softplus": tf.nn.softplus,
    "softsign": tf.nn.softsign,
}


@pytest.mark.parametrize("name", PLAIN)
def test_plain(name):
    np.testing.assert_allclose(run(activations.plain(name), [X]), PLAIN[name](X), atol=1e-6)


def test_with_settings():
    np.testing.assert_allclose(
        run(activations.leaky_relu, [X], alpha=0.3), tf.nn.leaky_relu(X, 0.3), atol=1e-6
    )
    for approximate in (True, False):
        made = run(activations.gelu, [X], approximate=approximate)
        np.testing.assert_allclose(made, tf.nn.gelu(X, approximate), atol=1e-5)
    np.testing.assert_allclose(
        run(activations.softmax, [X], beta=0.5), tf.nn.softmax(0.5 * X), atol=1e-6
    )
    np.testing.assert_allclose(run(activations.log_softmax, [X]), tf.nn.log_softmax(X), atol=1e-5)


@pytest.mark.parametrize("shape", [(5,), (1, 1, 5), (4, 3, 5), (4, 1, 1)])
def test_slopes_are_shared_as_in_the_source(shape):
    slopes = images(*shape, seed=1)
    made = run(activations.prelu, [X], [slopes])
    np.testing.assert_allclose(made, np.where(X > 0, X, slopes * X), atol=1e-6)


def test_what_is_fused():
    fused = lambda b, node: activations.activated(b, node, b.input(node, 0))  # noqa: E731
    doubled = lambda b, node: fused(b, node).replace(  # noqa: E731
        tensor=keras.ops.multiply(fused(b, node).tensor, 2.0)
    )
    np.testing.assert_allclose(run(doubled, [X], activation="tanh"), 2 * np.tanh(X), atol=1e-6)
    np.testing.assert_allclose(run(doubled, [X], activation=None), 2 * X)
    assert "its activation sign_bit has" in reason(fused, [X], activation="sign_bit")
