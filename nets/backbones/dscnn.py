"""DS-CNN: a depthwise-separable convolutional network for spotting spoken keywords.

Reference: Zhang, Suda, Lai & Chandra, "Hello Edge: Keyword Spotting on Microcontrollers", 2017,
arXiv:1711.07128, section 3.5 and table 5 (DS-CNN-S: a convolution of 10 x 4, four separable ones of
3 x 3, 64 channels each). The paper's input has 10 cepstral coefficients; for one of 40 mel bands
the first separable convolution has stride 2, so that the others see maps of the paper's size.
"""

import keras
from keras import layers

_FIRST_KERNEL = (10, 4)  # time steps, bands


def build(
    inputs: keras.KerasTensor, num_classes: int, *, width: int = 64, num_blocks: int = 4
) -> keras.KerasTensor:
    """Build the network.

    Args:
        inputs: [batch, steps, bands, 1].
        num_classes: size of the output.
        width: channels of every convolution.
        num_blocks: separable convolutions.

    Returns:
        Logits [batch, num_classes].
    """
    x = layers.Conv2D(width, _FIRST_KERNEL, 2, padding="same", use_bias=False, name="conv")(inputs)
    x = _norm(x, "conv")
    for number in range(1, num_blocks + 1):
        strides = 2 if number == 1 else 1
        x = layers.DepthwiseConv2D(
            3, strides, padding="same", use_bias=False, name=f"block{number}_dw"
        )(x)
        x = _norm(x, f"block{number}_dw")
        x = layers.Conv2D(width, 1, use_bias=False, name=f"block{number}_pw")(x)
        x = _norm(x, f"block{number}_pw")
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Dropout(0.2, name="dropout")(x)
    return layers.Dense(num_classes, name="fc")(x)


def _norm(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    x = layers.BatchNormalization(name=f"{name}_bn")(x)
    return layers.ReLU(name=f"{name}_relu")(x)
