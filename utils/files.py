"""Files that appear whole or not at all, and loading of checked files.

Writers go through `atomic_path`. Readers of `.keras` and `.npz` files check them first (see
`utils.archives`, whose checks are offered here too). Keras is imported only by the functions that
need it.
"""

from __future__ import annotations

import os
import pathlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from utils.archives import MAX_ARCHIVE_BYTES, check_keras_archive, check_npz
from utils.atomic import atomic_path, check_writable
from utils.errors import InputError
from utils.stable_archive import make_stable

if TYPE_CHECKING:
    import keras

_Path = str | os.PathLike[str]
_H5_ENDINGS = (".h5", ".hdf5")
PACKED_ENDING = ".fpq"
"""Ending of packed files, see `utils.quantization.packed`."""

NETWORK_ENDINGS = (".keras", *_H5_ENDINGS, PACKED_ENDING)
"""Endings of the files that `load_keras_model` reads."""

__all__ = [
    "MAX_ARCHIVE_BYTES",
    "NETWORK_ENDINGS",
    "PACKED_ENDING",
    "atomic_path",
    "check_keras_archive",
    "check_npz",
    "check_writable",
    "holds_network",
    "load_keras_model",
    "load_npz",
    "save_keras_model",
    "save_npz",
]


def load_npz(path: _Path, max_bytes: int = MAX_ARCHIVE_BYTES) -> dict[str, np.ndarray]:
    """Read all arrays of a `.npz` file after `check_npz`.

    Args:
        path: the `.npz` file.
        max_bytes: largest accepted sum of unpacked sizes.

    Returns:
        The arrays by name, in the file's order.

    Raises:
        InputError: see `check_npz`.
    """
    check_npz(path, max_bytes)
    with np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def save_npz(arrays: Mapping[str, np.ndarray], path: _Path) -> None:
    """Write named arrays as `.npz`, whole or not at all.

    Args:
        arrays: plain arrays by name.
        path: the `.npz` file to write.

    Raises:
        InputError: if the path cannot be written.
    """
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        np.savez(stream, allow_pickle=False, **dict(arrays))


def load_keras_model(path: _Path, allow_unsafe: bool = False) -> keras.Model:
    """Load a network, uncompiled, after checking the file.

    Args:
        path: a `.keras` file, an `.h5` file (of Keras 2 as well) that holds a whole network, or a
            packed file (`.fpq`).
        allow_unsafe: also load Python code (Lambda layers). It runs: only for files you trust.

    Returns:
        The model. Names in it that TensorFlow's graphs do not take are replaced.

    Raises:
        InputError: if the file is refused or Keras cannot rebuild the model from it.
    """
    is_h5, is_packed = _is_h5(path), pathlib.Path(path).suffix == PACKED_ENDING
    if not is_h5 and not is_packed:
        check_keras_archive(path)  # Keras takes seconds: the checks come first
    from utils import keras_loading, legacy_keras
    from utils.graph import traceable

    if is_packed:
        from utils.quantization.packed import load_packed

        return traceable(load_packed(path, allow_unsafe=allow_unsafe))
    if is_h5:
        return traceable(legacy_keras.load_network(path, allow_unsafe=allow_unsafe))
    if legacy_keras.is_keras_2_archive(path):
        return traceable(legacy_keras.load_archive(path, allow_unsafe=allow_unsafe))
    return traceable(keras_loading.load(path, allow_unsafe))


def _is_h5(path: _Path) -> bool:
    """Whether a file is HDF5 by its content, or should be by its name."""
    from utils.hdf5 import is_hdf5

    return is_hdf5(path) or (pathlib.Path(path).is_file() and str(path).endswith(_H5_ENDINGS))


def holds_network(path: _Path) -> bool:
    """Whether a file is meant to hold a whole network, not weights alone.

    Raises:
        InputError: if it is a damaged `.h5` file.
    """
    if not _is_h5(path):
        return str(path).endswith((".keras", PACKED_ENDING))
    from utils import legacy_keras

    return legacy_keras.holds_network(path)


def save_keras_model(model: keras.Model, path: _Path) -> None:
    """Save a model as `.keras`, whole or not at all; equal models give equal bytes.

    Args:
        model: any Keras model.
        path: the file to write; must end in `.keras`.

    Raises:
        InputError: if the ending is another one or the path cannot be written.
    """
    if pathlib.Path(path).suffix != ".keras":
        raise InputError(f"models are saved as .keras files. Received: {str(path)!r}.")
    with atomic_path(path) as temporary:
        model.save(temporary)
        make_stable(temporary)
