"""Reading of HDF5 files that may come from anywhere.

Whatever is read is looked at first: how large it says it is, how much of it is there, and whether
it is in this file at all.
"""

from __future__ import annotations

import contextlib
import functools
import math
import mmap
import os
import pathlib
import struct
from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np

from utils.archives import (
    MAX_ARCHIVE_BYTES,
    MAX_CONFIG_BYTES,
    check_dataset,
    damaged,
    first_words,
    neighbours,
    refused,
    unpacked_limit,
)
from utils.errors import InputError
from utils.regular_file import open_regular

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_HEAP = b"GCOL"  # of a collection of objects of variable length
_Path = str | os.PathLike[str]


def is_hdf5(path: _Path) -> bool:
    """Whether a file is HDF5 by its first bytes, whatever it is called."""
    try:
        with open_regular(path) as stream:
            return stream.read(len(_SIGNATURE)) == _SIGNATURE
    except InputError:
        return False


@contextlib.contextmanager
def open_hdf5(path: _Path) -> Iterator[CheckedHdf5]:
    """Open an HDF5 file for checked reading.

    Args:
        path: the file.

    Yields:
        What reads it.

    Raises:
        InputError: if it is missing, no HDF5 or damaged, here or while it is read.
    """
    target = pathlib.Path(path)
    if not target.is_file():
        raise InputError(f"{target}: no such file. Expected an .h5 file{neighbours(target)}.")
    if not is_hdf5(target):
        raise InputError(f"{target}: is not an .h5 file (HDF5). Give the path of an .h5 file.")
    try:
        with h5py.File(target, "r") as file:
            yield CheckedHdf5(target, file)
    except InputError:
        raise
    except Exception as error:  # whatever h5py makes of flipped bits
        raise damaged(target, f"is truncated or damaged ({first_words(error)})") from error


class CheckedHdf5:
    """An open HDF5 file.

    Args:
        path: for messages, and for the size that declared ones are compared with.
        file: the open file.
    """

    def __init__(self, path: pathlib.Path, file: h5py.File) -> None:
        self.path = path
        self.root: h5py.Group = file
        self._file_bytes = path.stat().st_size
        self._budget = min(MAX_ARCHIVE_BYTES, unpacked_limit(self._file_bytes))

    def text(self, group: h5py.Group, name: str) -> str | None:
        """Read a text attribute; None if there is none.

        Raises:
            InputError: if it is no text, or larger than a network's description can be.
        """
        found = self._attribute(group, name)
        if found is None:
            return None
        text = found.decode("utf-8", "replace") if isinstance(found, bytes) else found
        if not isinstance(text, str):
            raise damaged(self.path, f"its attribute {name!r} is no text")
        return text

    def texts(self, group: h5py.Group, name: str) -> list[str]:
        """Read a list of texts; a long one is split over `name0`, `name1`, …, as Keras does.

        Raises:
            InputError: if there is no such list.
        """
        parts = [name]
        if name not in group.attrs:
            parts = []
            while f"{name}{len(parts)}" in group.attrs:
                parts.append(f"{name}{len(parts)}")
        if not parts:
            raise damaged(self.path, f"{group.name!r} lacks the list {name!r}")
        found: list[str] = []
        for part in parts:
            values = np.atleast_1d(self._attribute(group, part))
            found += [v.decode("utf-8") if isinstance(v, bytes) else str(v) for v in values]
        return found

    def _attribute(self, group: h5py.Group, name: str) -> Any:
        if name not in group.attrs:
            return None
        identity = group.attrs.get_id(name)
        count = math.prod(identity.shape)
        size, limit = count * identity.dtype.itemsize, MAX_CONFIG_BYTES
        if identity.dtype.hasobject:  # texts elsewhere in the file, perhaps one many times
            size, limit = count * self._longest_text, MAX_ARCHIVE_BYTES
        if size > limit:
            raise refused(self.path, f"its attribute {name!r} may take {size:,} bytes")
        return group.attrs[name]

    @functools.cached_property
    def _longest_text(self) -> int:
        """Bytes of the longest text of variable length: these lie in heaps that can be found."""
        longest = 0
        with (
            self.path.open("rb") as stream,
            mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content,
        ):
            place = content.find(_HEAP)
            while place >= 0:
                longest = max(longest, _longest_in_heap(content, place))
                place = content.find(_HEAP, place + 1)
        return longest

    def group(self, parent: h5py.Group, place: str) -> h5py.Group:
        """Find a group below another.

        Raises:
            InputError: if there is none, or the way to it leads into another file.
        """
        found = self._member(parent, place)
        if not isinstance(found, h5py.Group):
            raise damaged(self.path, f"{place!r} is no group")
        return found

    def dataset(self, parent: h5py.Group, place: str) -> h5py.Dataset:
        """Find an array of numbers below a group, unread.

        Raises:
            InputError: if there is none, it holds no numbers, lies in another file, or declares far
                more than it stores.
        """
        found = self._member(parent, place)
        if not isinstance(found, h5py.Dataset) or found.dtype.kind not in "fiub":
            raise damaged(self.path, f"{place!r} is no array of numbers")
        check_dataset(self.path, place, found)
        return found

    def _member(self, parent: h5py.Group, place: str) -> Any:
        found: Any = parent
        for part in filter(None, place.split("/")):
            link = found.get(part, getlink=True) if isinstance(found, h5py.Group) else None
            if link is None:
                raise damaged(self.path, f"lacks {place!r}")
            if not isinstance(link, h5py.HardLink):
                raise refused(self.path, f"{place!r} is a link to elsewhere")
            found = found[part]
        return found

    def read(self, dataset: h5py.Dataset) -> np.ndarray:
        """Read an array that `dataset` found.

        Raises:
            InputError: if all that was read would be more than the file can honestly hold.
        """
        self._budget -= dataset.nbytes
        if self._budget < 0:
            raise refused(self.path, f"its arrays unpack {self._file_bytes:,} bytes to far more")
        return np.asarray(dataset[()])


def _longest_in_heap(content: mmap.mmap, place: int) -> int:
    """Find the size of the largest object in a global heap (HDF5 file format, section III.E).

    The heap's header is the signature, four bytes and its size; an object is its number, count of
    references, four bytes, its size and its bytes, filled up to a multiple of 8. Number 0 ends it.
    """
    header = content[place : place + 16]
    if len(header) < 16:
        return 0
    end = min(place + struct.unpack_from("<Q", header, 8)[0], len(content))
    longest, place = 0, place + 16
    while place + 16 <= end:
        number, size = struct.unpack_from("<H6xQ", content, place)
        if number == 0:
            break
        longest = max(longest, min(size, len(content)))
        place += 16 + -(-size // 8) * 8
    return longest
