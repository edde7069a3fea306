"""The real data sets and weights that tests and benchmarks measure on.

They lie outside the repository, in the folder that the environment variable FLOWPRESS_DATA names:
`cifar10/`, `mnist/`, `fashion_mnist/`, `weights/`.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.rows import SkipRow
from datasets import cifar10_dataset

_CACHE = Path(__file__).resolve().parent.parent / ".cache"
_BATCHES = "cifar-10-batches-bin"


class DataUnavailableError(Exception):
    """Real data is not on this machine; the message says what to set, tests skip with it."""


def data_root() -> Path:
    """Give the folder $FLOWPRESS_DATA.

    Raises:
        DataUnavailableError: if it is not set or does not exist.
    """
    value = os.environ.get("FLOWPRESS_DATA")
    if not value:
        raise DataUnavailableError(
            "needs real data: set FLOWPRESS_DATA to a folder with cifar10/, mnist/, "
            "fashion_mnist/ and weights/"
        )
    root = Path(value).expanduser()
    if not root.is_dir():
        raise DataUnavailableError(f"needs real data: FLOWPRESS_DATA={value} is not a folder")
    return root


def data_file(name: str) -> Path:
    """Give a file below $FLOWPRESS_DATA, e.g. `weights/resnet20.npz`.

    Raises:
        DataUnavailableError: if it is not there.
    """
    path = data_root() / name
    if not path.exists():
        raise DataUnavailableError(f"needs real data: {path} does not exist")
    return path


def cifar10_dir() -> Path:
    """Give a folder with CIFAR-10's binary batches.

    Where $FLOWPRESS_DATA/cifar10 holds packed batches and the script that unpacks them, the
    result of that script is kept in `.cache/` of the checkout (8 seconds, once).

    Raises:
        DataUnavailableError: if neither is there.
    """
    folder = data_file("cifar10")
    for candidate in (folder, folder / _BATCHES, _CACHE / _BATCHES):
        if _is_complete(candidate):
            return candidate
    script = folder / "unpack_cifar10.py"
    if not script.is_file():
        raise DataUnavailableError(
            f"needs real data: {folder} has neither the .bin batches nor unpack_cifar10.py"
        )
    with _locked(_CACHE):
        if not _is_complete(_CACHE / _BATCHES):
            _unpack(script)
    return _CACHE / _BATCHES


def cifar10_for_a_row() -> str:
    """Give `cifar10_dir` to a benchmark row.

    Raises:
        SkipRow: without the data.
    """
    try:
        return str(cifar10_dir())
    except DataUnavailableError as error:
        raise SkipRow(str(error)) from error


def _is_complete(folder: Path) -> bool:
    files = ((folder / name, size) for name, size in cifar10_dataset.INFO.files)
    return all(path.is_file() and path.stat().st_size == size for path, size in files)


def _unpack(script: Path) -> None:
    """Run the script beside the final place, so that an interrupted run leaves no half folder."""
    with tempfile.TemporaryDirectory(dir=_CACHE) as temporary:
        subprocess.run([sys.executable, str(script), temporary], check=True, capture_output=True)
        shutil.rmtree(_CACHE / _BATCHES, ignore_errors=True)
        (Path(temporary) / _BATCHES).rename(_CACHE / _BATCHES)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Let one process at a time fill the cache."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
