"""VGG with batch norm on CIFAR-10."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from datasets import load_dataset
from nets.classification_helper import ClassificationHelper
from nets.config import HelperConfig
from utils.errors import InputError
from utils.flags import flag

if TYPE_CHECKING:
    import keras

_SIZES = (11, 13, 16, 19)


@dataclasses.dataclass(frozen=True, kw_only=True)
class VggAtCifar10Config(HelperConfig):
    """The shared flags with this pair's defaults, and the network's depth."""

    vgg_size: int = flag(16, "Number of weighted layers in the name: 11, 13, 16 or 19.")
    lrn_rate_init: float = flag(0.05, "Initial learning rate.", lower=0.0, lower_open=True)
    loss_w_dcy: float = flag(5e-4, "Weight of the weight-decay term in the loss.", lower=0.0)

    def __post_init__(self) -> None:
        """Check the size: flags have bounds, but no list of numbers."""
        if self.vgg_size not in _SIZES:
            raise InputError(
                f"`vgg_size` must be one of {', '.join(map(str, _SIZES))}. "
                f"Received: {self.vgg_size}."
            )


class ModelHelper(ClassificationHelper):
    """VGG-11/13/16/19 with one hidden dense layer."""

    config_class = VggAtCifar10Config
    config: VggAtCifar10Config
    dataset = load_dataset("cifar10")
    num_epochs = 200
    epochs_decay = (100, 150)
    decay_rates = (1.0, 0.1, 0.01)

    def forward(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        """Build the network."""
        from nets.backbones import vgg_cifar

        return vgg_cifar.build(inputs, self.dataset.INFO.num_classes, size=self.config.vgg_size)

    @property
    def model_name(self) -> str:
        """`vgg_<size>`."""
        return f"vgg_{self.config.vgg_size}"
