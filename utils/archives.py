"""Checks of `.keras` and `.npz` files, both ZIP archives that may come from anywhere.

Names, declared sizes and checksums are looked at before any memory is taken for them: a truncated
copy, a decompression bomb, a path that leaves the archive or a pickled array is refused with one
line.
"""

from __future__ import annotations

import contextlib
import math
import os
import pathlib
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from utils.errors import InputError
from utils.json_reader import parse_json
from utils.regular_file import open_regular

if TYPE_CHECKING:
    import h5py

MAX_ARCHIVE_BYTES = 4 << 30
"""Largest sum of unpacked sizes that a reader accepts by default."""

CONFIG_ENTRY, WEIGHTS_ENTRY = "config.json", "model.weights.h5"
"""What Keras calls the description and the weights of a network in a `.keras` file."""

# Deflate reaches 1,032 to 1 on zeros. Genuine arrays that compress so well are small or sparse; the
# floor lets them pass.
_MAX_EXPANSION = 100
_EXPANSION_FLOOR_BYTES = 256 << 20
MAX_CONFIG_BYTES = 64 << 20
# Python makes an object of every entry before anything can be looked at.
_MAX_DIRECTORY_BYTES = 8 << 20
_END_RECORD, _ZIP64_LOCATOR = b"PK\x05\x06", b"PK\x06\x07"
_LONGEST_END = (1 << 16) + 22 + 20
_WEIGHT_ENTRIES = (WEIGHTS_ENTRY, "model.weights.npz")

_Path = str | os.PathLike[str]


def damaged(path: pathlib.Path, reason: str) -> InputError:
    """Make the error for a file that was cut off or changed on its way."""
    return InputError(f"{path}: {reason}. Copy or create the file anew.")


def refused(path: pathlib.Path, reason: str) -> InputError:
    """Make the error for a file that looks as if it were made to do harm."""
    return InputError(f"{path}: {reason}. Refused before it was read; do not trust this file.")


@contextlib.contextmanager
def open_archive(
    path: _Path, kind: str, max_bytes: int = MAX_ARCHIVE_BYTES
) -> Iterator[zipfile.ZipFile]:
    """Open a ZIP whose names, declared sizes and checksums have been checked.

    Args:
        path: the file.
        kind: its ending, for messages.
        max_bytes: largest accepted sum of unpacked sizes.

    Yields:
        The archive, for reading.

    Raises:
        InputError: if the file is missing, no ordinary one, no ZIP, truncated, damaged, oversized
            or a bomb.
    """
    target = pathlib.Path(path)
    if not target.exists():
        raise InputError(f"{target}: no such file. Expected a {kind} file{neighbours(target)}.")
    if target.is_dir():
        raise InputError(f"{target}: is a folder. Expected a {kind} file.")
    with open_regular(target) as stream:
        _check_directory(target, stream)
        archive = _open_zip(target, stream, kind)
        with archive:
            _check_entries(target, archive, max_bytes)
            _check_contents(target, archive)
            yield archive


def neighbours(target: pathlib.Path) -> str:
    """Name up to three files of that kind in the folder: a misspelled name is the usual cause."""
    if not target.parent.is_dir():
        return f"; the folder {str(target.parent)!r} does not exist either"
    names = sorted(entry.name for entry in target.parent.glob(f"*{target.suffix}"))[:3]
    return f"; in that folder there is: {', '.join(names)}" if names else ""


def _open_zip(target: pathlib.Path, stream: IO[bytes], kind: str) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(stream)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        size = target.stat().st_size
        stream.seek(0)
        if size == 0:
            raise damaged(target, f"is empty (0 bytes), not a {kind} file") from error
        if stream.read(2) == b"PK":
            raise damaged(target, f"is truncated or damaged at byte {size} ({error})") from error
        raise InputError(
            f"{target}: is not a {kind} file (a ZIP archive). Give the path of a {kind} file."
        ) from error


def _check_directory(target: pathlib.Path, stream: IO[bytes]) -> None:
    """Refuse a list of entries that is too long to be read; one that is damaged is found later.

    The end of the archive says how many bytes the list has (ZIP specification 4.3.14 to 4.3.16).
    """
    length = stream.seek(0, os.SEEK_END)
    tail_at = max(length - _LONGEST_END, 0)
    stream.seek(tail_at)
    tail = stream.read(_LONGEST_END)
    end = tail.rfind(_END_RECORD)
    if end >= 0 and len(tail) >= end + 22:
        (size,) = struct.unpack_from("<L", tail, end + 12)
        locator = end - 20
        if size == 0xFFFFFFFF and locator >= 0 and tail[locator:].startswith(_ZIP64_LOCATOR):
            (place,) = struct.unpack_from("<Q", tail, locator + 8)
            stream.seek(min(place, length))
            record = stream.read(56)
            size = struct.unpack_from("<Q", record, 40)[0] if len(record) == 56 else 0
        if size > _MAX_DIRECTORY_BYTES:
            raise refused(target, f"its list of entries has {size:,} bytes")
    stream.seek(0)


def _check_entries(target: pathlib.Path, archive: zipfile.ZipFile, max_bytes: int) -> None:
    """Check names and declared sizes: only the directory of the archive is read."""
    entries = archive.infolist()
    for entry in entries:
        parts = pathlib.PurePosixPath(entry.filename.replace("\\", "/"))
        if parts.is_absolute() or ".." in parts.parts or ":" in entry.filename:
            raise refused(target, f"entry {entry.filename!r} points outside the archive")
        if entry.file_size > unpacked_limit(entry.compress_size):
            raise refused(
                target,
                f"entry {entry.filename!r} unpacks {entry.compress_size:,} to "
                f"{entry.file_size:,} bytes",
            )
    names = {entry.filename for entry in entries}
    if len(names) < len(entries):
        raise refused(target, "two entries have the same name")
    _check_sum(target, entries, max_bytes)


def _check_sum(target: pathlib.Path, entries: Sequence[zipfile.ZipInfo], max_bytes: int) -> None:
    """Check what all entries unpack to together: many small ones are as much as a large one."""
    # Overlapping entries are how a small archive declares petabytes at a modest ratio each.
    size = target.stat().st_size
    if sum(entry.compress_size for entry in entries) > size:
        raise refused(
            target, f"its entries overlap: they claim more than the file's {size:,} bytes"
        )
    total = sum(entry.file_size for entry in entries)
    if total > unpacked_limit(size):
        raise refused(
            target, f"unpacks to {total:,} bytes in {len(entries):,} entries, from {size:,}"
        )
    if total > max_bytes:
        raise InputError(
            f"{target}: unpacks to {total:,} bytes, more than the limit of {max_bytes:,}. "
            "Give a smaller file."
        )


def _check_contents(target: pathlib.Path, archive: zipfile.ZipFile) -> None:
    """Compare every checksum, in a stream of small blocks."""
    for entry in archive.infolist():
        where = f"entry {entry.filename!r} at byte {entry.header_offset:,}"
        try:
            with archive.open(entry) as stream:
                while stream.read(1 << 20):
                    pass
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
            raise damaged(target, f"{where} is damaged ({error})") from error
        except UnicodeDecodeError as error:  # the name is written in front of the content, too
            raise damaged(target, f"{where} has another name there ({error.reason})") from error
        except (RuntimeError, NotImplementedError) as error:  # encrypted, or a rare compression
            raise refused(target, f"{where} cannot be unpacked ({error})") from error


def check_keras_archive(path: _Path) -> None:
    """Refuse a file that is no intact `.keras` archive of a plausible size.

    Args:
        path: the `.keras` file.

    Raises:
        InputError: if it is missing, no ZIP, truncated, damaged, oversized, a bomb, or lacks the
            configuration or the weights that Keras writes.
    """
    target = pathlib.Path(path)
    with open_archive(target, ".keras", MAX_ARCHIVE_BYTES) as archive:
        names = set(archive.namelist())
        if CONFIG_ENTRY not in names or not names.intersection(_WEIGHT_ENTRIES):
            raise InputError(
                f"{target}: a ZIP, but not a .keras file: it lacks {CONFIG_ENTRY!r} or "
                f"{_WEIGHT_ENTRIES[0]!r}. Save the model with model.save('….keras')."
            )
        if archive.getinfo(CONFIG_ENTRY).file_size > MAX_CONFIG_BYTES:
            raise refused(target, f"{CONFIG_ENTRY!r} is larger than {MAX_CONFIG_BYTES:,} bytes")
        try:
            config = parse_json(archive.read(CONFIG_ENTRY), constants=True)
        except ValueError as error:
            raise damaged(target, f"{CONFIG_ENTRY!r} is not JSON ({error})") from error
        if not isinstance(config, dict) or "class_name" not in config:
            raise damaged(target, f"{CONFIG_ENTRY!r} describes no Keras model")
        if _WEIGHT_ENTRIES[0] in names:
            _check_h5(target, archive)


def _check_h5(target: pathlib.Path, archive: zipfile.ZipFile) -> None:
    """Refuse HDF5 datasets that point elsewhere or declare far more than they store."""
    import h5py  # only readers of .keras files need it

    def check(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            check_dataset(target, name, item)

    try:
        with archive.open(WEIGHTS_ENTRY) as stream, h5py.File(stream, "r") as weights:
            weights.visititems(check)
    except InputError:
        raise
    except Exception as error:  # whatever h5py makes of flipped bits
        raise damaged(target, f"{WEIGHTS_ENTRY!r} is not HDF5 ({first_words(error)})") from error


def check_dataset(target: pathlib.Path, name: str, item: h5py.Dataset) -> None:
    """Refuse an HDF5 dataset of no numbers, that points elsewhere or declares more than it stores.

    Args:
        target: the file, for the message.
        name: of the dataset, for the message.
        item: the dataset; nothing of it is read.

    Raises:
        InputError: if it does.
    """
    if item.external or item.is_virtual:
        raise refused(target, f"weights {name!r} lie in another file")
    if not _is_numeric(item):
        raise damaged(target, f"weights {name!r} hold {item.dtype}, which are no real numbers")
    stored = item.id.get_storage_size()
    if item.nbytes > unpacked_limit(stored):
        raise refused(target, f"weights {name!r} unpack {stored:,} to {item.nbytes:,} bytes")


def _is_numeric(item: h5py.Dataset) -> bool:
    """Whether a dataset holds what weights are: real numbers, or Keras' bytes of bfloat16."""
    dtype = item.dtype
    if dtype.kind == "V" and dtype.names is None and dtype.itemsize == 2:
        return item.attrs.get("dtype") == "bfloat16"
    return dtype.kind in "fiu"


def first_words(error: BaseException) -> str:
    """Give the first line of an exception's text, or its kind where it has none."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def unpacked_limit(stored: int) -> int:
    """Give the most bytes that `stored` bytes may honestly unpack to."""
    return max(_EXPANSION_FLOOR_BYTES, _MAX_EXPANSION * stored)


def check_npz(path: _Path, max_bytes: int = MAX_ARCHIVE_BYTES) -> None:
    """Refuse a file that is no intact `.npz` of plain arrays of at most `max_bytes` together.

    Args:
        path: the `.npz` file.
        max_bytes: largest accepted sum of unpacked sizes.

    Raises:
        InputError: if it is missing, no ZIP, truncated, damaged, oversized, a bomb, or holds
            anything but plain arrays (pickled objects would run code).
    """
    with open_archive(path, ".npz", max_bytes) as archive:
        _check_npy_entries(pathlib.Path(path), archive)


def _check_npy_entries(target: pathlib.Path, archive: zipfile.ZipFile) -> None:
    for name in archive.namelist():
        if not name.endswith(".npy"):
            raise InputError(
                f"{target}: entry {name!r} is no array. Expected a .npz file as "
                "numpy.savez writes it."
            )
        with archive.open(name) as stream:
            _check_npy(target, archive.getinfo(name), stream)


def read_npy(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    """Read one array of an archive from `open_archive`.

    Args:
        archive: the archive.
        name: of its `.npy` entry.

    Returns:
        The array.

    Raises:
        InputError: if the entry is missing or no plain array.
    """
    target = pathlib.Path(archive.filename or "")
    if name not in archive.namelist():
        raise damaged(target, f"lacks the array {name!r}")
    with archive.open(name) as stream:
        _check_npy(target, archive.getinfo(name), stream)
    with archive.open(name) as stream:
        return np.lib.format.read_array(stream, allow_pickle=False)


def _check_npy(target: pathlib.Path, entry: zipfile.ZipInfo, stream: IO[bytes]) -> None:
    """Compare the size that an array declares with the bytes that are there."""
    shape, dtype = _read_npy_header(target, entry.filename, stream)
    declared, stored = math.prod(shape) * dtype.itemsize, entry.file_size - stream.tell()
    if declared != stored:
        raise damaged(
            target,
            f"array {entry.filename!r} declares {declared:,} bytes of data, {stored:,} are there",
        )


def _read_npy_header(
    target: pathlib.Path, name: str, stream: IO[bytes]
) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Read shape and dtype of one array; never its data."""
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    try:
        version = np.lib.format.read_magic(stream)
        shape, _, dtype = readers[version](stream)
    except Exception as error:  # whatever Python's parser makes of a damaged header
        reason = first_words(error)
        raise damaged(target, f"array {name!r} has no valid header ({reason})") from error
    if dtype.hasobject:
        raise refused(target, f"array {name!r} holds pickled objects, which may run code")
    if any(size < 0 for size in shape):
        raise damaged(target, f"array {name!r} has the impossible shape {shape}")
    return shape, dtype
