"""A finished run: its report, and the files that this names."""

from __future__ import annotations

import dataclasses
import pathlib
import re

from utils.errors import InputError
from utils.json_reader import read_json
from utils.report import File, Network, Report, file_sha256
from utils.schema import Anything, MapOf, brief

REPORT_FILE = "report.json"
_MAX_BYTES = 256 << 20
_QUANTIZED = "int8"
_KIND = re.compile(r"\w+")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Side:
    """The network before a run, or the one it left.

    Attributes:
        facts: what the report says of it.
        network: its `.keras` file.
        files: its files for devices by kind.
        quantized_accuracy: of its int8 file; None without one.
    """

    facts: Network
    network: pathlib.Path
    files: dict[str, pathlib.Path]
    quantized_accuracy: float | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """A run.

    Attributes:
        report: its report's file.
        date: when it ended, such as 20200712.
        before: the original network.
        after: the network that it left.
    """

    report: pathlib.Path
    date: str
    before: Side
    after: Side


def read_run(folder: pathlib.Path) -> Run:
    """Read a finished run.

    Args:
        folder: which holds its report.

    Raises:
        InputError: if there is no report, or a network that it names is missing.
    """
    path = folder / REPORT_FILE
    if not path.is_file():
        raise InputError(
            f"{str(folder)!r} holds no {REPORT_FILE}. Give the folder of a finished run (its "
            "--out_dir)."
        )
    advice = "Give the folder of a finished run, as it was left."
    content = read_json(path, MapOf(Anything()), max_bytes=_MAX_BYTES, advice=advice)
    try:
        report = Report.from_dict(content)
    except ValueError as error:
        reason = " ".join(str(error).split())[:300]
        raise InputError(f"{path} is no report that can be read: {reason} {advice}") from error
    return Run(
        report=path,
        date=report.created[:10].replace("-", ""),
        before=_side(folder, report, "before"),
        after=_side(folder, report, "after"),
    )


def _side(folder: pathlib.Path, report: Report, name: str) -> Side:
    facts: Network = getattr(report, name)
    if facts.path is None:
        raise InputError(
            f"the run in {str(folder)!r} saved no network {name} itself: its report names none."
        )
    files = [file for file in report.files if file.network == name and file.path]
    for file in files:
        if not _KIND.fullmatch(file.kind):  # it becomes a part of a file's name
            raise InputError(
                f"the report in {str(folder)!r} names a file of the kind {brief(file.kind)}, which "
                "Flowpress does not write."
            )
    return Side(
        facts=facts,
        network=_found(folder, facts.path, facts.sha256),
        files={file.kind: _found(folder, str(file.path), file.sha256) for file in files},
        quantized_accuracy=next((_score(file) for file in files if file.kind == _QUANTIZED), None),
    )


def _score(file: File) -> float | None:
    return file.top1 if file.top1 is not None else next(iter(file.metrics.values()), None)


def score(facts: Network) -> float | None:
    """Give a network's accuracy, or the first of its other metrics."""
    return facts.top1 if facts.top1 is not None else next(iter(facts.metrics.values()), None)


def _found(folder: pathlib.Path, path: str, sha256: str | None) -> pathlib.Path:
    """Find a file that a report names: in its folder, which may have been moved, or where it was.

    What lies elsewhere is taken only where the report knows its content: a report from anywhere
    must not be able to have any file of this machine published.

    Raises:
        InputError: if it is in neither, or was changed.
    """
    beside, there = folder / pathlib.Path(path).name, pathlib.Path(path)
    found = beside if beside.is_file() or sha256 is None else there
    if not found.is_file():
        raise InputError(
            f"the report names {path!r}, which is missing in its folder. Publish the whole folder."
        )
    if sha256 is not None and file_sha256(found) != sha256:
        raise InputError(f"{found} has been changed since its report was written. Run it again.")
    return found
