"""What a run started from, as a short text: two runs are the same only if their networks were."""

import hashlib
import os
from collections.abc import Iterable

import keras
import numpy as np

_BLOCK = 1 << 20
_LENGTH = 16


def network_digest(model: keras.Model) -> str:
    """Digest a network's layers and weights, bit by bit.

    Args:
        model: the network.

    Returns:
        16 hexadecimal digits.
    """
    kinds = " ".join(type(layer).__name__ for layer in model.layers)
    arrays = (np.ascontiguousarray(array) for array in model.get_weights())
    parts = (part for array in arrays for part in (str(array.shape).encode(), array.tobytes()))
    return _digest([kinds.encode()], parts)


def file_digest(path: str | os.PathLike[str]) -> str:
    """Digest a file's bytes; 16 hexadecimal digits."""
    with open(path, "rb") as stream:
        return _digest(iter(lambda: stream.read(_BLOCK), b""))


def _digest(*streams: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for stream in streams:
        for part in stream:
            digest.update(part)
    return digest.hexdigest()[:_LENGTH]
