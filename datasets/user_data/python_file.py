"""A Python file with two functions: `train_data()` and `test_data()`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from datasets.user_data.labels import as_labels
from datasets.user_data.parts import GivenData, Part, Stored, UserData
from utils.causes import blaming
from utils.errors import InputError
from utils.user_file import load_user_file

_FUNCTIONS = ("train_data", "test_data")


def read_python_file(path: Path) -> UserData | GivenData:
    """Call the two functions of a file.

    Args:
        path: the file. Its functions give arrays (inputs, labels) as the network takes them, or
            what `compress()` takes: a tf.data.Dataset or PyDataset of batches.

    Returns:
        Samples where both give a pair of arrays; else what they give.

    Raises:
        InputError: if a function is missing or raises.
    """
    module = load_user_file(path, "Data file")
    missing = [name for name in _FUNCTIONS if not callable(getattr(module, name, None))]
    if missing:
        raise InputError(
            f"{path}: expected the functions train_data() and test_data(), which return (inputs, "
            f"labels). Missing: {', '.join(missing)}."
        )
    parts = []
    for name in _FUNCTIONS:
        with blaming(f"{path}: {name}()"):
            parts.append(getattr(module, name)())
    if all(_is_pair(part) for part in parts):
        train, test = (_part(f"{path}: {n}()", p) for n, p in zip(_FUNCTIONS, parts, strict=True))
        return UserData(name=path.stem, train=train, test=test)
    return GivenData(name=path.stem, train=parts[0], test=parts[1])


def _is_pair(part: Any) -> bool:
    return isinstance(part, tuple) and len(part) == 2 and all(hasattr(x, "shape") for x in part)


def _part(where: str, pair: Any) -> Part:
    inputs, labels = (np.asarray(array) for array in pair)
    if inputs.ndim == 0 or len(inputs) != len(labels) or not len(inputs):
        raise InputError(
            f"{where} must give as many labels as inputs, and some. Received: shapes "
            f"{inputs.shape} and {labels.shape}."
        )
    if inputs.dtype.kind not in "biuf" or not np.isfinite(inputs).all():
        raise InputError(
            f"{where} must give inputs of finite numbers. Received: {inputs.dtype}"
            f"{'' if inputs.dtype.kind not in 'biuf' else ' with NaN or infinite values'}."
        )
    return Part(inputs=Stored(inputs, None), labels=as_labels(labels, f"{where}: the labels"))
