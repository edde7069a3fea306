"""A quantized weight as it is stored: small integers, and what stands for them."""

from __future__ import annotations

import dataclasses

import numpy as np

from utils.quantization.groups import Grouping

MAX_BITS = 16


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class QuantizedTensor:
    """A weight of few bits, either on a grid of equal steps or by a codebook.

    The invariant: `dequantized()` gives, bit for bit, the float32 weight that the network holds.
    With g the group of a weight and i its index, that is

        float32(scale[g]) * float32(i - zero_point[g])     on a grid,
        levels[g, i]                                        by a codebook.

    Attributes:
        indices: uint16, shaped like the weight, in [0, 2^bits).
        bits: of an index, 1 to 16.
        grouping: which weights share a scale or a codebook.
        scale: float32 [G], > 0; None for a codebook.
        zero_point: int32 [G], the index that stands for 0; it may lie outside of the indices'
            range. None for a codebook.
        levels: float32 [G, L], L <= 2^bits; None for a grid.
    """

    indices: np.ndarray
    bits: int
    grouping: Grouping
    scale: np.ndarray | None = None
    zero_point: np.ndarray | None = None
    levels: np.ndarray | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.bits <= MAX_BITS:
            raise ValueError(f"`bits` must be in [1, {MAX_BITS}]. Received: {self.bits}.")
        if self.indices.dtype != np.uint16 or (
            self.indices.size and int(self.indices.max()) >= 2**self.bits
        ):
            raise ValueError(f"`indices` must be uint16 below 2^{self.bits}.")
        num_groups = self.grouping.num_groups(self.indices.shape)
        if (self.levels is None) == (self.scale is None or self.zero_point is None):
            raise ValueError("give either `levels`, or `scale` and `zero_point`.")
        for name in ("scale", "zero_point", "levels"):
            value = getattr(self, name)
            if value is not None and len(value) != num_groups:
                raise ValueError(
                    f"`{name}` must have a row for each of the {num_groups} groups. Received: "
                    f"{len(value)}."
                )
        highest = int(self.indices.max(initial=0))
        if self.levels is not None and highest >= self.levels.shape[1]:
            raise ValueError(
                f"an index must be below {self.levels.shape[1]}, the number of levels. Received: "
                f"{highest}."
            )

    def dequantized(self) -> np.ndarray:
        """Give the weight, float32, shaped like `indices`.

        Example:
            >>> tensor = QuantizedTensor(
            ...     indices=np.array([[0, 2], [3, 1]], np.uint16),
            ...     bits=2,
            ...     grouping=Grouping("channel"),
            ...     scale=np.array([0.5, 1.0], np.float32),
            ...     zero_point=np.array([2, 2], np.int32),
            ... )
            >>> tensor.dequantized()
            array([[-1. ,  0. ],
                   [ 0.5, -1. ]], dtype=float32)
        """
        ids = self.grouping.ids(self.indices.shape)
        if self.levels is not None:
            return self.levels[ids, self.indices].astype(np.float32)
        if self.scale is None or self.zero_point is None:
            raise ValueError("neither a grid nor a codebook.")
        steps = self.indices.astype(np.int32) - self.zero_point[ids]
        return self.scale[ids].astype(np.float32) * steps.astype(np.float32)

    @property
    def payload_bits(self) -> int:
        """Bits of the indices and of what stands for them: scales and levels as float32."""
        tables = [table for table in (self.scale, self.levels) if table is not None]
        offsets = 0 if self.zero_point is None else self.bits * len(self.zero_point)
        return self.indices.size * self.bits + 32 * sum(t.size for t in tables) + offsets
