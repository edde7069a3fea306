"""Topics: the modules `<topic>_bench.py` of a folder, found by their file names."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
import pathlib
import sys
from collections.abc import Sequence

from benchmarks.rows import DEFAULT_SOURCES, Row
from utils.errors import InputError

_ENDING = "_bench.py"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Topic:
    """A module of rows.

    Attributes:
        name: the file's name without `_bench.py`.
        path: the file.
        rows: its rows.
        sources: product files and folders, from the checkout's root, that its figures depend on.
        title: first line of the module's docstring.
    """

    name: str
    path: pathlib.Path
    rows: tuple[Row, ...]
    sources: tuple[str, ...]
    title: str

    def row(self, name: str) -> Row:
        """Look up a row by its name.

        Raises:
            InputError: if there is none.
        """
        for row in self.rows:
            if row.name == name:
                return row
        raise InputError(
            f"topic {self.name!r} has no row {name!r}. Rows: "
            f"{', '.join(row.name for row in self.rows)}."
        )


def find_topics(folder: pathlib.Path) -> dict[str, pathlib.Path]:
    """Find the topic modules of a folder.

    Args:
        folder: where to look.

    Returns:
        Path by topic name, sorted by name.
    """
    return {
        path.name.removesuffix(_ENDING): path for path in sorted(folder.glob(f"[a-z]*{_ENDING}"))
    }


def load_topic(path: pathlib.Path) -> Topic:
    """Import a topic's module.

    Args:
        path: a file `<topic>_bench.py`.

    Returns:
        The topic.

    Raises:
        InputError: if the module has neither `ROWS` nor `rows()`, or two rows of one name.
    """
    name = path.name.removesuffix(_ENDING)
    module_name = f"benchmarks.{name}_bench"
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise InputError(f"{path} is no Python module.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module  # dataclasses and pickles of the module look it up there
    spec.loader.exec_module(module)
    if not (hasattr(module, "rows") or hasattr(module, "ROWS")):
        raise InputError(
            f"{path} has neither `ROWS` nor a function `rows()`; it needs one of them."
        )
    rows = tuple(module.rows() if hasattr(module, "rows") else module.ROWS)
    _refuse_duplicates(path, rows)
    return Topic(
        name=name,
        path=path,
        rows=rows,
        sources=tuple(getattr(module, "SOURCES", DEFAULT_SOURCES)),
        title=(module.__doc__ or name).strip().splitlines()[0],
    )


def _refuse_duplicates(path: pathlib.Path, rows: Sequence[Row]) -> None:
    names = [row.name for row in rows]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"{path} has several rows of one name: {', '.join(twice)}. Rename them.")


def code_digest(topic: Topic, root: pathlib.Path) -> str:
    """Digest of the code that a topic's figures depend on.

    Args:
        topic: the topic.
        root: the checkout's root.

    Returns:
        12 hexadecimal digits: names and bytes of the module and the Python files in its sources.

    Raises:
        InputError: if a source does not exist: the digest would not see it change.
    """
    digest = hashlib.sha256()
    files = [topic.path]
    for source in topic.sources:
        path = root / source
        if path.is_dir():
            files += sorted(path.rglob("*.py"))
        elif path.is_file():
            files.append(path)
        elif topic.sources != DEFAULT_SOURCES:
            raise InputError(f"{topic.path}: SOURCES names {source!r}, which does not exist.")
    for path in files:
        name = path.relative_to(root) if path.is_relative_to(root) else path.name
        digest.update(f"{name}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]
