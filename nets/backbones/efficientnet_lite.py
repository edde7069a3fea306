"""EfficientNet-Lite0: EfficientNet-B0 as devices want it, ReLU6 and no squeeze-and-excitation.

Reference:
    Tan & Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", ICML 2019,
    arXiv:1905.11946, table 1; EfficientNet-Lite, github.com/tensorflow/tpu/models/official/
    efficientnet/lite, for what is left out: stem and head keep their width.
"""

from __future__ import annotations

from typing import NamedTuple

import keras
from keras import layers

INPUT_SHAPE = (224, 224, 3)  # of values (x - 127) / 128, x in [0, 255]
_STEM, _HEAD = 32, 1280
_EPSILON = 1e-3


class _Stage(NamedTuple):
    expansion: int
    kernel: int
    stride: int
    width: int
    repeats: int


_STAGES = (
    _Stage(1, 3, 1, 16, 1),
    _Stage(6, 3, 2, 24, 2),
    _Stage(6, 5, 2, 40, 2),
    _Stage(6, 3, 2, 80, 3),
    _Stage(6, 5, 1, 112, 3),
    _Stage(6, 5, 2, 192, 4),
    _Stage(6, 3, 1, 320, 1),
)


def build(inputs: keras.KerasTensor, num_classes: int = 1000) -> keras.KerasTensor:
    """Build the network.

    Layers are named `stem`, `block<i>_expand`, `block<i>_depthwise`, `block<i>_project`, `head` and
    `classifier`, a batch norm after its convolution with `_norm` behind.

    Args:
        inputs: [batch, height, width, 3].
        num_classes: size of the output.

    Returns:
        Logits [batch, num_classes].
    """
    x = _conv(inputs, "stem", _STEM, 3, 2)
    number = 0
    for stage in _STAGES:
        for repeat in range(stage.repeats):
            x = _block(x, f"block{number}", stage, stage.stride if repeat == 0 else 1)
            number += 1
    x = _conv(x, "head", _HEAD)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return layers.Dense(num_classes, name="classifier")(x)


def _block(x: keras.KerasTensor, name: str, stage: _Stage, stride: int) -> keras.KerasTensor:
    """Add an inverted residual block."""
    source, width = x, x.shape[-1]
    if stage.expansion > 1:
        x = _conv(x, f"{name}_expand", width * stage.expansion)
    depthwise = layers.DepthwiseConv2D(
        stage.kernel, stride, padding="same", use_bias=False, name=f"{name}_depthwise"
    )
    x = _norm(depthwise(x), f"{name}_depthwise")
    x = _conv(x, f"{name}_project", stage.width, activated=False)
    if stride == 1 and width == stage.width:
        x = layers.Add(name=f"{name}_add")([x, source])
    return x


def _conv(
    x: keras.KerasTensor,
    name: str,
    width: int,
    kernel: int = 1,
    stride: int = 1,
    *,
    activated: bool = True,
) -> keras.KerasTensor:
    x = layers.Conv2D(width, kernel, stride, padding="same", use_bias=False, name=name)(x)
    return _norm(x, name, activated=activated)


def _norm(x: keras.KerasTensor, name: str, *, activated: bool = True) -> keras.KerasTensor:
    x = layers.BatchNormalization(epsilon=_EPSILON, name=f"{name}_norm")(x)
    return layers.ReLU(6.0, name=f"{name}_relu")(x) if activated else x
