"""Folders of their own for runs that name none, and for what is needed for a while only."""

import contextlib
import itertools
import os
import pathlib
import re
import shutil
import tempfile
from collections.abc import Iterator

from utils.atomic import is_full
from utils.errors import InputError
from utils.processes import Process, this_process

_PASSING = "flowpress-"
_OWNER = re.compile(rf"\.?{_PASSING}(.+-\d+-\d+)\.\w+")
_Path = str | os.PathLike[str]


@contextlib.contextmanager
def fresh_folder(path: _Path) -> Iterator[pathlib.Path]:
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


def passing_folder(within: _Path | None = None) -> tempfile.TemporaryDirectory[str]:
    """Make a folder for what a process needs for a while only.

    What processes of this host left there that were killed is removed first.

    Args:
        within: a folder that exists, where it lies hidden; None for the system's place for
            temporary files.

    Returns:
        The folder: as a context its path; gone with the context, or with the object.
    """
    return tempfile.TemporaryDirectory(prefix=passing_prefix(within), dir=within)


@contextlib.contextmanager
def own_temporary_place() -> Iterator[None]:
    """Let what this process writes for a while, its libraries too, lie in one passing folder.

    Libraries name files as they like, and remove them when Python ends: of those that a killed
    process left nobody could tell whose they are.

    Raises:
        InputError: if there is no place for temporary files.
    """
    before = tempfile.tempdir, os.environ.get("TMPDIR")
    try:
        folder = passing_folder()
    except OSError as error:
        if is_full(error):
            raise
        raise InputError(
            f"there is no place for temporary files: {error.strerror or error}. Set TMPDIR to a "
            "folder that you may write to."
        ) from error
    with folder as place:
        tempfile.tempdir = os.environ["TMPDIR"] = place
        try:
            yield
        finally:
            tempfile.tempdir = before[0]
            if before[1] is None:
                del os.environ["TMPDIR"]
            else:
                os.environ["TMPDIR"] = before[1]


def passing_prefix(within: _Path | None = None) -> str:
    """Give the beginning of the name of such a folder, and sweep; see `passing_folder`.

    For who moves the folder to a place where it stays.
    """
    sweep_passing(within)
    return f"{'.' * (within is not None)}{_PASSING}{this_process().text()}."


def sweep_passing(within: _Path | None = None) -> None:
    """Remove the passing folders of processes of this host that are gone.

    Those of other users stay, and links are not followed.

    Args:
        within: see `passing_folder`.
    """
    place = tempfile.gettempdir() if within is None else within
    with contextlib.suppress(OSError), os.scandir(place) as found:
        for entry in found:
            owner = _OWNER.fullmatch(entry.name)
            if owner is not None and _is_own(entry) and _is_gone(Process.parsed(owner[1])):
                shutil.rmtree(entry.path, ignore_errors=True)  # another process may be at it too


def _is_own(entry: os.DirEntry[str]) -> bool:
    """Whether it is a folder of this user, and no link to one."""
    is_folder = entry.is_dir(follow_symlinks=False)
    return is_folder and entry.stat(follow_symlinks=False).st_uid == os.getuid()


def _is_gone(owner: Process) -> bool:
    return owner.host == this_process().host and not owner.is_running()


def nearest_folder(path: _Path) -> pathlib.Path:
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
