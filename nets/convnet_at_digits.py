"""A small ConvNet on scikit-learn's digits: trains in seconds, needs no files."""

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
class ConvnetAtDigitsConfig(HelperConfig):
    """The shared flags with this pair's defaults."""

    batch_size: int = flag(64, "Training images per step and worker.", lower=1, upper=1_000_000)
    lrn_rate_init: float = flag(0.05, "Initial learning rate.", lower=0.0, lower_open=True)
    batch_size_norm: float = flag(64.0, "Batch size for `lrn_rate_init`.", lower=1.0, upper=1e6)


class ModelHelper(ClassificationHelper):
    """Three convolutions with batch norm and two dense layers on 8 x 8 digits."""

    config_class = ConvnetAtDigitsConfig
    dataset = load_dataset("digits")
    num_epochs = 30
    epochs_decay = (15, 25)
    decay_rates = (1.0, 0.1, 0.01)

    def forward(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        """Build the network."""
        from nets.backbones import convnet

        return convnet.build(inputs, self.dataset.INFO.num_classes, widths=(32, 64, 64))
