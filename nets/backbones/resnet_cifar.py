"""ResNets for 32 x 32 images: 6n + 2 layers in three stages.

Reference: He et al., "Deep Residual Learning for Image Recognition", 2015, arXiv:1512.03385,
section 4.2; `padding` is its option A, `projection` its option B.
"""

import keras
from keras import layers, ops

BLOCKS_PER_STAGE = {20: 3, 32: 5, 44: 7, 56: 9, 110: 18}
STAGE_WIDTHS = (16, 32, 64)
SHORTCUTS = ("padding", "projection")
_BN_EPSILON = 1e-5


def build(
    inputs: keras.KerasTensor, num_classes: int, *, size: int = 20, shortcut: str = "padding"
) -> keras.KerasTensor:
    """Build the network.

    Args:
        inputs: [batch, height, width, 3].
        num_classes: size of the output.
        size: number of weighted layers, a key of `BLOCKS_PER_STAGE`.
        shortcut: where a stage changes the shape: `padding` takes every second pixel and adds
            zero channels (no parameters); `projection` is a 1 x 1 convolution with batch norm.

    Returns:
        Logits [batch, num_classes].

    Raises:
        ValueError: for another size or shortcut.
    """
    if size not in BLOCKS_PER_STAGE:
        raise ValueError(f"`size` must be one of {sorted(BLOCKS_PER_STAGE)}. Received: {size}.")
    if shortcut not in SHORTCUTS:
        raise ValueError(f"`shortcut` must be one of {SHORTCUTS}. Received: {shortcut!r}.")
    x = _unit(inputs, STAGE_WIDTHS[0], strides=1, name="stem", number="")
    x = layers.ReLU(name="stem_relu")(x)
    for stage, width in enumerate(STAGE_WIDTHS, start=1):
        for block in range(BLOCKS_PER_STAGE[size]):
            strides = 2 if stage > 1 and block == 0 else 1
            x = _block(x, width, strides, shortcut, name=f"stage{stage}_block{block}")
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return layers.Dense(num_classes, kernel_initializer="he_normal", name="fc")(x)


def _unit(
    x: keras.KerasTensor, width: int, *, strides: int, name: str, number: str
) -> keras.KerasTensor:
    """Build a 3 x 3 convolution and batch norm."""
    if strides > 1:  # both sides padded, as the pretrained weights expect; "same" pads one side
        x = layers.ZeroPadding2D(1, name=f"{name}_pad{number}")(x)
    x = layers.Conv2D(
        width,
        3,
        strides=strides,
        padding="valid" if strides > 1 else "same",
        use_bias=False,
        kernel_initializer="he_normal",
        name=f"{name}_conv{number}",
    )(x)
    return layers.BatchNormalization(epsilon=_BN_EPSILON, name=f"{name}_bn{number}")(x)


def _block(
    x: keras.KerasTensor, width: int, strides: int, shortcut: str, *, name: str
) -> keras.KerasTensor:
    """Build two units and their shortcut."""
    y = _unit(x, width, strides=strides, name=name, number="1")
    y = layers.ReLU(name=f"{name}_relu1")(y)
    y = _unit(y, width, strides=1, name=name, number="2")
    if strides > 1 or x.shape[-1] != width:
        x = _shortcut(x, width, strides, shortcut, name)
    y = layers.Add(name=f"{name}_add")([x, y])
    return layers.ReLU(name=f"{name}_relu2")(y)


def _shortcut(
    x: keras.KerasTensor, width: int, strides: int, shortcut: str, name: str
) -> keras.KerasTensor:
    """Bring a block's input to the shape of its output."""
    if shortcut == "padding":
        missing = width - x.shape[-1]
        channels = (missing // 2, missing - missing // 2)
        # One pixel of a window, as a strided slice, but with fast kernels: 10 times in training.
        x = layers.MaxPooling2D(1, strides=strides, name=f"{name}_subsample")(x)
        return ops.pad(x, ((0, 0), (0, 0), (0, 0), channels))
    x = layers.Conv2D(
        width,
        1,
        strides=strides,
        use_bias=False,
        kernel_initializer="he_normal",
        name=f"{name}_shortcut_conv",
    )(x)
    return layers.BatchNormalization(epsilon=_BN_EPSILON, name=f"{name}_shortcut_bn")(x)
