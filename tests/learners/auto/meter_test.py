"""Errors of outputs, against running the network by hand."""

import keras
import numpy as np
import pytest
from keras import layers

from learners.auto.meter import Meter, OutputErrors
from tests.learners.networks import randomised
from utils.graph import from_keras


@pytest.fixture(scope="module")
def network():
    inputs = keras.Input((5,))
    x = layers.Dense(4, activation="relu", name="fc1")(inputs)
    return randomised(keras.Model(inputs, layers.Dense(3, name="fc2")(x)))


def by_hand(network, changed, images):
    moved = np.asarray(changed(images)) - np.asarray(network(images))
    moved -= moved.mean(axis=1, keepdims=True)
    return float(np.sum(moved.astype(np.float64) ** 2)) / len(images)


def test_it_is_what_the_changed_network_errs_and_is_undone(network, rng):
    images = rng.normal(size=(30, 5)).astype(np.float32)
    meter = Meter(from_keras(network), [images[:20], images[20:]], num_images=25)
    assert meter.num_images == 25
    kernel = 1.5 * np.asarray(network.get_layer("fc1").kernel)
    changed = keras.models.clone_model(network)
    changed.set_weights(network.get_weights())
    changed.get_layer("fc1").kernel.assign(kernel)
    expected = by_hand(network, changed, images[:25])
    assert meter.error({("fc1", "kernel"): kernel}) == pytest.approx(expected, rel=1e-4)
    assert meter.error({}) == 0.0
    batches = [(images[:25], None)]
    assert OutputErrors(network, batches)(changed) == pytest.approx(expected, rel=1e-4)


def test_what_all_outputs_share_counts_nothing(network, rng):
    images = rng.normal(size=(10, 5)).astype(np.float32)
    meter = Meter(from_keras(network), [images])
    bias = np.asarray(network.get_layer("fc2").bias)
    assert meter.error({("fc2", "bias"): bias + 3.0}) == pytest.approx(0.0, abs=1e-8)
    assert meter.error({("fc2", "bias"): bias + np.array([0, 0, 3.0])}) == pytest.approx(6.0, 1e-4)
