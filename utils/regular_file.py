"""Reading of ordinary files, as much as was asked for and no more.

What a directory says of a file is not believed: a device has no size and never ends, a pipe waits
for ever, a file may grow while it is read. The size that counts is that of what was read.
"""

from __future__ import annotations

import os
import pathlib
import stat
from typing import IO

from utils.errors import InputError

_Path = str | os.PathLike[str]


def open_regular(path: _Path) -> IO[bytes]:
    """Open an ordinary file for reading, without waiting for anybody.

    Args:
        path: the file.

    Returns:
        The open file.

    Raises:
        InputError: if there is none, it is a folder, a device, a pipe or a socket, or cannot be
            read.
    """
    target = pathlib.Path(path)
    try:
        stream = open(target, "rb", opener=_open_at_once)  # noqa: SIM115  the caller closes it
    except (OSError, ValueError) as error:
        raise InputError(_unreadable(target, error)) from error
    mode = os.fstat(stream.fileno()).st_mode
    if not stat.S_ISREG(mode):
        stream.close()
        raise InputError(f"{target}: cannot be read: it is no ordinary file.")
    return stream


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))  # a pipe waits for its writer


def _unreadable(target: pathlib.Path, error: OSError | ValueError) -> str:
    reason = getattr(error, "strerror", None) or error
    dangling = " (a link to nowhere)" if _is_link(target) else ""
    return f"{target}: cannot be read: {reason}{dangling}."


def _is_link(target: pathlib.Path) -> bool:
    try:
        return target.is_symlink()
    except (OSError, ValueError):
        return False


def read_regular(path: _Path, max_bytes: int) -> bytes:
    """Read a whole ordinary file of a bounded size.

    Args:
        path: the file.
        max_bytes: the most that is read.

    Returns:
        Its content.

    Raises:
        InputError: see `open_regular`; also if it is larger.
    """
    with open_regular(path) as stream:
        try:
            content = stream.read(max_bytes + 1)
        except OSError as error:
            raise InputError(_unreadable(pathlib.Path(path), error)) from error
    if len(content) > max_bytes:
        raise InputError(f"{path}: is larger than {max_bytes:,} bytes, the most that is read.")
    return content


def read_text(path: _Path, max_bytes: int) -> str:
    """Read a whole text file of a bounded size; see `read_regular` and `decoded`."""
    return decoded(read_regular(path, max_bytes), str(path))


def decoded(content: bytes, source: str) -> str:
    r"""Decode text, which is UTF-8 without a byte order mark.

    Args:
        content: the bytes.
        source: what they are, for messages.

    Returns:
        The text.

    Raises:
        InputError: for other encodings; names the line of the first byte that is none of UTF-8.

    Example:
        >>> decoded("naïve".encode(), "a.json")
        'naïve'
        >>> decoded("\nnaïve".encode("latin-1"), "a.json")
        Traceback (most recent call last):
        ...
        utils.errors.InputError: a.json, line 2: byte 4 is not UTF-8. Save the file as UTF-8.
    """
    for mark, name in _MARKS.items():
        if content.startswith(mark):
            raise InputError(
                f"{source}, line 1: begins with the byte order mark of {name}. Save the file as "
                "UTF-8 without a byte order mark."
            )
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{source}, line {line}: byte {error.start + 1} is not UTF-8. Save the file as UTF-8."
        ) from error


_MARKS = {b"\xef\xbb\xbf": "UTF-8", b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}
