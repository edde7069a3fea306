"""Constants worked out, and what foreign files make functions raise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from utils.frontends.source import MAX_FOLDED_ELEMENTS, NotConvertible, SourceNode
from utils.frontends.values import Value
from utils.graph.keras_reading import first_line

Fold = Callable[[SourceNode, list[Any]], Sequence[Any]]


def folded(node: SourceNode, fold: Fold, read: Sequence[Value]) -> list[Value]:
    """Work constants out, and once more with other stand-ins if they depend on open sizes."""
    arrays = guarded(lambda: [np.asarray(a) for a in fold(node, [value.array for value in read])])
    if not any(value.is_shape for value in read):
        return [Value(array=array) for array in arrays]
    try:
        changed = [value.array if value.other is None else value.other for value in read]
        others = [np.asarray(array) for array in fold(node, changed)]
    except Exception:  # the other stand-ins need not fit each other
        others = [np.zeros(0)] * len(arrays)
    return [
        Value(array=array, other=None if _is_equal(array, other) else other)
        for array, other in zip(arrays, others, strict=True)
    ]


def _is_equal(one: np.ndarray, other: np.ndarray) -> bool:
    is_small = one.size <= MAX_FOLDED_ELEMENTS  # repeated entries take no memory, but time
    return is_small and one.shape == other.shape and bool(np.array_equal(one, other))


def guarded(call: Callable[[], Any]) -> Any:
    """Call a function of a table: what a foreign file's nonsense raises becomes a reason.

    Raises:
        NotConvertible: with the reason.
    """
    try:
        return call()
    except NotConvertible:
        raise
    except MemoryError:
        raise NotConvertible("needs more memory than there is") from None
    except Exception as error:
        raise NotConvertible(
            f"it does not fit what it reads ({type(error).__name__}: {first_line(error)})"
        ) from error
