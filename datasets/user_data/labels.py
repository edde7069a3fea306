"""Labels as they come: numbers of classes, names of classes, one-hot rows, values to predict."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from utils.errors import InputError


def as_labels(values: np.ndarray, where: str) -> np.ndarray:
    """Bring labels into one of two forms.

    Args:
        values: numbers [n], [n, 1], one-hot [n, classes] or values [n, …]; whole numbers are
            classes whatever their type.
        where: file and array, for messages.

    Returns:
        int64 [n] of classes, or float32 [n, …] of values.

    Raises:
        InputError: for anything but finite numbers.

    Example:
        >>> as_labels(np.array([[0.0, 1.0], [1.0, 0.0]]), "y")
        array([1, 0])
        >>> as_labels(np.array([[2.0], [0.0]]), "y")
        array([2, 0])
        >>> as_labels(np.array([0.5, 1.0]), "y")
        array([0.5, 1. ], dtype=float32)
    """
    if values.dtype.kind not in "biuf":
        raise InputError(f"{where} must hold numbers. Received: {values.dtype}.")
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise InputError(f"{where} has labels that are NaN or infinite. Give finite ones.")
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim == 2 and _is_one_hot(values):
        return values.argmax(axis=1).astype(np.int64)
    whole = values.dtype.kind in "biu" or bool((values == np.round(values)).all())
    if values.ndim == 1 and whole:
        return values.astype(np.int64)
    return values.astype(np.float32)


def _is_one_hot(values: np.ndarray) -> bool:
    return bool(((values == 0) | (values == 1)).all() and (values.sum(axis=1) == 1).all())


def of_names(texts: Sequence[Sequence[str]]) -> tuple[list[np.ndarray], tuple[str, ...]]:
    """Turn texts into labels: numbers where all are numbers, else classes sorted by name.

    Args:
        texts: of each part.

    Returns:
        Numbers of each part, [n], and the names of the classes; none where they are numbers.

    Example:
        >>> of_names([["dog", "cat"], ["cat"]])
        ([array([1, 0]), array([0])], ('cat', 'dog'))
        >>> of_names([["1", "0.5"]])
        ([array([1. , 0.5])], ())
    """
    try:
        return [np.array([float(text) for text in part]) for part in texts], ()
    except ValueError:
        pass
    names = sorted({text for part in texts for text in part})
    number = {name: place for place, name in enumerate(names)}
    return [np.array([number[text] for text in part]) for part in texts], tuple(names)
