"""A LeNet-like network on CIFAR-10."""

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
class LenetAtCifar10Config(HelperConfig):
    """The shared flags with this pair's defaults."""

    lrn_rate_init: float = flag(0.01, "Initial learning rate.", lower=0.0, lower_open=True)
    loss_w_dcy: float = flag(5e-4, "Weight of the weight-decay term in the loss.", lower=0.0)


class ModelHelper(ClassificationHelper):
    """Two convolutions and two dense layers, with the documents' schedule (250 epochs)."""

    config_class = LenetAtCifar10Config
    dataset = load_dataset("cifar10")

    def forward(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        """Build the network."""
        from nets.backbones import lenet

        classes = self.dataset.INFO.num_classes
        return lenet.build(inputs, classes, conv_widths=(32, 64), dense_widths=(256,))
