"""CIFAR-10 from its binary batches.

A record is one label byte and 3,072 bytes of pixels: the red plane, then green, then blue, each
32 x 32 row by row. Reference: Krizhevsky, "Learning Multiple Layers of Features from Tiny
Images", 2009.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from datasets import pipeline
from datasets.config import DataConfig
from datasets.dataset_info import Arrays, DatasetInfo
from datasets.paths import find_directory
from utils.errors import InputError

if TYPE_CHECKING:
    import tensorflow as tf

_RECORDS_PER_FILE = 10_000
_RECORD_BYTES = 1 + 3 * 32 * 32
_TRAIN_FILES = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
_TEST_FILE = "test_batch.bin"

INFO = DatasetInfo(
    name="cifar10",
    title="CIFAR-10",
    num_classes=10,
    image_shape=(32, 32, 3),
    num_train=50_000,
    num_test=10_000,
    max_value=255,
    # Those the public pretrained ResNets were trained with (ImageNet's), not CIFAR-10's own.
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
    crop_padding=4,
    flip=True,
    folder="cifar10",
    class_names=(
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    ),
    subfolders=("cifar-10-batches-bin",),
    files=tuple((name, _RECORDS_PER_FILE * _RECORD_BYTES) for name in (*_TRAIN_FILES, _TEST_FILE)),
    source="The binary version is at https://www.cs.toronto.edu/~kriz/cifar.html.",
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
    return _read_folder(find_directory(INFO, config))


def build(split: str, config: DataConfig, plan: pipeline.BatchPlan) -> tf.data.Dataset:
    """Build the batches of one split, see `datasets.pipeline.build`."""
    return pipeline.build(split, load(config), INFO, config, plan)


@functools.lru_cache(maxsize=1)
def _read_folder(folder: Path) -> Arrays:
    images, labels = zip(*(read_batch(folder / name) for name in _TRAIN_FILES), strict=True)
    return Arrays(np.concatenate(images), np.concatenate(labels), *read_batch(folder / _TEST_FILE))


def read_batch(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read one binary batch.

    Args:
        path: the `.bin` file.

    Returns:
        Images uint8 [n, 32, 32, 3] and labels int32 [n].

    Raises:
        InputError: if the last record is incomplete or a label is out of range.
    """
    raw = np.fromfile(path, dtype=np.uint8)
    num_records, rest = divmod(raw.size, _RECORD_BYTES)
    if rest or num_records == 0:
        raise InputError(
            f"{path}: truncated at byte {raw.size}: record {num_records} (counted from 0, "
            f"{_RECORD_BYTES} bytes each) is incomplete. Fetch the file again. {INFO.source}"
        )
    records = raw.reshape(num_records, _RECORD_BYTES)
    labels = records[:, 0].astype(np.int32)
    wrong = np.flatnonzero(labels >= INFO.num_classes)
    if wrong.size:
        record = int(wrong[0])
        raise InputError(
            f"{path}: corrupted at byte {record * _RECORD_BYTES}: the label of record {record} "
            f"must be in 0..{INFO.num_classes - 1}. Received: {labels[record]}. Fetch the file "
            f"again. {INFO.source}"
        )
    planes = records[:, 1:].reshape(num_records, 3, 32, 32)
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), labels
