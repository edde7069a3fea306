"""Runs of two workers of which one is killed at random moments, until they end by themselves."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import random
import signal
import subprocess
import time
import zipfile
from collections.abc import Mapping, Sequence

PATIENCE = 60.0
"""Seconds within which a run must be over once one of its workers was killed."""

_MOMENT = 10.0


@dataclasses.dataclass(frozen=True)
class Kill:
    """What came of a kill.

    Attributes:
        rank: of the worker that was killed.
        status: exit status of the run.
        seconds: from the kill to the end of the run.
        said: what the run wrote on standard error.
        orphans: processes of the run that were left.
    """

    rank: int
    status: int
    seconds: float
    said: str
    orphans: tuple[int, ...]


def killed_run(
    call: Sequence[str], mark: str, *, rank: int, delay: float, environ: Mapping[str, str]
) -> Kill | None:
    """Start a run and kill one of its workers.

    Args:
        call: starts it.
        mark: a text in the command lines of its workers and of no other process.
        rank: of the worker to kill.
        delay: seconds after the worker has started.
        environ: variables of the run.

    Returns:
        What came of it; None where the run ended before.
    """
    with subprocess.Popen(
        call, env=dict(environ), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as run:
        worker = _wait_for(mark, rank, run)
        if worker is not None:
            _sleep(delay, run)
        begin = time.perf_counter()
        is_hit = worker is not None and run.poll() is None and _kill(worker)
        _, said = run.communicate(timeout=600)
        seconds = time.perf_counter() - begin
    if not is_hit or run.returncode == 0:
        return None
    return Kill(rank, run.returncode, seconds, said, _left(mark))


def _left(mark: str) -> tuple[int, ...]:
    """List what does not end by itself; a process that was ended needs a moment to go."""
    end = time.perf_counter() + _MOMENT
    while (found := workers_of(mark)) and time.perf_counter() < end:
        time.sleep(0.1)
    return tuple(found)


def random_moments(seed: int, number: int, longest: float) -> list[tuple[int, float]]:
    """Draw whom to kill and when: (rank, seconds)."""
    drawn = random.Random(seed)
    return [(drawn.randrange(2), drawn.uniform(0.0, longest)) for _ in range(number)]


def workers_of(mark: str) -> list[int]:
    """List the processes of a run by their command lines."""
    found = []
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:  # it ended meanwhile
            continue
        if any("main.py" in word for word in words) and any(mark in word for word in words):
            found.append(int(folder.name))
    return found


def contents(path: pathlib.Path) -> dict[str, bytes]:
    """Read a `.keras` file's parts that a resumed run must end with, bit by bit."""
    with zipfile.ZipFile(path) as archive:
        kept = [name for name in archive.namelist() if name.endswith((".h5", ".npy"))]
        return {name: archive.read(name) for name in kept}


def _wait_for(mark: str, rank: int, run: subprocess.Popen[str]) -> int | None:
    while run.poll() is None:
        for pid in workers_of(mark):
            try:
                environ = pathlib.Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
                name = pathlib.Path(f"/proc/{pid}/comm").read_text()
            except OSError:
                continue
            if f"HOROVOD_RANK={rank}".encode() in environ and name.startswith("python"):
                return pid
        time.sleep(0.1)
    return None


def _sleep(delay: float, run: subprocess.Popen[str]) -> None:
    end = time.perf_counter() + delay
    while time.perf_counter() < end and run.poll() is None:
        time.sleep(0.05)


def _kill(pid: int) -> bool:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True
