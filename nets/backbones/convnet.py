"""A small plain network with batch norm."""

from collections.abc import Sequence

import keras
from keras import layers


def build(inputs: keras.KerasTensor, num_classes: int, widths: Sequence[int]) -> keras.KerasTensor:
    """Build convolutions with batch norm, halving the image after every second one.

    Args:
        inputs: [batch, height, width, channels].
        num_classes: size of the output.
        widths: channels of each convolution; the dense layer after them is as wide as the last.

    Returns:
        Logits [batch, num_classes].
    """
    x = inputs
    for number, width in enumerate(widths, start=1):
        x = layers.Conv2D(
            width,
            3,
            padding="same",
            use_bias=False,
            kernel_initializer="he_normal",
            name=f"conv{number}",
        )(x)
        x = layers.BatchNormalization(name=f"bn{number}")(x)
        x = layers.ReLU(name=f"relu{number}")(x)
        if number % 2 == 0:
            x = layers.MaxPooling2D(2, name=f"pool{number}")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(widths[-1], kernel_initializer="he_normal", name="fc1")(x)
    x = layers.ReLU(name="relu_fc1")(x)
    return layers.Dense(num_classes, name="fc2")(x)
