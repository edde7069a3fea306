"""VGG with batch norm for 32 x 32 images: 14.98 million parameters at 16 layers.

Reference: Simonyan & Zisserman, "Very Deep Convolutional Networks for Large-Scale Image
Recognition", 2014, arXiv:1409.1556; with batch norm and one hidden dense layer of 512, as papers
on pruning use it for CIFAR-10.
"""

import keras
from keras import layers

STAGE_WIDTHS = (64, 128, 256, 512, 512)
CONVS_PER_STAGE = {
    11: (1, 1, 2, 2, 2),
    13: (2, 2, 2, 2, 2),
    16: (2, 2, 3, 3, 3),
    19: (2, 2, 4, 4, 4),
}
_HIDDEN_UNITS = 512


def build(inputs: keras.KerasTensor, num_classes: int, *, size: int = 16) -> keras.KerasTensor:
    """Build the network.

    Args:
        inputs: [batch, 32, 32, channels].
        num_classes: size of the output.
        size: the name's number, a key of `CONVS_PER_STAGE`.

    Returns:
        Logits [batch, num_classes].

    Raises:
        ValueError: for another size.
    """
    if size not in CONVS_PER_STAGE:
        raise ValueError(f"`size` must be one of {sorted(CONVS_PER_STAGE)}. Received: {size}.")
    x = inputs
    stages = zip(STAGE_WIDTHS, CONVS_PER_STAGE[size], strict=True)
    for stage, (width, num_convs) in enumerate(stages, start=1):
        for number in range(1, num_convs + 1):
            x = _unit(x, width, name=f"stage{stage}", number=number)
        x = layers.MaxPooling2D(2, name=f"stage{stage}_pool")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(_HIDDEN_UNITS, use_bias=False, kernel_initializer="he_normal", name="fc1")(x)
    x = layers.BatchNormalization(name="fc1_bn")(x)
    x = layers.ReLU(name="fc1_relu")(x)
    return layers.Dense(num_classes, name="fc2")(x)


def _unit(x: keras.KerasTensor, width: int, *, name: str, number: int) -> keras.KerasTensor:
    """Build a convolution, batch norm and ReLU."""
    x = layers.Conv2D(
        width,
        3,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        name=f"{name}_conv{number}",
    )(x)
    x = layers.BatchNormalization(name=f"{name}_bn{number}")(x)
    return layers.ReLU(name=f"{name}_relu{number}")(x)
