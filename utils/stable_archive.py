"""`.keras` files whose bytes depend on the network alone.

Keras writes the time of day and, for objects that several layers share, their address in memory:
two files of one network differ in every run, and no digest of a file can be published. Here the
times are taken out and the addresses are numbered in the order in which they appear.
"""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

from utils.archives import CONFIG_ENTRY

_METADATA_ENTRY = "metadata.json"
_DATE = "1980-01-01@00:00:00"  # the first that a ZIP archive knows
_SHARED = "shared_object_id"


def make_stable(path: str | os.PathLike[str]) -> None:
    """Rewrite a `.keras` file that Keras has just written.

    What is written meanwhile lies in a file without a name, so that nothing is left of a process
    that is killed.

    Args:
        path: the file; its content is replaced, its network stays the same.
    """
    target = pathlib.Path(path)
    with tempfile.TemporaryFile(dir=target.parent) as anew:
        with zipfile.ZipFile(target) as archive, zipfile.ZipFile(anew, "w") as written:
            for entry in archive.infolist():
                plain = zipfile.ZipInfo(entry.filename)
                plain.create_system, plain.external_attr = 3, 0o600 << 16  # those of Unix
                plain.file_size = entry.file_size
                rewrite = _REWRITES.get(entry.filename)
                if rewrite is not None:
                    text = json.dumps(rewrite(json.loads(archive.read(entry))))
                    written.writestr(plain, text)
                    continue
                with archive.open(entry) as stream, written.open(plain, "w") as copy:
                    shutil.copyfileobj(stream, copy, 1 << 20)
        anew.seek(0)
        with target.open("wb") as stream:
            shutil.copyfileobj(anew, stream, 1 << 20)


def _without_date(metadata: dict[str, Any]) -> dict[str, Any]:
    return metadata | {"date_saved": _DATE}


def numbered(config: Any) -> Any:
    """Number the shared objects of a description in the order in which they appear.

    Example:
        >>> numbered([{"shared_object_id": 140283}, {"shared_object_id": 7}, 140283])
        [{'shared_object_id': 1}, {'shared_object_id': 2}, 140283]
    """
    numbers: dict[Any, int] = {}

    def renamed(value: Any) -> Any:
        if isinstance(value, list):
            return [renamed(item) for item in value]
        if not isinstance(value, Mapping):
            return value
        return {
            key: numbers.setdefault(item, len(numbers) + 1)
            if key == _SHARED and isinstance(item, int)
            else renamed(item)
            for key, item in value.items()
        }

    return renamed(config)


_REWRITES: Mapping[str, Callable[[Any], Any]] = {
    CONFIG_ENTRY: numbered,
    _METADATA_ENTRY: _without_date,
}
