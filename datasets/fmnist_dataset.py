"""Fashion-MNIST: 70,000 pictures of clothes, 28 x 28.

Reference: Xiao, Rasul & Vollgraf, "Fashion-MNIST", 2017, arXiv:1708.07747.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from datasets import idx_format, pipeline
from datasets.config import DataConfig
from datasets.dataset_info import Arrays, DatasetInfo
from datasets.paths import find_directory

if TYPE_CHECKING:
    import tensorflow as tf

INFO = DatasetInfo(
    name="fmnist",
    title="Fashion-MNIST",
    num_classes=10,
    image_shape=(28, 28, 1),
    num_train=60_000,
    num_test=10_000,
    max_value=255,
    mean=(0.2860,),
    std=(0.3530,),
    crop_padding=4,
    flip=True,
    folder="fashion_mnist",
    class_names=(
        "T-shirt/top",
        "trouser",
        "pullover",
        "dress",
        "coat",
        "sandal",
        "shirt",
        "sneaker",
        "bag",
        "ankle boot",
    ),
    files=tuple((name, None) for name in idx_format.FILES),
    source="The files are at https://github.com/zalandoresearch/fashion-mnist.",
)


def load(config: DataConfig) -> Arrays:
    """Read both splits, in the order of the files; repeated calls share the arrays.

    Args:
        config: the flags that say where the files lie.

    Returns:
        The arrays.

    Raises:
        InputError: for missing, truncated or corrupted files.
    """
    return idx_format.read_folder(find_directory(INFO, config), INFO)


def build(split: str, config: DataConfig, plan: pipeline.BatchPlan) -> tf.data.Dataset:
    """Build the batches of one split, see `datasets.pipeline.build`."""
    return pipeline.build(split, load(config), INFO, config, plan)
