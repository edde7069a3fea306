"""Processes that this one started and talks to: how they end."""

from __future__ import annotations

import contextlib
import subprocess
from typing import IO


def end_child(process: subprocess.Popen[bytes], errors: IO[bytes] | None = None) -> None:
    """Kill a process, and close what it was talked to through.

    Args:
        process: running or not; its pipes may be broken.
        errors: a file that its standard error went to.
    """
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout, errors):
        if stream is not None:
            with contextlib.suppress(BrokenPipeError):
                stream.close()
