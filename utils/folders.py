"""Folders of their own for runs that name none."""

import contextlib
import itertools
import os
import pathlib
import re
import shutil
import tempfile
from collections.abc import Iterator

from utils.errors import InputError
from utils.processes import Process, this_process

_PASSING = "flowpress_worker_"


@contextlib.contextmanager
def fresh_folder(path: str | os.PathLike[str]) -> Iterator[pathlib.Path]:
    """Make a folder that no other run uses: `path`, else `path-2`, `path-3` and so on.

    Whoever makes the folder has it: of runs that begin at the same time each gets another one. On
    an exception it is removed again if nothing was written there, with the parents made for it.

    Args:
        path: the name of the first one.

    Yields:
        The folder's path.

    Raises:
        InputError: if it cannot be made.
    """
    first = pathlib.Path(path)
    made = [parent for parent in first.parents if not parent.exists()]  # innermost first
    try:
        first.parent.mkdir(parents=True, exist_ok=True)
        folder = next(filter(_made, _names(first)))
    except OSError as error:
        raise InputError(
            f"cannot make the folder {str(first)!r}: {error.strerror}. Give --out_dir, a folder "
            "that you may write to."
        ) from error
    try:
        yield folder
    except BaseException:
        with contextlib.suppress(OSError):  # the first that is not empty stays, with the others
            for empty in (folder, *made):
                empty.rmdir()
        raise


@contextlib.contextmanager
def passing_folder() -> Iterator[pathlib.Path]:
    """Make a folder for a worker that keeps nothing, gone in the end.

    What workers left there that were killed, on this host, is removed first.

    Yields:
        The folder's path, in the system's place for temporary files.
    """
    for path in pathlib.Path(tempfile.gettempdir()).glob(f"{_PASSING}*"):
        owner = re.fullmatch(rf"{_PASSING}(.+-\d+-\d+)\.\w+", path.name)
        if owner is not None and _is_gone(Process.parsed(owner[1])):
            shutil.rmtree(path, ignore_errors=True)  # another worker may be at it too
    prefix = f"{_PASSING}{this_process().text()}."
    with tempfile.TemporaryDirectory(prefix=prefix) as folder:
        yield pathlib.Path(folder)


def _is_gone(owner: Process) -> bool:
    return owner.host == this_process().host and not owner.is_running()


def nearest_folder(path: str | os.PathLike[str]) -> pathlib.Path:
    """Find the folder, of those around a path, that exists and is nearest.

    What is made in a temporary folder there can be moved to `path` by renaming, and nothing is left
    behind if it comes to that never.

    Args:
        path: a file or folder, which need not exist.

    Raises:
        InputError: if that is a file.
    """
    folder = next(parent for parent in pathlib.Path(path).absolute().parents if parent.exists())
    if not folder.is_dir():
        raise InputError(
            f"cannot write {str(path)!r}: {folder} is a file, not a folder. Choose another path."
        )
    return folder


def _names(first: pathlib.Path) -> Iterator[pathlib.Path]:
    yield first
    for number in itertools.count(2):
        yield first.with_name(f"{first.name}-{number}")


def _made(folder: pathlib.Path) -> bool:
    try:
        folder.mkdir()
    except FileExistsError:
        return False
    return True
