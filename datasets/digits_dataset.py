"""The handwritten digits that come with scikit-learn: 1,797 images of 8 x 8, no files needed.

Reference: Alpaydin & Kaynak, "Optical Recognition of Handwritten Digits", UCI, 1998.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np

from datasets import pipeline
from datasets.config import DataConfig
from datasets.dataset_info import Arrays, DatasetInfo
from datasets.splits import stratified_split

if TYPE_CHECKING:
    import tensorflow as tf

_TEST_FRACTION = 0.2
_SPLIT_SEED = 0  # the test split is a fact, it does not follow --seed

INFO = DatasetInfo(
    name="digits",
    title="scikit-learn's digits",
    num_classes=10,
    image_shape=(8, 8, 1),
    num_train=1438,
    num_test=359,
    max_value=16,
    mean=(0.3055,),
    std=(0.3761,),
    crop_padding=1,
    class_names=tuple("0123456789"),
)


def load(config: DataConfig) -> Arrays:
    """Read both splits; the test split is always the same.

    Args:
        config: not used, the data comes with scikit-learn.

    Returns:
        The arrays.
    """
    del config
    return _load()


def build(split: str, config: DataConfig, plan: pipeline.BatchPlan) -> tf.data.Dataset:
    """Build the batches of one split, see `datasets.pipeline.build`."""
    return pipeline.build(split, load(config), INFO, config, plan)


@functools.lru_cache(maxsize=1)
def _load() -> Arrays:
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = digits.images.astype(np.uint8)[..., None]
    labels = digits.target.astype(np.int32)
    train, test = stratified_split(labels, _TEST_FRACTION, _SPLIT_SEED)
    return Arrays(images[train], labels[train], images[test], labels[test])
