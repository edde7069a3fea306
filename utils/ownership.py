"""One owner for each folder that a run writes to.

Two runs in one folder would each take the other's files for its own: a search's record would hold
the roll-outs of both. A run therefore locks its folders with a file in each, which names the
process. The lock is the operating system's: it goes with the process, however that ends, and what a
killed run left of the file says nothing. Where a file system knows no locks the file's text
decides: a process of this host that is gone has left it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import pathlib
import time
from collections.abc import Iterable, Iterator

from utils.atomic import sweep
from utils.errors import InputError
from utils.json_reader import document
from utils.processes import Process, this_process
from utils.schema import Fields, Text, Whole

try:
    import fcntl
except ImportError:  # no Unix
    fcntl = None  # type: ignore[assignment]

LOCK_FILE = ".flowpress.lock"
_MAX_BYTES = 4096
_PATIENCE = 1.0  # seconds
_KIND = Fields({"host": Text(256), "pid": Whole(0), "began": Whole(0)})
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)


@contextlib.contextmanager
def owned(folders: Iterable[str | os.PathLike[str]]) -> Iterator[None]:
    """Own folders while the block runs, and sweep what killed runs left in them first.

    Args:
        folders: they are made where they are missing; those that stay empty are removed again.

    Raises:
        InputError: if another run has one of them; names its process and host. Or if a folder
            cannot be made or written to.
    """
    places = sorted({pathlib.Path(folder).absolute() for folder in folders})
    with contextlib.ExitStack() as stack:
        for place in places:
            stack.enter_context(_owned(place))
        yield


@contextlib.contextmanager
def _owned(folder: pathlib.Path) -> Iterator[None]:
    made = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    path = folder / LOCK_FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        before = folder.stat()
        descriptor = _locked(path)
        locked = folder.stat()
    except OSError as error:
        raise InputError(
            f"cannot write to the folder {str(folder)!r}: {error.strerror}. Choose one that you "
            "may write to."
        ) from error
    try:
        sweep(folder)
        yield
    finally:
        with contextlib.suppress(OSError):
            untouched = folder.stat().st_mtime_ns == locked.st_mtime_ns
            path.unlink()
            if untouched:  # a run that was refused leaves no trace
                os.utime(folder, ns=(before.st_atime_ns, before.st_mtime_ns))
        os.close(descriptor)
        with contextlib.suppress(OSError):  # the first that is not empty stays, with the others
            for empty in made:
                empty.rmdir()


def _locked(path: pathlib.Path) -> int:
    """Lock a file that names this process; gives the descriptor that holds the lock."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            if not _lock(path, descriptor):
                _refuse_if_held(path, descriptor)
            if _is_still(path, descriptor):  # its last owner may have removed it meanwhile
                _write_owner(descriptor)
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _lock(path: pathlib.Path, descriptor: int) -> bool:
    """Lock a file; False where the file system knows no locks.

    Raises:
        InputError: if another process holds it.
    """
    if fcntl is None:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _NO_LOCKS:
            return False
        if error.errno not in (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES):
            raise
        raise _taken(path, _holder(descriptor)) from None
    return True


def _holder(descriptor: int) -> Process | None:
    """Read who holds a lock; its text follows the lock, so that may be a moment later."""
    until = time.monotonic() + _PATIENCE
    while True:
        owner = _owner(descriptor)
        if owner is not None and (owner.host != this_process().host or owner.is_running()):
            return owner
        if time.monotonic() > until:
            return None
        time.sleep(_PATIENCE / 20)


def _refuse_if_held(path: pathlib.Path, descriptor: int) -> None:
    """Go by the file's text, where no lock can be had."""
    owner = _owner(descriptor)
    if owner is None or owner == this_process():
        return
    if owner.host != this_process().host or owner.is_running():
        raise _taken(path, owner, f" If it has ended, remove {str(path)!r}.")


def _owner(descriptor: int) -> Process | None:
    """Read who wrote a lock file; None where that cannot be told."""
    os.lseek(descriptor, 0, os.SEEK_SET)
    try:
        found = document(os.read(descriptor, _MAX_BYTES), "lock", _KIND)
    except InputError:  # empty: its owner has just made it
        return None
    return Process(found["host"], found["pid"], found["began"])


def _write_owner(descriptor: int) -> None:
    owner = this_process()
    text = f'{{"host": "{owner.host}", "pid": {owner.pid}, "began": {owner.began}}}\n'
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, text.encode(), 0)


def _is_still(path: pathlib.Path, descriptor: int) -> bool:
    try:
        now, held = os.stat(path), os.fstat(descriptor)
    except FileNotFoundError:
        return False
    return (now.st_dev, now.st_ino) == (held.st_dev, held.st_ino)


def _taken(path: pathlib.Path, owner: Process | None, advice: str = "") -> InputError:
    who = "another run" if owner is None else f"the run of process {owner.pid} on {owner.host}"
    return InputError(
        f"{str(path.parent)!r} is in use by {who}. Give another --out_dir, or wait until it has "
        f"ended.{advice}"
    )
