"""The spread that a row plants."""

import keras
import numpy as np

from benchmarks.ptq_rows import ROWS, with_spread
from utils.graph import from_keras, to_keras


def test_outputs_stay_and_channels_differ() -> None:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6, 6, 8))
    x = keras.layers.DepthwiseConv2D(3, activation="relu", name="depth")(inputs)
    model = keras.Model(inputs, keras.layers.Conv2D(4, 1, name="point")(x))
    images = np.random.default_rng(0).normal(size=(4, 6, 6, 8)).astype(np.float32)
    planted = with_spread(from_keras(model), seed=0)
    expected = np.asarray(model(images))
    np.testing.assert_allclose(to_keras(planted)(images), expected, atol=1e-4)
    ranges = np.abs(planted.params["depth"]["kernel"]).max(axis=(0, 1))
    assert ranges.max() / ranges.min() > 10
    assert len({row.name for row in ROWS}) == len(ROWS)
