"""Running horovodrun: worker 0's output passes through, a worker that dies is named.

horovodrun marks every line with the worker's rank and ends all workers once one has failed. What
the others write is kept, and shown only of the one that failed first.
"""

from __future__ import annotations

import collections
import contextlib
import ctypes
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import IO, Any

from utils.errors import InputError
from utils.stopping import EXIT_INTERRUPTED, EXIT_TERMINATED

NUM_LINES = 12
_LINE = re.compile(r"\[(\d+)\]<(stdout|stderr)>:(.*)", re.DOTALL)
_ENDED = re.compile(r"Process (\d+) exit with status code (-?\d+)\.")
_NOISE = ("cudart_stub", "All log messages before absl::InitializeLog")
_TOLD = (2, EXIT_INTERRUPTED, EXIT_TERMINATED)  # statuses of which worker 0 has told the reason


class Watch:
    """Sorts the lines of horovodrun.

    Args:
        out: gets worker 0's results.
        err: gets its notes.

    Attributes:
        failed: (rank, exit status) of the worker that failed first; None so far.
    """

    def __init__(self, out: IO[str], err: IO[str]) -> None:
        self._out, self._err = out, err
        self.failed: tuple[int, int] | None = None
        self._last: dict[int | None, collections.deque[str]] = {}
        self._lock = threading.Lock()

    def line(self, text: str) -> None:
        """Take a line."""
        match = _LINE.match(text)
        rank = int(match[1]) if match else None
        content = match[3] if match else text
        if any(noise in content for noise in _NOISE):
            return
        with self._lock:
            self._last.setdefault(rank, collections.deque(maxlen=NUM_LINES)).append(content)
            ended = None if match else _ENDED.search(text)
            if ended and self.failed is None and int(ended[2]):
                self.failed = int(ended[1]), int(ended[2])
            if match is not None and rank == 0:
                stream = self._out if match[2] == "stdout" else self._err
                stream.write(content)
                stream.flush()

    def verdict(self, status: int, num_workers: int) -> tuple[int, str]:
        """Say how the run ended.

        Args:
            status: of horovodrun.
            num_workers: that were started.

        Returns:
            The exit status and what to tell; nothing where worker 0 told it.
        """
        if not status:
            return 0, ""
        if self.failed is None:
            return 1, "error: the workers could not be started:\n" + self._lines(None)
        rank, code = self.failed
        if rank == 0 and code in _TOLD:
            return code, ""
        text = (
            f"error: worker {rank} of {num_workers} ended with {status_name(code)}; all were "
            "stopped. The same command goes on from the last save."
        )
        if rank == 0:
            return (code if 0 < code < 128 else 1), text
        last = self._lines(rank)
        return (code if code == 2 else 1), f"{text} Its last lines:\n{last}" if last else text

    def _lines(self, rank: int | None) -> str:
        return "".join(f"  {line.rstrip()}\n" for line in self._last.get(rank, ())).rstrip("\n")


def status_name(code: int) -> str:
    """Name an exit status.

    Example:
        >>> status_name(137), status_name(-9), status_name(2)
        ('SIGKILL', 'SIGKILL', 'status 2')
    """
    number = code - 128 if code > 128 else -code
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"status {code}"


def run(call: Sequence[str], num_workers: int) -> int:
    """Run horovodrun to its end.

    Args:
        call: see `calls.horovodrun`.
        num_workers: that it starts.

    Returns:
        The exit status: worker 0's where that failed first, else 1 for a worker that died; 130 or
        143 where this process was asked to stop.

    Raises:
        InputError: if horovodrun itself cannot be started.
    """
    watch = Watch(sys.stdout, sys.stderr)
    with _started(call) as child, _signals_handed_on(child) as asked:
        streams = [child.stdout, child.stderr]
        readers = [threading.Thread(target=_read, args=(each, watch)) for each in streams]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()
        status = child.wait()
    code, text = watch.verdict(status, num_workers)
    if status and asked:  # the user's own wish; worker 0 has told how to go on
        return EXIT_INTERRUPTED if asked[0] == signal.SIGINT else EXIT_TERMINATED
    if text:
        sys.stderr.write(f"{text}\n")
    return code


def _started(call: Sequence[str]) -> subprocess.Popen[str]:
    try:
        return subprocess.Popen(
            call,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
            preexec_fn=_die_with_parent if sys.platform == "linux" else None,
        )
    except OSError as error:  # its first line may name a Python that was moved
        raise InputError(
            f"{call[0]} cannot be started: {error.strerror}. Install it anew: "
            "scripts/install_horovod.sh."
        ) from error


def _read(stream: Any, watch: Watch) -> None:
    for line in stream:
        watch.line(line)


@contextlib.contextmanager
def _signals_handed_on(child: subprocess.Popen[str]) -> Iterator[list[int]]:
    """Let horovodrun stop the workers, for which this process waits; give the signals that come."""
    asked: list[int] = []

    def hand_on(number: int, frame: Any) -> None:
        asked.append(number)
        if child.poll() is None:
            child.send_signal(number)

    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, hand_on) for number in numbers]
    try:
        yield asked
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _die_with_parent() -> None:
    """Ask Linux to end horovodrun, and so the workers, should this process be killed."""
    parent_death_signal = 1  # PR_SET_PDEATHSIG
    ctypes.CDLL(None).prctl(parent_death_signal, signal.SIGTERM)
