"""Small networks for tests of what files cost on devices; nothing is trained."""

import keras
import numpy as np


def shortcuts() -> keras.Model:
    """Build two residual blocks with shortcuts without weights: by a pool, and by a slice."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 2), name="images")
    x = keras.layers.Conv2D(8, 3, padding="same", activation="relu", name="stem")(inputs)
    short = keras.layers.MaxPooling2D(1, strides=2)(x)
    short = keras.ops.pad(short, [(0, 0), (0, 0), (0, 0), (3, 5)])
    x = keras.layers.Conv2D(16, 3, strides=2, padding="same", name="conv1")(x)
    x = keras.layers.ReLU(name="relu1")(keras.layers.Add(name="add1")([short, x]))
    short = keras.ops.pad(x[:, ::2, ::2, :], [(0, 0), (0, 0), (0, 0), (4, 4)])
    x = keras.layers.Conv2D(24, 3, strides=2, padding="same", name="conv2")(x)
    x = keras.layers.ReLU(name="relu2")(keras.layers.Add(name="add2")([short, x]))
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(inputs, keras.layers.Dense(10, name="head")(x), name="shortcuts")


def misfit() -> keras.Model:
    """Build a network with operators that not every device has: GELU, and CUMSUM in float."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4, 4, 2), name="images")
    x = keras.layers.Conv2D(4, 3, activation="gelu", name="conv")(inputs)
    x = keras.layers.Flatten()(keras.ops.cumsum(x, axis=-1))
    return keras.Model(inputs, keras.layers.Dense(3, name="head")(x), name="misfit")


def noise(shape: tuple[int, ...], number: int = 16) -> np.ndarray:
    """Draw inputs, float32 [number, *shape]."""
    return np.random.default_rng(0).normal(size=(number, *shape)).astype(np.float32)
