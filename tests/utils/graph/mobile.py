"""A network with most of what mobile networks are made of, all of which int8 kernels compute."""

import keras
from keras import layers

from tests.learners.networks import IMAGE_SHAPE, randomised


def mobile() -> keras.Model:
    """Build hard-swish, a squeeze-and-excite gate, a join, a separable convolution, softmax."""
    inputs = keras.Input(IMAGE_SHAPE)
    x = layers.Conv2D(8, 3, padding="same", use_bias=False, name="stem")(inputs)
    x = layers.Activation("hard_swish", name="swish")(layers.BatchNormalization(name="norm")(x))
    y = layers.DepthwiseConv2D(3, padding="same", name="depth")(x)
    y = layers.Activation("hard_silu")(layers.BatchNormalization()(y))
    gate = layers.GlobalAveragePooling2D(keepdims=True, name="squeeze")(y)
    gate = layers.Conv2D(4, 1, activation="relu", name="reduce")(gate)
    gate = layers.Conv2D(8, 1, activation="hard_sigmoid", name="excite")(gate)
    y = layers.Multiply(name="gated")([y, gate])
    y = layers.BatchNormalization()(layers.Conv2D(8, 1, name="project")(y))
    x = layers.Add(name="sum")([x, y])
    x = layers.Concatenate(name="both")([layers.MaxPooling2D(2)(x), layers.AveragePooling2D(2)(x)])
    x = layers.SeparableConv2D(8, 3, padding="same", activation="silu", name="apart")(x)
    x = layers.ReLU()(layers.BatchNormalization(name="alone")(x))
    x = layers.Dense(12, name="hidden")(layers.Flatten()(x))
    x = layers.ReLU()(layers.BatchNormalization(name="hidden_norm")(x))
    outputs = layers.Dense(5, activation="softmax", name="head")(x)
    return randomised(keras.Model(inputs, outputs, name="mobile"))
