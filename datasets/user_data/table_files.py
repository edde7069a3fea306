"""A CSV file: a row per sample, a column per feature and one with the label."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from datasets.user_data.labels import as_labels, of_names
from datasets.user_data.parts import Part, Stored, UserData, with_test_part
from utils.errors import InputError

LABEL_COLUMNS = ("label", "class", "target", "y")
"""Names of the column with the labels, where `--label_column` gives none."""

MAX_BYTES = 1 << 30
"""Largest file that is read."""

_TEST_FILES = ("test.csv", "val.csv")
_DELIMITERS = ",;\t"


@dataclasses.dataclass(frozen=True)
class _Table:
    features: np.ndarray  # float32 [n, columns]
    labels: list[str]
    columns: tuple[str, ...]  # of the features


def read_table(path: Path, label_column: str | None = None) -> UserData:
    """Read a CSV file, or a folder with `train.csv` and `test.csv`.

    Args:
        path: the file or folder.
        label_column: the column with the labels; None for the one of `LABEL_COLUMNS`.

    Returns:
        The data. Labels that are no numbers are classes, sorted by name.

    Raises:
        InputError: without a header or a column of labels, for a row of another length, a feature
            that is no finite number (names line and column), an oversized file, no rows.
    """
    files = _files(path)
    tables = [_read(file, label_column) for file in files]
    if len(tables) > 1 and tables[1].columns != tables[0].columns:
        raise InputError(
            f"{files[1]}: its columns differ from those of {files[0].name}: "
            f"{', '.join(tables[1].columns[:8])} and {', '.join(tables[0].columns[:8])}."
        )
    numbers, classes = of_names([table.labels for table in tables])
    parts = [
        Part(inputs=Stored(table.features, None), labels=as_labels(labels, f"{file}: the label"))
        for table, labels, file in zip(tables, numbers, files, strict=True)
    ]
    if len(parts) == 1:
        return with_test_part(str(path), parts[0], classes)
    return UserData(name=str(path), train=parts[0], test=parts[1], classes=classes)


def is_table_folder(path: Path) -> bool:
    """Tell whether a folder holds `train.csv`."""
    return (path / "train.csv").is_file()


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    others = [path / name for name in _TEST_FILES if (path / name).is_file()]
    return [path / "train.csv", *others[:1]]


def _read(path: Path, label_column: str | None) -> _Table:
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise InputError(
            f"{path}: {size:,} bytes are more than {MAX_BYTES:,}. Give a .npz file, which is a "
            "quarter as large."
        )
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            first = stream.readline()
            stream.seek(0)
            delimiter = max(_DELIMITERS, key=first.count)
            rows = csv.reader(stream, delimiter=delimiter)
            header = [name.strip() for name in next(rows, [])]
            return _parse(path, header, rows, label_column)
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: is no text with separated values: {error}.") from error


def _parse(path: Path, header: list[str], rows: Any, label_column: str | None) -> _Table:
    label = _label_place(path, header, label_column)
    # pandas writes the number of a row into a column without a name.
    kept = [place for place, name in enumerate(header) if place != label and name]
    features, labels = [], []
    for row in rows:
        if not row:
            continue
        if len(row) != len(header):
            raise InputError(
                f"{path}, line {rows.line_num}: {len(row)} values, the header has {len(header)} "
                "columns."
            )
        features.append(_numbers(path, rows.line_num, header, row, kept))
        labels.append(row[label].strip())
        if not labels[-1]:
            raise InputError(f"{path}, line {rows.line_num}: the label is empty.")
    if not features:
        raise InputError(f"{path}: has no rows below its header.")
    return _Table(np.stack(features), labels, tuple(header[place] for place in kept))


def _label_place(path: Path, header: list[str], label_column: str | None) -> int:
    wanted = LABEL_COLUMNS if label_column is None else (label_column,)
    found = [
        place
        for place, name in enumerate(header)
        if name in wanted or (label_column is None and name.lower() in wanted)
    ]
    if len(found) != 1:
        several = f" Several are: {', '.join(header[place] for place in found)}." if found else ""
        columns = ", ".join(header[:12]) + (", …" if len(header) > 12 else "")
        raise InputError(
            f"{path}: expected one column with the labels, named {' or '.join(wanted)}.{several} "
            f"The first line has: {columns or 'nothing'}. Name it: --label_column=NAME."
        )
    return found[0]


def _numbers(
    path: Path, line: int, header: list[str], row: list[str], kept: list[int]
) -> np.ndarray:
    try:
        values = np.array([float(row[place]) for place in kept], np.float32)
    except ValueError:
        values = np.array([np.nan])
    if np.isfinite(values).all():
        return values
    bad = next(place for place in kept if not _is_finite(row[place]))
    raise InputError(
        f"{path}, line {line}, column {header[bad]!r}: expected a finite number. Received: "
        f"{row[bad]!r}. Fill the gap or leave the row out."
    )


def _is_finite(text: str) -> bool:
    try:
        return bool(np.isfinite(np.float32(float(text))))
    except ValueError:
        return False
