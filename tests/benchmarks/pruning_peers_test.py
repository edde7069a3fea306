"""The peers of the pruning rows, against other ways to compute them."""

import keras
import numpy as np
import pytest
from keras import layers

from benchmarks.pruning_peers import adam_least_squares, l1_pruned, squared_error
from tests.learners.conftest import statistics_of


def a_layer():
    """Rows X [200, 12], correlated and off centre, and a kernel [12, 5]."""
    rng = np.random.default_rng(3)
    return rng.normal(size=(200, 12)) @ rng.normal(size=(12, 12)) + 0.7, rng.normal(size=(12, 5))


def test_error_is_that_of_the_rows():
    x, kernel = a_layer()
    y = x @ kernel
    other = kernel + 0.1
    wanted = np.sum((y - x @ other - 0.3) ** 2) / np.sum(y**2)
    assert squared_error(statistics_of(x, y), other, 0.3) == pytest.approx(wanted, rel=1e-8)


def test_adam_is_keras_adam():
    """One hundred steps on the mean squared error, dropped rows left at zero."""
    x, kernel = a_layer()
    y, kept = x @ kernel, np.arange(12) < 9
    start = kernel * kept[:, None]
    variable = keras.Variable(start, dtype="float64")
    optimizer = keras.optimizers.Adam(1e-3, epsilon=1e-8)
    optimizer.build([variable])
    for _ in range(100):
        residual = x @ np.asarray(variable) - y
        gradient = 2.0 * x.T @ residual / residual.size * kept[:, None]
        optimizer.apply([keras.ops.convert_to_tensor(gradient)])
    found = adam_least_squares(statistics_of(x, y), start, kept)
    np.testing.assert_allclose(found, variable, atol=1e-5)


def test_plain_l1_keeps_the_largest_filters():
    inputs = keras.Input((8, 8, 3))
    first = layers.Conv2D(8, 3, name="first")
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(8, 3, name="second")(first(inputs)))
    model = keras.Model(inputs, layers.Dense(2, name="head")(x))
    small = l1_pruned(model, "flops:0.5")
    kernel = np.asarray(first.kernel)
    norms = np.abs(kernel).sum(axis=(0, 1, 2))
    num_kept = small.get_layer("first").filters
    assert num_kept < 8
    kept = np.sort(np.argsort(-norms)[:num_kept])
    np.testing.assert_array_equal(small.get_layer("first").kernel, kernel[..., kept])
