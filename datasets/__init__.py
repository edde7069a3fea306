"""Data sets: one literal table, name -> module; loaded only when asked for.

Each module offers `INFO` (its facts), `load` (arrays) and `build` (batches), see
`datasets/dataset_module.py`. A new one is a module, a row here and a ModelHelper that uses it; the
contract tests take it up from the table.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from utils.errors import InputError
from utils.flags import nearest

if TYPE_CHECKING:
    from datasets.dataset_module import DatasetModule

DATASETS = {
    "cifar10": "datasets.cifar10_dataset",
    "digits": "datasets.digits_dataset",
    "fmnist": "datasets.fmnist_dataset",
    "fsdd": "datasets.fsdd_dataset",
    "mnist": "datasets.mnist_dataset",
}


def load_dataset(name: str) -> DatasetModule:
    """Find a data set by its name; neither its files nor TensorFlow are touched.

    Args:
        name: a key of `DATASETS`, which is its `INFO.name` too.

    Returns:
        The module.

    Raises:
        InputError: for an unknown name; lists the valid ones.

    Example:
        >>> load_dataset("digits").INFO.image_shape
        (8, 8, 1)
    """
    if name not in DATASETS:
        raise InputError(f"Unknown data set {name!r}. {nearest(name, DATASETS)}")
    module: Any = importlib.import_module(DATASETS[name])
    return module
