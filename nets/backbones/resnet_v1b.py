"""ResNet-50/101/152 v1b for ImageNet: bottlenecks whose 3 x 3 convolution has the stride.

References:
    He et al., "Deep Residual Learning for Image Recognition", 2015, arXiv:1512.03385, table 1;
    Gross & Wilber, "Training and investigating Residual Nets", 2016, for the place of the stride.
"""

from __future__ import annotations

import keras
from keras import layers

INPUT_SHAPE = (224, 224, 3)
BLOCKS_PER_STAGE = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
_WIDTHS = (64, 128, 256, 512)
_EXPANSION = 4
_EPSILON = 1e-5


def build(
    inputs: keras.KerasTensor, num_classes: int = 1000, *, size: int = 50
) -> keras.KerasTensor:
    """Build the network.

    Padding is the same on both sides, as the public weights expect; Keras' "same" pads one side
    more where the stride is 2.

    Args:
        inputs: [batch, height, width, 3].
        num_classes: size of the output.
        size: number of weighted layers, a key of `BLOCKS_PER_STAGE`.

    Returns:
        Logits [batch, num_classes].

    Raises:
        ValueError: for another size.
    """
    if size not in BLOCKS_PER_STAGE:
        raise ValueError(f"`size` must be one of {sorted(BLOCKS_PER_STAGE)}. Received: {size}.")
    x = _unit(inputs, "stem", _WIDTHS[0], 7, 2)
    x = layers.ZeroPadding2D(1, name="stem_pool_pad")(x)  # behind a ReLU, zero is no maximum
    x = layers.MaxPooling2D(3, strides=2, name="stem_pool")(x)
    for stage, (width, repeats) in enumerate(
        zip(_WIDTHS, BLOCKS_PER_STAGE[size], strict=True), start=1
    ):
        for block in range(repeats):
            strides = 2 if stage > 1 and block == 0 else 1
            x = _block(x, f"stage{stage}_block{block}", width, strides)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return layers.Dense(num_classes, name="fc")(x)


def _block(x: keras.KerasTensor, name: str, width: int, strides: int) -> keras.KerasTensor:
    """Build a bottleneck and its shortcut, a 1 x 1 convolution where the shape changes."""
    y = _unit(x, f"{name}_1", width, 1)
    y = _unit(y, f"{name}_2", width, 3, strides)
    y = _unit(y, f"{name}_3", width * _EXPANSION, 1, activated=False)
    if x.shape[-1] != y.shape[-1]:
        x = _unit(x, f"{name}_shortcut", width * _EXPANSION, 1, strides, activated=False)
    y = layers.Add(name=f"{name}_add")([x, y])
    return layers.ReLU(name=f"{name}_relu")(y)


def _unit(
    x: keras.KerasTensor,
    name: str,
    width: int,
    kernel: int,
    strides: int = 1,
    *,
    activated: bool = True,
) -> keras.KerasTensor:
    """Build a convolution, batch norm and, unless told not to, a ReLU."""
    if strides > 1 and kernel > 1:
        x = layers.ZeroPadding2D(kernel // 2, name=f"{name}_pad")(x)
    padding = "same" if strides == 1 else "valid"
    x = layers.Conv2D(
        width, kernel, strides=strides, padding=padding, use_bias=False, name=f"{name}_conv"
    )(x)
    x = layers.BatchNormalization(epsilon=_EPSILON, name=f"{name}_bn")(x)
    return layers.ReLU(name=f"{name}_relu")(x) if activated else x
