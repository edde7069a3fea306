"""Short texts that tell contents apart: of data, folders and source files.

They go into the fingerprint of a run: one that is resumed on other data, or with a helper that was
edited meanwhile, is another run. A digest of gigabytes would take longer than it is worth: of what
is large, sizes and samples decide.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import os
import pathlib
from collections.abc import Iterable

import numpy as np

_LENGTH = 16  # hexadecimal digits
_BLOCK = 1 << 20
_WHOLE_BYTES = 256 << 20  # of all files or of an array, up to which every byte counts
_SAMPLE = 1 << 16  # bytes from the beginning, the middle and the end of a larger file
_MAX_OPENED = 20_000  # files beyond that are told apart by name and size
_Path = str | os.PathLike[str]


def arrays_digest(arrays: Iterable[np.ndarray]) -> str:
    """Digest arrays: types, shapes and values; of large ones, rows at equal distances.

    Args:
        arrays: of any shape.

    Returns:
        16 hexadecimal digits.
    """
    digest = hashlib.blake2b()
    for array in arrays:
        digest.update(f"{array.dtype} {array.shape};".encode())
        step = max(1, -(-array.nbytes // _WHOLE_BYTES))
        values = np.ascontiguousarray(array[::step] if array.ndim and step > 1 else array)
        digest.update(values.tobytes() if values.dtype.hasobject else values.view(np.uint8).data)
    return digest.hexdigest()[:_LENGTH]


def path_digest(path: _Path) -> str:
    """Digest a file, or all files below a folder by their names in it.

    Args:
        path: a file or a folder; where it lies does not count.

    Returns:
        16 hexadecimal digits.
    """
    top = pathlib.Path(path)
    files = [top] if top.is_file() else sorted(_files(top))
    sizes = {file: file.stat().st_size for file in files}
    in_whole = sum(sizes.values()) <= _WHOLE_BYTES
    digest = hashlib.blake2b()
    for file, size in sizes.items():
        name = file.name if file == top else file.relative_to(top).as_posix()
        digest.update(f"{name}\0{size}\0".encode("utf-8", "surrogateescape"))
        if len(sizes) <= _MAX_OPENED:
            _add(digest, file, size, in_whole=in_whole)
    return digest.hexdigest()[:_LENGTH]


def code_digest(path: _Path) -> str:
    """Digest a Python file by what it does: comments and blank lines do not count.

    Args:
        path: the file.

    Returns:
        16 hexadecimal digits.
    """
    content = pathlib.Path(path).read_bytes()
    with contextlib.suppress(SyntaxError, ValueError, RecursionError):  # bytes tell as well
        content = ast.dump(ast.parse(content)).encode()
    return hashlib.blake2b(content).hexdigest()[:_LENGTH]


def _files(folder: pathlib.Path) -> Iterable[pathlib.Path]:
    for place, _, names in os.walk(folder):
        for name in names:
            file = pathlib.Path(place, name)
            if file.is_file():
                yield file


def _add(digest: hashlib.blake2b, file: pathlib.Path, size: int, *, in_whole: bool) -> None:
    with file.open("rb") as stream:
        if in_whole:
            while block := stream.read(_BLOCK):
                digest.update(block)
            return
        for place in (0, size // 2, max(size - _SAMPLE, 0)):
            stream.seek(place)
            digest.update(stream.read(_SAMPLE))
