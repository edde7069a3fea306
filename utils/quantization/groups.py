"""Which weights share a scale or a codebook: all of a tensor, those of a channel, a bucket of n.

Everything else works on `group ids`: an integer array shaped like the weight. Values of groups are
spread over the weights by indexing with it, sums over groups are taken by counting with it, in
NumPy and in `keras.ops` alike.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Literal

import numpy as np


@dataclasses.dataclass(frozen=True)
class Grouping:
    """How a weight is divided into groups.

    Attributes:
        kind: `tensor`: one group; `channel`: one for each output channel; `split`: the weights, in
            memory order, in buckets of `size`, the last one perhaps smaller.
        size: weights of a bucket, >= 1; only of `split`.
        axes: only of `channel`: the axes, counted from the back, whose indices tell channels apart:
            (-1,) for dense layers and convolutions, (-2, -1) for depthwise, (-2,) for transposed
            ones.

    Example:
        >>> Grouping("channel").ids((2, 3)).tolist()
        [[0, 1, 2], [0, 1, 2]]
        >>> Grouping("split", size=4).ids((2, 3)).tolist()
        [[0, 0, 0], [0, 1, 1]]
    """

    kind: Literal["tensor", "channel", "split"]
    size: int | None = None
    axes: tuple[int, ...] = (-1,)

    def __post_init__(self) -> None:
        if self.kind not in ("tensor", "channel", "split"):
            raise ValueError(
                f"`kind` must be 'tensor', 'channel' or 'split'. Received: {self.kind!r}."
            )
        if (self.kind == "split") != (self.size is not None):
            raise ValueError(f"`size` is needed for 'split' only. Received: {self}.")
        if self.size is not None and self.size < 1:
            raise ValueError(f"`size` must be at least 1. Received: {self.size}.")
        if any(axis >= 0 for axis in self.axes) or not self.axes:
            raise ValueError(f"`axes` must be counted from the back. Received: {self.axes}.")

    def num_groups(self, shape: Sequence[int]) -> int:
        """Count the groups of a weight."""
        if self.kind == "tensor":
            return 1
        if self.size is not None:
            return -(-math.prod(shape) // self.size)
        return math.prod(shape[axis] for axis in self.axes)

    def ids(self, shape: Sequence[int]) -> np.ndarray:
        """Number the groups.

        Args:
            shape: of the weight.

        Returns:
            int32, shaped so: the group of each weight, in [0, `num_groups(shape)`).
        """
        if self.kind == "tensor":
            return np.zeros(shape, np.int32)
        if self.size is not None:
            return (np.arange(math.prod(shape), dtype=np.int32) // self.size).reshape(shape)
        axes = [axis + len(shape) for axis in self.axes]
        places = np.arange(self.num_groups(shape), dtype=np.int32)
        places = places.reshape([n if axis in axes else 1 for axis, n in enumerate(shape)])
        return np.ascontiguousarray(np.broadcast_to(places, shape))
