"""Tensors of a network that is being rebuilt, and the order in which their axes are stored.

PyTorch and ONNX want the channels of maps first, Keras has them last. Tensors stay in the order in
which they were made until an op needs another one, so that a convolutional trunk has no
transposition inside, and a Keras layer that only moves axes costs nothing.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from utils.graph.ir import Shape

Order = tuple[int, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Value:
    """A tensor.

    Attributes:
        handle: what the target calls it.
        shape: in the order of Keras; None for the batch and other open sizes.
        dtype: of Keras; all floats are float32.
        order: for each stored axis, which axis of Keras it is.
        block: of a flattened map, [batch, values]: the order in which its axes (without the batch)
            were flattened, and their sizes in Keras, where that is not the order of Keras.
    """

    handle: Any
    shape: Shape
    dtype: str
    order: Order
    block: tuple[Order, tuple[int, ...]] | None = None

    @property
    def rank(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def is_plain(self) -> bool:
        """Whether it is stored as Keras has it."""
        return self.order == plain(self.rank) and self.block is None

    @property
    def stored_shape(self) -> Shape:
        """Sizes of the stored axes."""
        return tuple(self.shape[axis] for axis in self.order)

    def place(self, axis: int) -> int:
        """Say where an axis of Keras is stored."""
        return self.order.index(axis % self.rank)


def plain(rank: int) -> Order:
    """Give the order of Keras."""
    return tuple(range(rank))


def channels_first(rank: int, axis: int = -1) -> Order:
    """Give the order with the channels behind the batch.

    Args:
        rank: number of axes.
        axis: of the channels in Keras.

    Example:
        >>> channels_first(4)
        (0, 3, 1, 2)
    """
    channel = axis % rank
    return (0, channel, *(each for each in range(1, rank) if each != channel))


def block_rows(block: tuple[Order, tuple[int, ...]]) -> np.ndarray:
    """Say which value of Keras' flattened map each stored one is.

    Args:
        block: see `Value`.

    Returns:
        int64 array [values].

    Example:
        >>> block_rows(((1, 0), (2, 3)))
        array([0, 3, 1, 4, 2, 5])
    """
    order, sizes = block
    return np.arange(math.prod(sizes)).reshape(sizes).transpose(order).ravel()


def moves_nothing(shape: Shape, perm: Sequence[int]) -> bool:
    """Whether a transposition leaves all values where they are: only axes of size 1 move.

    Example:
        >>> moves_nothing((None, 1, 1, 8), (0, 3, 1, 2))
        True
        >>> moves_nothing((None, 2, 1, 8), (0, 3, 1, 2))
        False
    """
    wide = [axis for axis in perm if shape[axis] != 1]
    return wide == sorted(wide)
