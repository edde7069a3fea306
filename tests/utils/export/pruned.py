"""A small network, dense and with few weights left, for tests of what zeros are worth."""

import keras
import numpy as np


def small(ratio: float = 0.0, seed: int = 0) -> keras.Model:
    """Build two convolutions and a Dense layer; `ratio` of each kernel but the first is zero."""
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((8, 8, 2), name="images")
    x = keras.layers.Conv2D(8, 3, activation="relu", name="conv1")(inputs)
    x = keras.layers.Conv2D(32, 3, activation="relu", name="conv2")(x)
    x = keras.layers.Flatten()(x)
    model = keras.Model(inputs, keras.layers.Dense(10, name="head")(x), name="small")
    for name in ("conv2", "head"):
        kernel = model.get_layer(name).kernel
        values = np.asarray(kernel)
        smallest = np.abs(values) < np.quantile(np.abs(values), ratio)
        kernel.assign(np.where(smallest, 0.0, values))
    return model


def images(number: int = 16) -> np.ndarray:
    """Draw inputs of `small`, float32 [number, 8, 8, 2]."""
    return np.random.default_rng(0).random((number, 8, 8, 2), np.float32)
