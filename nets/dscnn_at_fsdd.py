"""DS-CNN, the small keyword spotter, on spoken digits."""

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


@dataclasses.dataclass(frozen=True, kw_only=True)
class DscnnAtFsddConfig(HelperConfig):
    """The shared flags with this pair's defaults, and who is held out."""

    batch_size: int = flag(64, "Training images per step and worker.", lower=1, upper=1_000_000)
    lrn_rate_init: float = flag(0.1, "Initial learning rate.", lower=0.0, lower_open=True)
    batch_size_norm: float = flag(64.0, "Batch size for `lrn_rate_init`.", lower=1.0, upper=1e6)
    data: FsddDataConfig = group(FsddDataConfig)


class ModelHelper(ClassificationHelper):
    """One convolution and four depthwise-separable ones on 51 x 40 spectrograms."""

    config_class = DscnnAtFsddConfig
    dataset = load_dataset("fsdd")
    num_epochs = 20
    epochs_decay = (10, 16)
    decay_rates = (1.0, 0.1, 0.01)

    def forward(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        """Build the network."""
        from nets.backbones import dscnn

        return dscnn.build(inputs, self.dataset.INFO.num_classes)
