"""Networks in integers; against files, in tests/learners/post_training/recipe_test.py."""

import keras
import numpy as np
import pytest

from learners.post_training.config import PostTrainingConfig
from learners.post_training.recipe import quantize
from utils.errors import InputError
from utils.graph import from_keras, to_keras
from utils.quantization.integer_network import IntegerNetwork

_RNG = np.random.default_rng(0)


def test_layers_without_integer_arithmetic_are_named() -> None:
    inputs = keras.Input((4,))
    outputs = keras.layers.Dense(3, activation="gelu", name="dense")(inputs)
    graph = from_keras(keras.Model(inputs, outputs))
    samples = _RNG.normal(size=(8, 4)).astype(np.float32)
    trained = quantize(graph, PostTrainingConfig(), [samples])
    with pytest.raises(InputError, match="has no integer arithmetic here"):
        IntegerNetwork(trained.graph, trained.scalings, trained.weights)


@pytest.mark.parametrize(
    "layer",
    [
        keras.layers.ReLU(negative_slope=0.1),  # not a ReLU
        keras.layers.Resizing(6, 6),  # means, not values moved
        keras.layers.UpSampling2D(2, interpolation="bilinear"),
    ],
)
def test_what_looks_like_a_layer_with_arithmetic_is_refused(layer) -> None:
    inputs = keras.Input((4, 4, 2))
    graph = from_keras(keras.Model(inputs, layer(keras.layers.Conv2D(2, 1)(inputs))))
    samples = _RNG.normal(size=(8, 4, 4, 2)).astype(np.float32)
    trained = quantize(graph, PostTrainingConfig(), [samples])
    with pytest.raises(InputError, match="has no integer arithmetic here"):
        IntegerNetwork(trained.graph, trained.scalings, trained.weights)


def test_pools_joins_groups_and_softmax_run() -> None:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4, 4, 2))
    pooled = keras.layers.AveragePooling2D(2, strides=1, padding="same")(inputs)
    x = keras.layers.Concatenate()([inputs, pooled])
    x = keras.layers.Conv2D(4, 3, groups=2, padding="same")(x)
    outputs = keras.layers.Dense(3, activation="softmax")(keras.layers.Flatten()(x))
    images = _RNG.normal(size=(16, 4, 4, 2)).astype(np.float32)
    trained = quantize(from_keras(keras.Model(inputs, outputs)), PostTrainingConfig(), [images])
    (found,) = IntegerNetwork(trained.graph, trained.scalings, trained.weights)(images)
    simulated = np.asarray(to_keras(trained.simulated())(images))
    assert np.abs(found - simulated).max() <= 5 / 256
    assert np.ptp(found) > 0.3
