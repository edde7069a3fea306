"""MXNet's `.params` files, read without MXNet.

A file is: 8 bytes magic 0x112, 8 reserved, the number of arrays (uint64), the arrays, the number of
names (uint64), the names (uint64 length and UTF-8 text each). An array is: a magic that says which
version wrote it, in newer ones the storage type, the shape (uint32 rank and int64 sizes; uint32
sizes in the oldest), a device (two int32), a type number (int32), the data, all little endian.
"""

from __future__ import annotations

import math
import pathlib
import struct

import numpy as np

from utils.archives import MAX_ARCHIVE_BYTES, damaged
from utils.errors import InputError

_MAGIC = 0x112
_VERSIONS = {0xF993FAC8: 1, 0xF993FAC9: 2, 0xF993FACA: 3}
_DENSE = 0
_MAX_RANK = 32
_TYPES = {
    0: np.float32,
    1: np.float64,
    2: np.float16,
    3: np.uint8,
    4: np.int32,
    5: np.int8,
    6: np.int64,
    7: np.bool_,
}


def read_params(path: str | pathlib.Path) -> dict[str, np.ndarray]:
    """Read all arrays of a file.

    Args:
        path: the `.params` file.

    Returns:
        Arrays by name, `arg:` and `aux:` taken off.

    Raises:
        InputError: if the file is missing, no such file, truncated or too large; sizes are checked
            before memory is taken for them.
    """
    target = pathlib.Path(path)
    if not target.is_file():
        raise InputError(f"{target}: no such file. Expected an MXNet .params file.")
    size = target.stat().st_size
    if size > MAX_ARCHIVE_BYTES:
        raise InputError(f"{target}: has {size:,} bytes, more than {MAX_ARCHIVE_BYTES:,}.")
    return parse_params(target.read_bytes(), target)


def parse_params(data: bytes, target: pathlib.Path) -> dict[str, np.ndarray]:
    """Read the arrays in the bytes of a file, see `read_params`."""
    reader = _Reader(data, target)
    magic, _ = reader.numbers("<QQ")
    if magic != _MAGIC:
        raise InputError(f"{target}: is not an MXNet .params file.")
    arrays = [reader.array() for _ in range(reader.count(least=8))]
    names = [reader.text() for _ in range(reader.count(least=8))]
    if len(names) != len(arrays) or len(set(names)) < len(names):
        raise damaged(target, f"holds {len(arrays)} arrays and {len(names)} names")
    if reader.place != len(data):
        raise damaged(target, f"goes on after its last name at byte {reader.place:,}")
    return {
        name.removeprefix("arg:").removeprefix("aux:"): array
        for name, array in zip(names, arrays, strict=True)
    }


class _Reader:
    """A place in the bytes of a file."""

    def __init__(self, data: bytes, target: pathlib.Path) -> None:
        self.data, self.target, self.place = data, target, 0

    def take(self, size: int) -> bytes:
        """Read bytes.

        Raises:
            InputError: if there are not so many.
        """
        if size > len(self.data) - self.place:
            raise damaged(
                self.target,
                f"is truncated: {size:,} bytes are needed at byte {self.place:,}, "
                f"{len(self.data) - self.place:,} are there",
            )
        self.place += size
        return self.data[self.place - size : self.place]

    def numbers(self, form: str) -> tuple[int, ...]:
        """Read numbers, as `struct` writes their types."""
        return struct.unpack(form, self.take(struct.calcsize(form)))

    def count(self, least: int) -> int:
        """Read how many items follow, each of `least` bytes or more."""
        (count,) = self.numbers("<Q")
        if count * least > len(self.data) - self.place:
            raise damaged(self.target, f"announces {count:,} items, more than it has bytes for")
        return count

    def text(self) -> str:
        """Read a name."""
        raw = self.take(self.numbers("<Q")[0])
        try:
            return raw.decode()
        except UnicodeDecodeError as error:
            raise damaged(self.target, f"has a name that is no text at {self.place:,}") from error

    def shape(self, version: int, rank: int) -> tuple[int, ...]:
        """Read sizes."""
        if rank > _MAX_RANK:
            raise damaged(self.target, f"has an array of {rank:,} axes at byte {self.place:,}")
        sizes = self.numbers(f"<{rank}q" if version else f"<{rank}I")
        if any(size < 0 for size in sizes):
            raise damaged(self.target, f"has an impossible shape {sizes} at byte {self.place:,}")
        return sizes

    def array(self) -> np.ndarray:
        """Read an array."""
        (first,) = self.numbers("<I")
        version = _VERSIONS.get(first, 0)
        if version >= 2 and self.numbers("<i")[0] != _DENSE:
            raise InputError(f"{self.target}: sparse arrays are not read. Save them dense.")
        rank = self.numbers("<I")[0] if version else first  # the oldest files begin with it
        shape = self.shape(version, rank)
        if not shape and version < 3:
            return np.zeros(0, np.float32)  # an array that was never filled
        _, _, kind = self.numbers("<iii")
        if kind not in _TYPES:
            raise damaged(self.target, f"has an array of the unknown type {kind}")
        dtype = np.dtype(_TYPES[kind]).newbyteorder("<")
        data = self.take(math.prod(shape) * dtype.itemsize)
        array = np.frombuffer(data, dtype).reshape(shape)
        return (
            array.astype(np.float32) if dtype.kind == "f" else array.astype(dtype.newbyteorder("="))
        )
