"""Small networks with random weights, and images that lie near few directions."""

import keras
import numpy as np
from keras import layers

IMAGE_SHAPE = (8, 8, 3)


def images(num_images: int = 48, shape: tuple[int, ...] = IMAGE_SHAPE, seed: int = 0) -> np.ndarray:
    """Mix six pictures, with some noise: channels then can stand in for one another."""
    rng = np.random.default_rng(seed)
    pictures = rng.normal(size=(6, *shape))
    mixed = np.tensordot(rng.normal(size=(num_images, 6)), pictures, axes=1)
    return (mixed + 0.1 * rng.normal(size=mixed.shape)).astype(np.float32)


def randomised(model: keras.Model, seed: int = 0) -> keras.Model:
    """Give every weight a plausible value; batch norms get a beta and moving statistics."""
    rng = np.random.default_rng(seed)
    for variable in model.weights:
        shape = tuple(variable.shape)
        if variable.name in ("gamma", "moving_variance"):
            value = rng.uniform(0.5, 1.5, shape)
        elif variable.name in ("beta", "moving_mean", "bias"):
            value = 0.3 * rng.normal(size=shape)
        else:
            value = rng.normal(size=shape) / np.sqrt(np.prod(shape[:-1]) / 2)
        variable.assign(value)
    return model


def conv(x: keras.KerasTensor, width: int, name: str, *, size: int = 3, strides: int = 1,
         act: bool = True) -> keras.KerasTensor:  # fmt: skip
    """Build convolution, batch norm and (with `act`) ReLU."""
    x = layers.Conv2D(
        width, size, strides=strides, padding="same", use_bias=False, name=name
    )(x)  # fmt: skip
    x = layers.BatchNormalization(name=f"{name}_bn")(x)
    return layers.ReLU(name=f"{name}_relu")(x) if act else x


def residual() -> keras.Model:
    """Two stages of one block each; the second has a projection."""
    inputs = keras.Input(IMAGE_SHAPE)
    x = conv(inputs, 8, "stem")
    y = conv(conv(x, 8, "a1"), 8, "a2", act=False)
    x = layers.ReLU()(layers.Add(name="sum_a")([x, y]))
    y = conv(conv(x, 12, "b1", strides=2), 12, "b2", act=False)
    x = conv(x, 12, "short", size=1, strides=2, act=False)
    x = layers.ReLU()(layers.Add(name="sum_b")([x, y]))
    x = layers.GlobalAveragePooling2D()(x)
    return randomised(keras.Model(inputs, layers.Dense(5, name="head")(x), name="residual"))


def vgg() -> keras.Model:
    """Plain convolutions with biases, pooling, Flatten, two dense layers."""
    inputs = keras.Input(IMAGE_SHAPE)
    x = inputs
    for number, width in enumerate((8, 8, 12), start=1):
        x = layers.Conv2D(width, 3, padding="same", activation="relu", name=f"conv{number}")(x)
        x = layers.MaxPooling2D()(x) if number > 1 else x
    x = layers.Dense(16, activation="relu", name="fc1")(layers.Flatten()(x))
    return randomised(keras.Model(inputs, layers.Dense(5, name="fc2")(x), name="vgg"))


def depthwise() -> keras.Model:
    """MobileNet's blocks: depthwise convolutions carry the channels of the one before."""
    x = inputs = keras.Input(IMAGE_SHAPE)
    for number, width in enumerate((8, 12), start=1):
        x = conv(x, width, f"point{number}", size=1)
        x = layers.DepthwiseConv2D(3, padding="same", use_bias=False, name=f"depth{number}")(x)
        x = layers.ReLU()(layers.BatchNormalization(name=f"depth{number}_bn")(x))
    x = conv(x, 6, "last", size=1)
    x = layers.GlobalAveragePooling2D()(x)
    return randomised(keras.Model(inputs, layers.Dense(5, name="head")(x), name="depthwise"))


def concat() -> keras.Model:
    """Two branches side by side, read by one convolution."""
    inputs = keras.Input(IMAGE_SHAPE)
    x = conv(inputs, 8, "stem")
    branches = [conv(x, 6, "left"), conv(x, 4, "right", size=1), x]
    x = conv(layers.Concatenate(name="both")(branches), 8, "join")
    x = layers.GlobalAveragePooling2D()(x)
    return randomised(keras.Model(inputs, layers.Dense(5, name="head")(x), name="concat"))


def transposed() -> keras.Model:
    """A Conv2DTranspose reads channels: it cannot be sampled."""
    inputs = keras.Input(IMAGE_SHAPE)
    x = conv(conv(inputs, 8, "first"), 8, "second", strides=2)
    x = layers.Conv2DTranspose(6, 3, strides=2, padding="same", activation="relu", name="up")(x)
    x = conv(x, 4, "third")
    return randomised(keras.Model(inputs, layers.Conv2D(2, 1, name="head")(x), name="transposed"))


def layers_inside() -> keras.Model:
    """Layers with layers inside between convolutions: their weights have each other's names."""
    inputs = keras.Input(IMAGE_SHAPE)
    x = conv(conv(inputs, 6, "first"), 4, "second", strides=2)
    x = layers.Reshape((16, 4))(x)
    x = layers.MultiHeadAttention(2, 3, name="attention")(x, x)
    x = layers.Bidirectional(layers.GRU(3, return_sequences=True), name="both")(x)
    x = layers.TimeDistributed(layers.Dense(6), name="each")(x)
    x = conv(layers.Reshape((4, 4, 6))(x), 6, "third")
    x = conv(x, 4, "fourth")
    x = layers.GlobalAveragePooling2D()(x)
    return randomised(keras.Model(inputs, layers.Dense(5, name="head")(x), name="layers_inside"))


def grouped() -> keras.Model:
    """A convolution in two groups reads channels: it cannot be sampled."""
    inputs = keras.Input(IMAGE_SHAPE)
    x = conv(inputs, 8, "first")
    x = layers.Conv2D(8, 3, padding="same", groups=2, activation="relu", name="groups")(x)
    x = conv(x, 4, "third")
    x = layers.GlobalAveragePooling2D()(x)
    return randomised(keras.Model(inputs, layers.Dense(5, name="head")(x), name="grouped"))


def recurrent() -> keras.Model:
    """Recurrent layers over the rows of a map, one of them in both directions."""
    inputs = keras.Input(IMAGE_SHAPE)
    x = layers.Reshape((8, 48), name="steps")(conv(inputs, 6, "first"))
    x = layers.GRU(8, return_sequences=True, name="gru")(x)
    x = layers.TimeDistributed(layers.Dense(10, activation="relu"), name="each")(x)
    x = layers.Bidirectional(layers.LSTM(6), name="both")(x)
    return randomised(keras.Model(inputs, layers.Dense(5, name="head")(x), name="recurrent"))
