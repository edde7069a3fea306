"""Where and with what a report was made: machine, library versions, Flowpress' own version."""

from __future__ import annotations

import dataclasses
import datetime
import functools
import importlib.metadata
import os
import pathlib
import platform
import tomllib

from utils.report.records import Record, entry

# Distribution names by the name shown; the first one installed counts.
_LIBRARIES = {
    "tensorflow": ("tensorflow", "tensorflow-cpu"),
    "keras": ("keras",),
    "numpy": ("numpy",),
    "ai_edge_litert": ("ai-edge-litert",),
    "scikit_learn": ("scikit-learn",),
}
_PROJECT_FILE = pathlib.Path(__file__).parents[2] / "pyproject.toml"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Machine(Record):
    """The machine on which the run took place and the latencies were measured."""

    cpu: str = entry("name of the processor")
    cores: int = entry("cores that the run might use", lower=1)
    os: str = entry("operating system and instruction set")


@functools.cache
def this_machine() -> Machine:
    """Describe the machine that this process runs on."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return Machine(
        cpu=_cpu_name(), cores=cores, os=f"{platform.system()} {platform.machine()}".strip()
    )


def _cpu_name() -> str:
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() == "model name" and value.strip():
            return value.strip()
    return platform.processor() or platform.machine() or "unknown"


@functools.cache
def _versions() -> tuple[tuple[str, str], ...]:
    found = [("python", platform.python_version())]
    for name, distributions in _LIBRARIES.items():
        for distribution in distributions:
            try:
                found.append((name, importlib.metadata.version(distribution)))
                break
            except importlib.metadata.PackageNotFoundError:
                continue
    return tuple(found)


def library_versions() -> dict[str, str]:
    """Read the versions of Python and of the libraries that matter, without importing them.

    Returns:
        Version by name; a library that is not installed is left out.
    """
    return dict(_versions())


@functools.cache
def flowpress_version() -> str:
    """Read Flowpress' version from its `pyproject.toml`."""
    return str(tomllib.loads(_PROJECT_FILE.read_text(encoding="utf-8"))["project"]["version"])


def utc_now() -> str:
    """Tell the time as ISO 8601, UTC, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
