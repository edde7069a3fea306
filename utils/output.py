"""Output that never ends a run: closed, full, or of another encoding.

Hours of training must not be lost because their progress was piped into `head`, or because the
disk with the log is full. What cannot be written is dropped; that it was is said once, where it can
be.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Iterator
from typing import Any


class LenientStream:
    """A text stream whose writes never fail.

    Args:
        stream: what is written to; None (Python found it closed) for nothing.
        name: of the stream, for the note.
        other: gets the note; None for nobody.
    """

    def __init__(self, stream: Any, name: str, other: Any = None) -> None:
        self._stream = stream
        self._name = name
        self._other = other
        self._is_lost = stream is None
        self.encoding = getattr(stream, "encoding", None) or "utf-8"
        self.errors = getattr(stream, "errors", None)

    def write(self, text: str) -> int:
        """Write, or drop, a text."""
        if not self._is_lost:
            try:
                self._write(text)
            except (OSError, ValueError) as error:  # ValueError: it was closed
                self._lose(error)
        return len(text)

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
        except UnicodeEncodeError:
            self._stream.write(text.encode("ascii", "backslashreplace").decode())

    def writelines(self, lines: Iterable[str]) -> None:
        """Write, or drop, some lines."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Write out what was kept back."""
        if not self._is_lost:
            try:
                self._stream.flush()
            except (OSError, ValueError) as error:
                self._lose(error)

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        try:
            return bool(self._stream is not None and self._stream.isatty())
        except ValueError:  # closed
            return False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _lose(self, error: Exception) -> None:
        self._is_lost = True
        is_pipe = isinstance(error, BrokenPipeError)  # the reader has enough, as `head` has
        if self._other is not None and not is_pipe:
            reason = getattr(error, "strerror", None) or error
            with contextlib.suppress(OSError, ValueError):
                self._other.write(f"note: {self._name} cannot be written to: {reason}.\n")
                self._other.flush()


@contextlib.contextmanager
def lenient_output() -> Iterator[None]:
    """Let what is written to standard output and standard error never raise inside the block."""
    before = sys.stdout, sys.stderr
    sys.stdout = LenientStream(before[0], "standard output", before[1])
    sys.stderr = LenientStream(before[1], "standard error", before[0])
    try:
        yield
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        sys.stdout, sys.stderr = before
