"""LeNets: convolutions with pooling, then dense layers; no batch norm.

References: LeCun et al., "Gradient-Based Learning Applied to Document Recognition", 1998; the
widths of LeNet-5 and LeNet-300-100 are those that papers on compression use (Han et al., 2015,
arXiv:1506.02626).
"""

from collections.abc import Sequence

import keras
from keras import layers


def build(
    inputs: keras.KerasTensor,
    num_classes: int,
    *,
    conv_widths: Sequence[int] = (),
    dense_widths: Sequence[int] = (),
    padding: str = "valid",
) -> keras.KerasTensor:
    """Build the network; weighted layers are numbered through: conv1, conv2, fc3, fc4.

    Args:
        inputs: [batch, height, width, channels].
        num_classes: size of the output.
        conv_widths: channels of each 5 x 5 convolution; 2 x 2 max pooling follows each.
        dense_widths: units of each hidden dense layer.
        padding: of the convolutions, `valid` or `same`.

    Returns:
        Logits [batch, num_classes].
    """
    x = inputs
    for number, width in enumerate(conv_widths, start=1):
        x = layers.Conv2D(width, 5, padding=padding, name=f"conv{number}")(x)
        x = layers.ReLU(name=f"relu{number}")(x)
        x = layers.MaxPooling2D(2, name=f"pool{number}")(x)
    x = layers.Flatten(name="flatten")(x)
    for number, width in enumerate(dense_widths, start=len(conv_widths) + 1):
        x = layers.Dense(width, name=f"fc{number}")(x)
        x = layers.ReLU(name=f"relu{number}")(x)
    last = len(conv_widths) + len(dense_widths) + 1
    return layers.Dense(num_classes, name=f"fc{last}")(x)
