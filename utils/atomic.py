"""Files that appear whole or not at all: written beside their place, then renamed into it."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import itertools
import os
import pathlib
import re
import tempfile
from collections.abc import Iterator

from utils.errors import InputError
from utils.processes import Process, this_process

_Path = str | os.PathLike[str]

MAX_NAME_BYTES = 255
"""Longest name of a file on the usual file systems."""

LONGEST_SUFFIX = 64
"""Room for what the names of files beside another one have more: `_before_int8.tflite` and such."""

_MAX_PATH_BYTES = 4095
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FULL_WORDS = ("No space left on device", "Disk quota exceeded", "File too large")
_temporary_numbers = itertools.count()
_TEMPORARY = re.compile(r"\..*\.(?P<owner>[^.]+-\d+-\d+)-\d+\.tmp(\.\w+)?")


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
        raise InputError(_unwritable(target, error)) from error
    _sweep_leftovers(target)
    temporary = _temporary_sibling(target)
    try:
        yield temporary
        _fsync(temporary)
        os.replace(temporary, target)
        _fsync(target.parent)
    except OSError as error:
        raise InputError(_unwritable(target, error)) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _temporary_sibling(target: pathlib.Path) -> pathlib.Path:
    """Name that tells which process writes it, see `sweep`; no longer than the file's own may be.

    A name that would be too long is cut and keeps a digest of what it was.
    """
    ending = f".tmp{target.suffix}"
    owner = f".{this_process().text()}-{next(_temporary_numbers)}{ending}"
    stem = f".{target.stem}"
    room = MAX_NAME_BYTES - len(os.fsencode(owner))
    if len(os.fsencode(stem)) > room:
        digest = hashlib.sha256(os.fsencode(stem)).hexdigest()[:16]
        stem = os.fsdecode(os.fsencode(stem)[: max(room - 17, 0)]) + "~" + digest
    return target.with_name(stem + owner)


def _sweep_leftovers(target: pathlib.Path) -> None:
    """Remove temporary files of `target` whose process, on this host, is gone."""
    for path, owner in _temporaries(target.parent):
        if path.name.startswith(f".{target.stem}.") and path.suffix == target.suffix:
            _remove_if_gone(path, owner, alone=False)


def sweep(folder: _Path) -> None:
    """Remove what killed runs left of files that they were writing in a folder.

    For the folder's owner (see `utils.ownership`): nobody else writes there, so that what another
    host wrote, or a process whose number was given away since, is left over, too.

    Args:
        folder: one that exists.
    """
    for path, owner in _temporaries(pathlib.Path(folder)):
        _remove_if_gone(path, owner, alone=True)


def _temporaries(folder: pathlib.Path) -> Iterator[tuple[pathlib.Path, Process]]:
    """List the temporary files of a folder with the processes that wrote them."""
    for name in sorted(os.listdir(folder)):
        found = _TEMPORARY.fullmatch(name)
        if found is not None:
            yield folder / name, Process.parsed(found["owner"])


def _remove_if_gone(path: pathlib.Path, owner: Process, *, alone: bool) -> None:
    here = owner.host == this_process().host
    if (here and not owner.is_running()) or (alone and not here):
        with contextlib.suppress(OSError):  # another process swept it
            path.unlink()


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
        _check_name(target)
        if target.is_dir():
            raise InputError(_unwritable(target, "it is a folder, a file name is needed"))
        folder = next(parent for parent in target.absolute().parents if os.path.lexists(parent))
        if folder.is_symlink() and not folder.exists():
            raise InputError(_unwritable(target, f"{folder} is a link to nowhere"))
        if not folder.is_dir():
            raise InputError(_unwritable(target, f"{folder} is a file, not a folder"))
        # Permission bits lie for root and on read-only mounts: only a real file tells.
        with tempfile.TemporaryFile(dir=folder):
            pass
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(_unwritable(target, error)) from error


def _check_name(target: pathlib.Path) -> None:
    """Refuse a path that the files beside it could not be named after."""
    text = str(target)
    if "\0" in text:
        raise InputError(_unwritable(target, "it contains a null character"))
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InputError(_unwritable(target, "its name is not UTF-8")) from None
    for part in target.parts[:-1]:
        if len(os.fsencode(part)) > MAX_NAME_BYTES:
            raise InputError(_unwritable(target, "the name of a folder in it is too long"))
    if len(os.fsencode(target.name)) > MAX_NAME_BYTES - LONGEST_SUFFIX:
        most = MAX_NAME_BYTES - LONGEST_SUFFIX
        raise InputError(
            _unwritable(
                target,
                f"File name too long: files beside it have longer ones, {most} bytes are possible",
            )
        )
    if len(os.fsencode(target.absolute())) > _MAX_PATH_BYTES - MAX_NAME_BYTES:
        raise InputError(_unwritable(target, "the whole path is too long"))


def is_full(error: BaseException) -> bool:
    """Whether an exception, or what caused it, says that a disk is full.

    Libraries write through C: of some exceptions only the text says so.
    """
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno in _FULL:
            return True
        if any(words in str(seen) for words in _FULL_WORDS):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def _unwritable(path: pathlib.Path, reason: object) -> str:
    """Say why a file cannot be written, and what to do about it."""
    if isinstance(reason, BaseException):
        if is_full(reason):
            return (
                f"cannot write {str(path)!r}: No space left on device, the disk is full. Make room "
                "there and repeat the command: it goes on from the last save."
            )
        reason = getattr(reason, "strerror", None) or reason
    text = ascii(str(path)) if not str(path).isprintable() else repr(str(path))
    return f"cannot write {text[:200]}: {reason}. Choose a path in a folder that you may write to."
