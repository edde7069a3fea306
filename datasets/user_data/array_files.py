"""Arrays in files: a `.npz`, or a folder of idx files as MNIST has them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from datasets.idx_format import read_idx, read_shape
from datasets.user_data.labels import as_labels
from datasets.user_data.parts import Part, Stored, UserData, white_of, with_test_part
from utils.errors import InputError
from utils.files import load_npz

_NAMES = ("x_train", "y_train", "x_test", "y_test")


def read_npz(path: Path) -> UserData:
    """Read `x_train`, `y_train`, `x_test` and `y_test`, or `x` and `y`.

    Args:
        path: the `.npz` file; pickled objects are refused.

    Raises:
        InputError: for a damaged or oversized file, arrays of other names, of lengths that do not
            fit or of no numbers, values that are not finite.
    """
    arrays = load_npz(path)
    names = _NAMES if "x_train" in arrays else ("x", "y")
    missing = [name for name in names if name not in arrays]
    if "x_train" in arrays and {"x_test", "y_test"} <= {*missing}:
        names = _NAMES[:2]
        missing = [name for name in names if name not in arrays]
    if missing:
        raise InputError(
            f"{path}: expected the arrays {', '.join(_NAMES)}, or x and y. Missing: "
            f"{', '.join(missing)}. Found: {', '.join(arrays) or 'none'}. Write them with "
            "numpy.savez(path, x_train=…, …)."
        )
    return _of_arrays(path, {name: arrays[name] for name in names})


def read_idx_folder(path: Path) -> UserData:
    """Read `train-images-idx3-ubyte` and its three companions, gzipped or not.

    Args:
        path: the folder.

    Raises:
        InputError: for a missing, truncated or damaged file.
    """
    arrays = {}
    for part, prefixes in (("train", ("train",)), ("test", ("t10k", "test"))):
        for name, kind in (("x", "images"), ("y", "labels")):
            file = _idx_file(path, prefixes, kind)
            arrays[f"{name}_{part}"] = read_idx(file, read_shape(file))
    return _of_arrays(path, arrays)


def is_idx_folder(path: Path) -> bool:
    """Tell whether a folder holds idx files."""
    return any(path.glob("*-images-idx?-ubyte*"))


def _idx_file(path: Path, prefixes: tuple[str, ...], kind: str) -> Path:
    found = [
        file for prefix in prefixes for file in sorted(path.glob(f"{prefix}-{kind}-idx?-ubyte*"))
    ]
    if not found:
        raise InputError(
            f"{path}: there is no {prefixes[0]}-{kind}-idx{3 if kind == 'images' else 1}-ubyte or "
            "…-ubyte.gz. A folder of idx files has images and labels of train and t10k."
        )
    return found[0]


def _of_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> UserData:
    for name, array in arrays.items():
        _check_array(path, name, array)
    inputs = {name: array for name, array in arrays.items() if name.startswith("x")}
    white = white_of(list(inputs.values()))
    parts = {}
    for name, array in inputs.items():
        labels = arrays["y" + name[1:]]
        if len(labels) != len(array):
            raise InputError(
                f"{path}: {name} has {len(array):,} samples, y{name[1:]} {len(labels):,}. Give "
                "each a label."
            )
        parts[name] = Part(
            inputs=Stored(array, white), labels=as_labels(labels, f"{path}: y{name[1:]}")
        )
    if len(parts) == 1:
        (part,) = parts.values()
        return with_test_part(str(path), part)
    return UserData(name=str(path), train=parts["x_train"], test=parts["x_test"])


def _check_array(path: Path, name: str, array: np.ndarray) -> None:
    if array.dtype.kind not in "biuf":
        raise InputError(f"{path}: {name} must hold numbers. Received: {array.dtype}.")
    if array.ndim == 0 or not array.size:
        raise InputError(f"{path}: {name} must have samples. Received: shape {array.shape}.")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        bad = ~np.isfinite(array.reshape(len(array), -1)).all(axis=1)
        raise InputError(
            f"{path}: {int(bad.sum()):,} samples of {name} hold NaN or infinite values, number "
            f"{int(np.argmax(bad))} the first. Give finite values."
        )
