"""MNIST's file format: gzipped big-endian arrays of bytes.

A file is a magic number (0x0800 + number of dimensions), the dimensions as uint32, the bytes.
Reference: http://yann.lecun.com/exdb/mnist/.
"""

import functools
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from datasets.dataset_info import Arrays, DatasetInfo
from utils.archives import unpacked_limit
from utils.errors import InputError

FILES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)
_UNSIGNED_BYTES = 0x0800
_CHUNK_BYTES = 4096  # small, so that a corrupted place is named closely
_GZIP_WINDOW = 31  # zlib's code for "gzip header, largest window"


@functools.lru_cache(maxsize=2)
def read_folder(folder: Path, info: DatasetInfo) -> Arrays:
    """Read the four files of a data set; repeated calls share the arrays.

    Args:
        folder: where they lie.
        info: says how many images of which shape they must hold.

    Returns:
        The arrays.

    Raises:
        InputError: see `read_idx`; or if a label is out of range.
    """
    parts = []
    for number, names in ((info.num_train, FILES[:2]), (info.num_test, FILES[2:])):
        images = read_idx(folder / names[0], (number, *info.image_shape[:2]))
        labels = read_idx(folder / names[1], (number,))
        _check_labels(labels, folder / names[1], info)
        parts += [images.reshape(number, *info.image_shape), labels.astype(np.int32)]
    return Arrays(*parts)


def read_idx(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """Read one array of bytes, gzipped or not.

    Args:
        path: the file.
        shape: the shape that it must have.

    Returns:
        uint8 array of that shape.

    Raises:
        InputError: if the file is truncated, corrupted or holds another array; names the place.
    """
    header = struct.pack(f">{1 + len(shape)}I", _UNSIGNED_BYTES + len(shape), *shape)
    size = len(header) + int(np.prod(shape))
    data = _unpack(path, size)
    if data[: len(header)] != header:
        place = next(i for i in range(len(header)) if data[i : i + 1] != header[i : i + 1])
        raise InputError(
            f"{path}: wrong header at unpacked byte {place}: expected {header.hex(' ', 4)} (bytes "
            f"of shape {shape}). Received: {data[: len(header)].hex(' ', 4)}. Fetch it again."
        )
    if len(data) != size:
        problem = "truncated at" if len(data) < size else "too long from"
        raise InputError(
            f"{path}: {problem} unpacked byte {min(len(data), size)}: an array of shape {shape} "
            f"takes {size} bytes. Fetch it again."
        )
    return np.frombuffer(data, np.uint8, offset=len(header)).reshape(shape)


def read_shape(path: Path) -> tuple[int, ...]:
    """Read the shape that a file of bytes declares, gzipped or not; nothing else of it.

    Args:
        path: the file.

    Returns:
        Its sizes, the number of records first.

    Raises:
        InputError: if it is no idx file of bytes, or declares more than it can hold.
    """
    magic = _unpack(path, 4)[:4]
    num_dims = magic[3] if len(magic) == 4 and magic[:3] == b"\x00\x00\x08" else 0
    if not 1 <= num_dims <= 4:
        raise InputError(
            f"{path}: is no idx file of bytes: it begins with {magic.hex(' ')!r}. Fetch it again."
        )
    size = 4 + 4 * num_dims
    head = _unpack(path, size)[:size]
    if len(head) < size:
        raise InputError(f"{path}: truncated at unpacked byte {len(head)}. Fetch it again.")
    shape = struct.unpack_from(f">{num_dims}I", head, 4)
    if math.prod(shape) > unpacked_limit(path.stat().st_size) or not math.prod(shape):
        raise InputError(
            f"{path}: declares an array of shape {shape}, which a file of "
            f"{path.stat().st_size:,} bytes cannot hold. Fetch it again."
        )
    return shape


def _unpack(path: Path, limit: int) -> bytes:
    """Read a file, unpacked if it is a `.gz`, but no more than one byte beyond `limit`."""
    if path.suffix != ".gz":
        with path.open("rb") as stream:
            return stream.read(limit + 1)
    unpacker = zlib.decompressobj(_GZIP_WINDOW)
    parts, total = [], 0
    with path.open("rb") as stream:
        while not unpacker.eof and total <= limit:
            offset = stream.tell()
            chunk = stream.read(_CHUNK_BYTES)
            if not chunk:
                raise InputError(
                    f"{path}: truncated at byte {offset}: the gzip stream does not end there. "
                    "Fetch it again."
                )
            try:
                parts.append(unpacker.decompress(chunk, limit + 1 - total))
            except zlib.error as error:
                raise InputError(
                    f"{path}: corrupted between bytes {offset} and {offset + len(chunk)}: {error}. "
                    "Fetch it again."
                ) from error
            total += len(parts[-1])
    return b"".join(parts)


def _check_labels(labels: np.ndarray, path: Path, info: DatasetInfo) -> None:
    wrong = np.flatnonzero(labels >= info.num_classes)
    if wrong.size:
        record = int(wrong[0])
        raise InputError(
            f"{path}: the label of record {record} (counted from 0, unpacked byte {8 + record}) "
            f"must be in 0..{info.num_classes - 1}. Received: {labels[record]}. Fetch it again."
        )
