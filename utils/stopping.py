"""Ctrl-C, and the end that a cluster asks for (SIGTERM): what was worked out is saved first."""

from __future__ import annotations

import _thread
import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any, NoReturn

EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143
INTERRUPTED_LINE = "Interrupted. The same command resumes from the last save."

_PATIENCE = 10.0  # seconds in which a program that was interrupted must have ended
_SHOW_CURSOR = b"\x1b[?25h"  # a progress bar hides it


class Interrupted(KeyboardInterrupt):
    """Ctrl-C came, the work is saved, and the user was told how to go on."""


class Terminated(SystemExit):
    """SIGTERM came. A program that does not catch it ends with status 143.

    Attributes:
        told: the user was told how to go on.
    """

    def __init__(self, *, told: bool = False) -> None:
        super().__init__(EXIT_TERMINATED)
        self.told = told


class StopRequests:
    """Notes the first SIGINT or SIGTERM, for a loop that can save before it stops.

    Use as a context manager around the loop, which looks at `signal` between two steps. A second
    signal acts at once, as it would have without this. Signals that were ignored stay ignored; in a
    thread that is not the main one, and so gets none, nothing is done.

    Attributes:
        signal: the signal that came; None so far.
    """

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> StopRequests:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                handler = signal.getsignal(number)
                if handler not in (None, signal.SIG_IGN):  # None: not Python's to change
                    self._before[number] = handler
                    signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()

    def raise_stop(self) -> NoReturn:
        """End the program, or what called it, after saving and telling the user.

        Raises:
            Interrupted: after SIGINT.
            Terminated: after SIGTERM.
        """
        if self.signal == signal.SIGTERM:
            raise Terminated(told=True)
        raise Interrupted

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.signal = signal.Signals(number)
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}


@contextlib.contextmanager
def terminating() -> Iterator[None]:
    """Let SIGTERM raise `Terminated` wherever the program is, so that files are closed."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Terminated

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    if before is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class Interruption:
    """Ctrl-C as a command sees it.

    Attributes:
        asked: it came.
        told: the user was told so.
    """

    def __init__(self) -> None:
        self.asked = False
        self.told = False
        self._timer: threading.Timer | None = None

    def note(self, number: int, frame: FrameType | None) -> None:
        """Raise `KeyboardInterrupt` at the first Ctrl-C; end the process at the next.

        A library may swallow the exception: a program that goes on nevertheless is ended, too.
        """
        if self.asked:
            self._leave()
        self.asked = True
        self._timer = threading.Timer(_PATIENCE, _thread.interrupt_main)
        self._timer.daemon = True
        self._timer.start()
        raise KeyboardInterrupt

    def settle(self) -> None:
        """Stop waiting for the program's end."""
        if self._timer is not None:
            self._timer.cancel()

    def _leave(self) -> None:
        with contextlib.suppress(OSError):
            if os.isatty(2):
                os.write(2, _SHOW_CURSOR)
            if not self.told:
                os.write(2, f"{INTERRUPTED_LINE}\n".encode())
        os._exit(EXIT_INTERRUPTED)


@contextlib.contextmanager
def interrupting() -> Iterator[Interruption]:
    """Let the first SIGINT raise `KeyboardInterrupt` and the second end the process at once.

    Whatever a killed run leaves, the next one sweeps. A signal that was ignored stays ignored; in a
    thread that is not the main one nothing is done.

    Yields:
        What came.
    """
    found = Interruption()
    before = signal.getsignal(signal.SIGINT)
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or before in (None, signal.SIG_IGN):
        yield found
        return
    signal.signal(signal.SIGINT, found.note)
    try:
        yield found
    finally:
        found.settle()
        signal.signal(signal.SIGINT, before)
