"""What the module of a data set offers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from datasets.config import DataConfig
from datasets.dataset_info import Arrays, DatasetInfo
from datasets.pipeline import BatchPlan

if TYPE_CHECKING:
    import tensorflow as tf


class DatasetModule(Protocol):
    """What a module `datasets/<name>_dataset.py` offers."""

    INFO: DatasetInfo

    def load(self, config: DataConfig) -> Arrays:
        """Read both splits."""

    def build(self, split: str, config: DataConfig, plan: BatchPlan) -> tf.data.Dataset:
        """Build the batches of one split."""
