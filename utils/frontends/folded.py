"""Constants worked out, and what foreign files make functions raise."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from utils.archives import MAX_ARCHIVE_BYTES
from utils.errors import InputError
from utils.frontends.source import (
    MAX_FOLDED_ELEMENTS,
    NotConvertible,
    SourceNetwork,
    SourceNode,
)
from utils.frontends.values import Value
from utils.graph.keras_reading import first_line

Fold = Callable[[SourceNode, list[Any]], Sequence[Any]]
MIN_ALLOWANCE_BYTES = 1 << 30
"""What all constants that are worked out may take together, whatever the file's own take."""
_EXPANSION = 8  # int8 weights become float32, and are then scaled or moved


class FoldAllowance:
    """Memory for the constants that one conversion works out, by those that the file has."""

    def __init__(self, network: SourceNetwork) -> None:
        own = sum(map(_extent, network.constants.values()))
        self._name = network.name
        self._most = min(MAX_ARCHIVE_BYTES, max(MIN_ALLOWANCE_BYTES, _EXPANSION * own))
        self._left = self._most

    def take(self, node: SourceNode, made: Sequence[np.ndarray], read: Iterable[Any]) -> None:
        """Draw the bytes of a node's results; views of what it reads take none.

        Raises:
            InputError: if there are not as many left.
        """
        given = [array for array in read if array is not None]
        for array in made:
            if not any(np.may_share_memory(array, other) for other in given):
                self._left -= _extent(array)
        if self._left < 0:
            raise InputError(
                f"{self._name}: what is worked out of its constants takes more than "
                f"{self._most:,} bytes, the most for a file of its size, at node {node.name!r} "
                f"({node.op}). Simplify the network before it is exported."
            )


def _extent(array: np.ndarray) -> int:
    """Bytes between the ends of an array: one that repeats its entries takes only theirs."""
    low, high = np.lib.array_utils.byte_bounds(array)
    return high - low


def folded(
    node: SourceNode, fold: Fold, read: Sequence[Value], allowance: FoldAllowance
) -> list[Value]:
    """Work constants out, and once more with other stand-ins if they depend on open sizes."""
    given = [value.array for value in read]
    arrays = guarded(lambda: [np.asarray(a) for a in fold(node, given)])
    allowance.take(node, arrays, given)
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
