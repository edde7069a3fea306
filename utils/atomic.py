"""Files that appear whole or not at all: written beside their place, then renamed into it."""

from __future__ import annotations

import contextlib
import itertools
import os
import pathlib
import socket
import tempfile
from collections.abc import Iterator

from utils.errors import InputError

_Path = str | os.PathLike[str]

_temporary_numbers = itertools.count()


@contextlib.contextmanager
def atomic_path(path: _Path) -> Iterator[pathlib.Path]:
    """Yield a temporary path beside `path`; what is written there replaces `path` at the end.

    The replacement is one rename after an fsync, so that a reader (or a run that is killed at any
    moment) sees the old file or the new one, whole. On an exception the temporary file is removed
    and `path` stays as it was. What runs killed earlier left behind is swept away first.

    Args:
        path: the file to write; missing parent folders are made.

    Yields:
        A path with the same ending in the same folder.

    Raises:
        InputError: if the folder cannot be made or the file cannot be replaced.
    """
    target = pathlib.Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(_unwritable(target, error.strerror)) from error
    _sweep_leftovers(target)
    temporary = _temporary_sibling(target)
    try:
        yield temporary
        _fsync(temporary)
        os.replace(temporary, target)
        _fsync(target.parent)
    except OSError as error:
        raise InputError(_unwritable(target, error.strerror)) from error
    finally:
        temporary.unlink(missing_ok=True)


def _temporary_sibling(target: pathlib.Path) -> pathlib.Path:
    """Name that tells which process of which host writes it, see `_sweep_leftovers`."""
    owner = f"{socket.gethostname()}-{os.getpid()}-{next(_temporary_numbers)}"
    return target.with_name(f".{target.stem}.{owner}.tmp{target.suffix}")


def _sweep_leftovers(target: pathlib.Path) -> None:
    """Remove temporary files of `target` whose process, on this host, is gone."""
    prefix, ending = f".{target.stem}.{socket.gethostname()}-", f".tmp{target.suffix}"
    for entry in os.listdir(target.parent):
        if not (entry.startswith(prefix) and entry.endswith(ending)):
            continue
        pid = entry.removeprefix(prefix).partition("-")[0]
        if pid.isdigit() and not _is_alive(int(pid)):
            (target.parent / entry).unlink(missing_ok=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _fsync(path: pathlib.Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def check_writable(path: _Path) -> None:
    """Refuse a path that a later `atomic_path` could not write; leaves nothing behind.

    Args:
        path: the file that will be written; it and its folders need not exist.

    Raises:
        InputError: if the path is a folder, passes through a file, or its nearest existing folder
            takes no new files.
    """
    target = pathlib.Path(path)
    try:
        if "\0" in str(target):
            raise InputError(_unwritable(target, "it contains a null character"))
        if target.is_dir():
            raise InputError(_unwritable(target, "it is a folder, a file name is needed"))
        folder = next(parent for parent in target.absolute().parents if parent.exists())
        if not folder.is_dir():
            raise InputError(_unwritable(target, f"{folder} is a file, not a folder"))
        # Permission bits lie for root and on read-only mounts: only a real file tells.
        with tempfile.TemporaryFile(dir=folder):
            pass
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(_unwritable(target, getattr(error, "strerror", None) or error)) from error


def _unwritable(path: pathlib.Path, reason: object) -> str:
    return f"cannot write {str(path)!r}: {reason}. Choose a path in a folder that you may write to."
