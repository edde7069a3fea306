"""MobileNet v1, v2 and v3-small on CIFAR-10."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from datasets import load_dataset
from nets.classification_helper import ClassificationHelper
from nets.config import HelperConfig
from utils.flags import flag

if TYPE_CHECKING:
    import keras


@dataclasses.dataclass(frozen=True, kw_only=True)
class MobilenetAtCifar10Config(HelperConfig):
    """The shared flags with this pair's defaults, and the network's version and width."""

    mobilenet_version: int = flag(
        1, "Version of MobileNet; 3 is v3-small, with squeeze-excite.", lower=1, upper=3
    )
    mobilenet_depth_mult: float = flag(
        1.0,
        "Width multiplier: channels of every layer, relative to the original.",
        lower=0.0,
        upper=4.0,
        lower_open=True,
    )
    lrn_rate_init: float = flag(0.05, "Initial learning rate.", lower=0.0, lower_open=True)
    loss_w_dcy: float = flag(4e-5, "Weight of the weight-decay term in the loss.", lower=0.0)


class ModelHelper(ClassificationHelper):
    """The three MobileNets with strides for 32 x 32 images."""

    config_class = MobilenetAtCifar10Config
    config: MobilenetAtCifar10Config
    dataset = load_dataset("cifar10")
    num_epochs = 200
    epochs_decay = (100, 150)
    decay_rates = (1.0, 0.1, 0.01)

    def forward(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        """Build the network."""
        from nets.backbones import mobilenet_cifar

        return mobilenet_cifar.build(
            inputs,
            self.dataset.INFO.num_classes,
            version=self.config.mobilenet_version,
            depth_mult=self.config.mobilenet_depth_mult,
        )

    @property
    def model_name(self) -> str:
        """`mobilenet_v<version>`."""
        return f"mobilenet_v{self.config.mobilenet_version}"
