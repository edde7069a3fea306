"""Two layers of gated recurrent units on spoken digits."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from datasets import load_dataset
from datasets.fsdd_dataset import FsddDataConfig
from nets.classification_helper import ClassificationHelper
from nets.config import HelperConfig
from utils.flags import flag, group

if TYPE_CHECKING:
    import keras

_LARGEST_GRADIENT = 1.0  # its norm; recurrent layers may have a far larger one now and then


@dataclasses.dataclass(frozen=True, kw_only=True)
class GruAtFsddConfig(HelperConfig):
    """The shared flags with this pair's defaults, and who is held out."""

    batch_size: int = flag(64, "Training images per step and worker.", lower=1, upper=1_000_000)
    lrn_rate_init: float = flag(0.003, "Initial learning rate.", lower=0.0, lower_open=True)
    batch_size_norm: float = flag(64.0, "Batch size for `lrn_rate_init`.", lower=1.0, upper=1e6)
    data: FsddDataConfig = group(FsddDataConfig)


class ModelHelper(ClassificationHelper):
    """Two GRU layers of 96 units over 51 time steps, and a dense layer on the last one.

    It is trained with Adam: `--lrn_rate_ft` is a rate of Adam's as well, 0.002 rather than 0.01.
    """

    config_class = GruAtFsddConfig
    dataset = load_dataset("fsdd")
    num_epochs = 20
    epochs_decay = (12, 17)
    decay_rates = (1.0, 0.1, 0.01)

    def forward(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        """Build the network."""
        from nets.backbones import gru

        return gru.build(inputs, self.dataset.INFO.num_classes)

    def build_optimizer(
        self, lrn_rate: keras.optimizers.schedules.LearningRateSchedule | float
    ) -> keras.optimizers.Optimizer:
        """Make Adam; see the base class."""
        import keras

        return keras.optimizers.Adam(lrn_rate, clipnorm=_LARGEST_GRADIENT)
