"""What all workers must have alike before they train together, as short texts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import keras
import numpy as np

from utils.errors import InputError
from utils.multi_gpu_wrapper import MultiGpuWrapper

_LENGTH = 16


def choices_digest(variables: Iterable[Any]) -> str:
    """Digest what was decided about a network: its shapes, and which weights are exactly zero.

    Values differ in their last bits between kinds of processors, and worker 0's are sent to all;
    decisions must be the same.

    Args:
        variables: Keras variables, or arrays.

    Returns:
        16 hexadecimal digits.

    Example:
        >>> one, other = [np.array([[1.0, 0.0]])], [np.array([[2.0, 0.0]])]
        >>> choices_digest(one) == choices_digest(other) != choices_digest([np.ones([1, 2])])
        True
    """
    digest = hashlib.sha256()
    for variable in variables:
        values = np.asarray(variable)
        digest.update(str(values.shape).encode())
        if values.ndim >= 2:
            digest.update(np.packbits(values == 0).tobytes())
    return digest.hexdigest()[:_LENGTH]


def refuse_equal_batches(workers: MultiGpuWrapper, batch: Any, what: str) -> None:
    """Make sure that workers train on different samples.

    Args:
        workers: all.
        batch: this worker's first.
        what: trains on it.

    Raises:
        InputError: if two workers have the same batch.
    """
    arrays: Sequence[np.ndarray] = [np.asarray(part) for part in keras.tree.flatten(batch)]
    own = hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()
    digests = workers.gather(own)
    if len(set(digests)) < len(digests):
        raise InputError(
            f"{what}: several workers are given the same training batch. Let build_dataset_train "
            "give every worker its own part, by self.worker = (rank, number of workers), or give "
            "more data, or train with fewer workers."
        )
