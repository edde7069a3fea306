"""The tutorial's network, two convolutions and two dense layers, on Fashion-MNIST."""

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
class ConvnetAtFmnistConfig(HelperConfig):
    """The shared flags with this pair's defaults."""

    loss_w_dcy: float = flag(3e-4, "Weight of the weight-decay term in the loss.", lower=0.0)


class ModelHelper(ClassificationHelper):
    """The network of the page about own models, with its schedule (160 epochs)."""

    config_class = ConvnetAtFmnistConfig
    dataset = load_dataset("fmnist")
    num_epochs = 160
    epochs_decay = (40, 80, 120)

    def forward(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        """Build the network."""
        from nets.backbones import lenet

        return lenet.build(
            inputs,
            self.dataset.INFO.num_classes,
            conv_widths=(32, 64),
            dense_widths=(1024,),
            padding="same",
        )
