"""Kills this process at a chosen call of `os.replace`, `os.fsync` or `os.unlink`.

These are the moments at which what is on the disk changes its meaning: a file appears, is there to
stay, or goes. The product knows nothing of it.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

CALLS = ("replace", "fsync", "unlink")


class CrashPoints:
    """Counts the calls, and kills the process at one of them.

    Args:
        kill_at: the number of the call, from 0; None only counts.
        after: do the call first.

    Attributes:
        count: calls so far.
    """

    def __init__(self, kill_at: int | None = None, *, after: bool = False) -> None:
        self._kill_at = kill_at
        self._after = after
        self.count = 0

    def arm(self) -> None:
        """Put the counter in front of the calls, for the rest of the process' life."""
        for name in CALLS:
            setattr(os, name, self._counted(getattr(os, name)))

    def _counted(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **kwargs: Any) -> Any:
            ends = self.count == self._kill_at
            self.count += 1
            if ends and not self._after:
                os.kill(os.getpid(), signal.SIGKILL)
            try:
                return call(*args, **kwargs)
            finally:
                if ends:
                    os.kill(os.getpid(), signal.SIGKILL)

        return counted
