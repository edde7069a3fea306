"""LeNet-300-100 on MNIST: dense layers only, 267 thousand parameters."""

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
class LenetAtMnistConfig(HelperConfig):
    """The shared flags with the defaults of LeNets on MNIST."""

    lrn_rate_init: float = flag(0.02, "Initial learning rate.", lower=0.0, lower_open=True)
    loss_w_dcy: float = flag(5e-4, "Weight of the weight-decay term in the loss.", lower=0.0)


class ModelHelper(ClassificationHelper):
    """Dense layers of 300 and 100 units."""

    config_class = LenetAtMnistConfig
    dataset = load_dataset("mnist")
    num_epochs = 20
    epochs_decay = (10, 16)
    decay_rates = (1.0, 0.1, 0.01)

    def forward(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        """Build the network."""
        from nets.backbones import lenet

        return lenet.build(inputs, self.dataset.INFO.num_classes, dense_widths=(300, 100))
