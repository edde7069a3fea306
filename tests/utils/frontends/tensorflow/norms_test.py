"""Batch norm that was written out is found, and only where it is one."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.utils.frontends.tensorflow.graphs import drawn, frozen
from utils.frontends.tensorflow.norms import BATCH_NORM
from utils.frontends.tensorflow.reader import convert, read

W = drawn()
GAMMA, BETA, MEAN, VARIANCE = W(3), W(3), W(3), np.abs(W(3)) + 0.1


def norm(x, gamma):
    """TensorFlow's own; constants are tensors, so that it computes with them in the graph."""
    parts = [None if part is None else tf.constant(part) for part in (MEAN, VARIANCE, BETA, gamma)]
    return tf.nn.batch_normalization(x, *parts, 1e-3)


def written(tmp_path, function):
    path = tmp_path / "net.pb"
    path.write_bytes(frozen(lambda x: [function(x)], (None, 4, 4, 3)))
    return str(path)


@pytest.mark.parametrize("gamma", [GAMMA, None])
def test_its_own_weights_come_back(tmp_path, gamma):
    model = convert(written(tmp_path, lambda x: norm(x, gamma))).model
    found = model.layers[1]
    assert isinstance(found, keras.layers.BatchNormalization)
    np.testing.assert_array_equal(found.gamma, np.ones(3) if gamma is None else gamma)
    np.testing.assert_array_equal(found.beta, BETA)
    np.testing.assert_array_equal(found.moving_mean, MEAN)
    np.testing.assert_array_equal(found.moving_variance, VARIANCE)
    assert found.epsilon == pytest.approx(1e-3)
    x = W(2, 4, 4, 3)
    np.testing.assert_allclose(model(x), norm(x, gamma), atol=1e-5)


def scale():
    return tf.math.rsqrt(tf.constant(VARIANCE) + 1e-3)


def read_twice(x):
    y = x * scale()
    return y + (tf.constant(BETA) - tf.constant(MEAN) * scale()) + y


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x * GAMMA + (BETA - MEAN * GAMMA),  # no root of a variance
        lambda x: x * scale() + BETA,  # no mean
        read_twice,
    ],
)
def test_what_only_looks_like_one(tmp_path, function):
    path = written(tmp_path, function)
    x = W(2, 4, 4, 3)
    np.testing.assert_allclose(convert(path).model(x), function(tf.constant(x)), atol=1e-5)
    assert not [node for node in read(path).nodes if node.op == BATCH_NORM]
