"""ResNet-20/32/44/56/110 on CIFAR-10."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from datasets import load_dataset
from nets import torch_names
from nets.classification_helper import ClassificationHelper
from nets.config import HelperConfig
from utils.errors import InputError
from utils.flags import flag

if TYPE_CHECKING:
    import keras

_SIZES = (20, 32, 44, 56, 110)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ResnetAtCifar10Config(HelperConfig):
    """The shared flags, and the network's depth and shortcut."""

    resnet_size: int = flag(20, "Number of weighted layers: 20, 32, 44, 56 or 110.")
    resnet_shortcut: str = flag(
        "padding",
        "Shortcut where the shape changes: `padding` has no parameters and fits the public "
        "pretrained weights; `projection` is a 1 x 1 convolution.",
        choices=("padding", "projection"),
    )

    def __post_init__(self) -> None:
        """Check the size: flags have bounds, but no list of numbers."""
        if self.resnet_size not in _SIZES:
            raise InputError(
                f"`resnet_size` must be one of {', '.join(map(str, _SIZES))}. "
                f"Received: {self.resnet_size}."
            )


class ModelHelper(ClassificationHelper):
    """The ResNets of He et al. for CIFAR-10, with their schedule (250 epochs)."""

    config_class = ResnetAtCifar10Config
    config: ResnetAtCifar10Config
    dataset = load_dataset("cifar10")

    def forward(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        """Build the network."""
        from nets.backbones import resnet_cifar

        return resnet_cifar.build(
            inputs,
            self.dataset.INFO.num_classes,
            size=self.config.resnet_size,
            shortcut=self.config.resnet_shortcut,
        )

    @property
    def model_name(self) -> str:
        """`resnet_<size>`."""
        return f"resnet_{self.config.resnet_size}"

    def npz_to_weights(self, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Translate the names and layouts of the public PyTorch weights, if it is those."""
        return torch_names.translate(arrays, _layer_name)


def _layer_name(torch_name: str) -> str:
    """Name our layer of a PyTorch module, e.g. `layer2.0.bn1` -> `stage2_block0_bn1`."""
    names = {"conv1": "stem_conv", "bn1": "stem_bn", "linear": "fc"}
    if torch_name in names:
        return names[torch_name]
    stage, block, layer = torch_name.split(".")
    return f"{stage.replace('layer', 'stage')}_block{block}_{layer}"
