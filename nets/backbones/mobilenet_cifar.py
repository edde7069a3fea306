"""MobileNet v1, v2 and v3-small for 32 x 32 images: the originals with fewer strides.

References: Howard et al., 2017, arXiv:1704.04861 (v1); Sandler et al., 2018, arXiv:1801.04381
(v2); Howard et al., 2019, arXiv:1905.02244 (v3, table 2). The image shrinks to 2 x 2 in v1 and to
4 x 4 in v2 and v3.
"""

from typing import NamedTuple

import keras
from keras import layers

VERSIONS = (1, 2, 3)
_DIVISOR = 8

# Width and stride of each separable unit.
_V1 = (
    *((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)),
    *((512, 1),) * 5,
    *((1024, 2), (1024, 1)),
)
# Expansion, width, number of blocks, stride of the first.
_V2 = (
    *((1, 16, 1, 1), (6, 24, 2, 1), (6, 32, 3, 2), (6, 64, 4, 2)),
    *((6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)),
)


class _V3Row(NamedTuple):
    kernel: int
    expanded: int
    width: int
    squeeze: bool
    activation: str
    stride: int


_V3 = (
    _V3Row(3, 16, 16, True, "relu", 1),
    _V3Row(3, 72, 24, False, "relu", 2),
    _V3Row(3, 88, 24, False, "relu", 1),
    _V3Row(5, 96, 40, True, "hard_swish", 2),
    _V3Row(5, 240, 40, True, "hard_swish", 1),
    _V3Row(5, 240, 40, True, "hard_swish", 1),
    _V3Row(5, 120, 48, True, "hard_swish", 1),
    _V3Row(5, 144, 48, True, "hard_swish", 1),
    _V3Row(5, 288, 96, True, "hard_swish", 2),
    _V3Row(5, 576, 96, True, "hard_swish", 1),
    _V3Row(5, 576, 96, True, "hard_swish", 1),
)


def build(
    inputs: keras.KerasTensor, num_classes: int, *, version: int = 1, depth_mult: float = 1.0
) -> keras.KerasTensor:
    """Build the network.

    Args:
        inputs: [batch, height, width, channels].
        num_classes: size of the output.
        version: 1, 2 or 3 (v3-small).
        depth_mult: every width is multiplied with this and made a multiple of 8.

    Returns:
        Logits [batch, num_classes].

    Raises:
        ValueError: for another version.
    """
    builders = {1: _features_v1, 2: _features_v2, 3: _features_v3}
    if version not in builders:
        raise ValueError(f"`version` must be one of {VERSIONS}. Received: {version}.")
    x = builders[version](inputs, depth_mult)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    if version == 3:
        x = layers.Dense(scaled(1024, max(1.0, depth_mult)), name="fc1")(x)
        x = layers.Activation("hard_swish", name="fc1_act")(x)
        return layers.Dense(num_classes, name="fc2")(x)
    return layers.Dense(num_classes, name="fc")(x)


def scaled(width: float, depth_mult: float = 1.0) -> int:
    """Scale a number of channels to a multiple of 8, at least 8 and at least 90 % of the product.

    Example:
        >>> scaled(24, 0.25), scaled(100), scaled(1280)
        (8, 104, 1280)
    """
    exact = width * depth_mult
    rounded = max(_DIVISOR, int(exact + _DIVISOR / 2) // _DIVISOR * _DIVISOR)
    return rounded if rounded >= 0.9 * exact else rounded + _DIVISOR


def _features_v1(inputs: keras.KerasTensor, depth_mult: float) -> keras.KerasTensor:
    x = _conv(inputs, scaled(32, depth_mult), 3, "stem", "relu")
    for number, (width, stride) in enumerate(_V1):
        name = f"block{number}"
        x = _depthwise(x, 3, stride, f"{name}_dw", "relu")
        x = _conv(x, scaled(width, depth_mult), 1, f"{name}_pw", "relu")
    return x


def _features_v2(inputs: keras.KerasTensor, depth_mult: float) -> keras.KerasTensor:
    x = _conv(inputs, scaled(32, depth_mult), 3, "stem", "relu6")
    number = 0
    for expansion, width, num_blocks, first_stride in _V2:
        for index in range(num_blocks):
            row = _V3Row(
                kernel=3,
                expanded=expansion * x.shape[-1],
                width=scaled(width, depth_mult),
                squeeze=False,
                activation="relu6",
                stride=first_stride if index == 0 else 1,
            )
            x = _inverted_residual(x, row, f"block{number}")
            number += 1
    return _conv(x, scaled(1280, max(1.0, depth_mult)), 1, "head", "relu6")


def _features_v3(inputs: keras.KerasTensor, depth_mult: float) -> keras.KerasTensor:
    x = _conv(inputs, scaled(16, depth_mult), 3, "stem", "hard_swish")
    for number, row in enumerate(_V3):
        expanded, width = scaled(row.expanded, depth_mult), scaled(row.width, depth_mult)
        x = _inverted_residual(x, row._replace(expanded=expanded, width=width), f"block{number}")
    return _conv(x, scaled(576, depth_mult), 1, "head", "hard_swish")


def _inverted_residual(x: keras.KerasTensor, row: _V3Row, name: str) -> keras.KerasTensor:
    """Build expansion, depthwise convolution, squeeze-excite, projection and shortcut."""
    y = x
    if row.expanded != x.shape[-1]:
        y = _conv(y, row.expanded, 1, f"{name}_expand", row.activation)
    y = _depthwise(y, row.kernel, row.stride, f"{name}_dw", row.activation)
    if row.squeeze:
        y = _squeeze_excite(y, f"{name}_se")
    y = _conv(y, row.width, 1, f"{name}_project", None)
    if row.stride == 1 and row.width == x.shape[-1]:
        y = layers.Add(name=f"{name}_add")([x, y])
    return y


def _squeeze_excite(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    """Weight the channels by a small network of their means (Hu et al., 2017, arXiv:1709.01507)."""
    channels = x.shape[-1]
    y = layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}_pool")(x)
    y = layers.Conv2D(scaled(channels / 4), 1, activation="relu", name=f"{name}_reduce")(y)
    y = layers.Conv2D(channels, 1, activation="hard_sigmoid", name=f"{name}_expand")(y)
    return layers.Multiply(name=f"{name}_scale")([x, y])


def _conv(
    x: keras.KerasTensor, width: int, kernel: int, name: str, activation: str | None
) -> keras.KerasTensor:
    """Build a convolution, batch norm and activation."""
    x = layers.Conv2D(
        width,
        kernel,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        name=f"{name}_conv",
    )(x)
    return _normalized(x, name, activation)


def _depthwise(
    x: keras.KerasTensor, kernel: int, stride: int, name: str, activation: str
) -> keras.KerasTensor:
    """Build a depthwise convolution, batch norm and activation."""
    x = layers.DepthwiseConv2D(
        kernel,
        strides=stride,
        padding="same",
        use_bias=False,
        # He's deviation for the kernel^2 inputs of one output; Keras' he_normal would count those
        # of all channels.
        depthwise_initializer=keras.initializers.RandomNormal(stddev=2**0.5 / kernel),
        name=f"{name}_conv",
    )(x)
    return _normalized(x, name, activation)


def _normalized(x: keras.KerasTensor, name: str, activation: str | None) -> keras.KerasTensor:
    x = layers.BatchNormalization(name=f"{name}_bn")(x)
    return x if activation is None else layers.Activation(activation, name=f"{name}_act")(x)
