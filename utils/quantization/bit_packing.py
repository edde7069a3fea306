"""Small integers without gaps between their bits, in either order of bits."""

from __future__ import annotations

from typing import Literal

import numpy as np

MAX_WIDTH = 8
"""Bits of the widest index."""

_BLOCK = 1 << 20  # indices packed at a time, a multiple of 8: eight bytes are needed for each
_Order = Literal["little", "big"]


def width_for(num_values: int) -> int:
    """Give the bits that tell so many values apart, 1 to 8.

    Raises:
        ValueError: outside 1 to 256.

    Example:
        >>> [width_for(n) for n in (1, 2, 3, 16, 17, 256)]
        [1, 1, 2, 4, 5, 8]
    """
    if not 1 <= num_values <= 1 << MAX_WIDTH:
        raise ValueError(f"`num_values` must be 1 to {1 << MAX_WIDTH}. Received: {num_values}.")
    return max(1, (num_values - 1).bit_length())


def packed_bytes(count: int, width: int) -> int:
    """Give the bytes of `count` indices of `width` bits."""
    return (count * width + 7) // 8


def pack_bits(indices: np.ndarray, width: int, order: _Order = "little") -> bytes:
    """Write integers one behind the other with `width` bits each.

    Args:
        indices: integers of any shape in [0, 2^width), taken in C order.
        width: bits of each, 1 to 8.
        order: "little": bit j of index i is bit i*width + j of the whole, and bit k of the whole
            is bit k % 8 of byte k // 8, counted from the least significant one. "big": the most
            significant bit comes first in both.

    Returns:
        `packed_bytes(indices.size, width)` bytes; unused bits at the end are 0.

    Raises:
        ValueError: if the width is out of range, or an index does not fit in it.

    Example:
        >>> pack_bits(np.array([1, 2, 3]), 2).hex(), pack_bits(np.array([1, 2, 3]), 2, "big").hex()
        ('39', '6c')
    """
    _check_width(width)
    flat = np.asarray(indices).ravel()
    if flat.size and not (flat.min() >= 0 and flat.max() < 1 << width):
        raise ValueError(
            f"indices of {width} bits must be in [0, {1 << width}). Received: {flat.min()} to "
            f"{flat.max()}."
        )
    shifts = _shifts(width, order)
    blocks = [
        np.packbits((flat[start : start + _BLOCK, None] >> shifts) & 1, bitorder=order).tobytes()
        for start in range(0, flat.size, _BLOCK)
    ]
    return b"".join(blocks)


def unpack_bits(packed: bytes, count: int, width: int, order: _Order = "little") -> np.ndarray:
    """Read what `pack_bits` wrote.

    Args:
        packed: exactly the bytes of so many indices.
        count: how many.
        width: bits of each, 1 to 8.
        order: as they were written.

    Returns:
        uint8 [count].

    Raises:
        ValueError: if the width is out of range, or the bytes are more or fewer.

    Example:
        >>> unpack_bits(bytes.fromhex("39"), 3, 2)
        array([1, 2, 3], dtype=uint8)
    """
    _check_width(width)
    if len(packed) != packed_bytes(count, width):
        raise ValueError(
            f"{count} indices of {width} bits take {packed_bytes(count, width)} bytes. Received: "
            f"{len(packed)}."
        )
    found = np.empty(count, np.uint8)
    weights = (1 << _shifts(width, order)).astype(np.uint8)
    for start in range(0, count, _BLOCK):
        size = min(_BLOCK, count - start)
        part = packed[start * width // 8 : start * width // 8 + packed_bytes(size, width)]
        bits = np.unpackbits(np.frombuffer(part, np.uint8), count=size * width, bitorder=order)
        found[start : start + size] = bits.reshape(size, width) @ weights
    return found


def _shifts(width: int, order: _Order) -> np.ndarray:
    shifts = np.arange(width, dtype=np.uint8)
    return shifts if order == "little" else shifts[::-1]


def _check_width(width: int) -> None:
    if not 1 <= width <= MAX_WIDTH:
        raise ValueError(f"`width` must be 1 to {MAX_WIDTH} bits. Received: {width}.")
