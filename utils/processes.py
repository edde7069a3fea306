"""Which process did something, told so that it can be found out later whether it still runs.

A number alone does not tell: numbers are given away again, soon in a container, and another host
has the same ones. A process is its host, its number and the moment when it began.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import pathlib
import re
import socket

_TEXT = re.compile(r"(?P<host>.+)-(?P<pid>\d+)-(?P<began>\d+)")


@dataclasses.dataclass(frozen=True)
class Process:
    """A process of some host.

    Attributes:
        host: the host's name.
        pid: its number there.
        began: clock ticks from the host's start to the process'; 0 where that is not known.
    """

    host: str
    pid: int
    began: int

    def text(self) -> str:
        """Write it as a part of a file's name."""
        return f"{self.host}-{self.pid}-{self.began}"

    @classmethod
    def parsed(cls, text: str) -> Process:
        """Read what `text` wrote.

        Raises:
            ValueError: if it is something else.

        Example:
            >>> Process.parsed("my-host-17-250")
            Process(host='my-host', pid=17, began=250)
        """
        found = _TEXT.fullmatch(text)
        if found is None:
            raise ValueError(f"`text` must be host-number-ticks. Received: {text!r}.")
        return cls(found["host"], int(found["pid"]), int(found["began"]))

    def is_running(self) -> bool:
        """Whether it still runs; only asked of processes of this host."""
        if not _exists(self.pid):
            return False
        began = _began(self.pid)
        return 0 in (began, self.began) or began == self.began


def this_process() -> Process:
    """Tell which process this is."""
    return _this(os.getpid())  # a forked child is another one


@functools.cache
def _this(pid: int) -> Process:
    # Without its domain: a dot would end it in the name of a file.
    host = re.sub(r"[^\w-]", "_", socket.gethostname().partition(".")[0]) or "localhost"
    return Process(host[:64], pid, _began(pid))


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # another user's
        return True
    return True


def _began(pid: int) -> int:
    """Read when a process began from Linux' /proc (proc(5), field 22 of stat); 0 elsewhere."""
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_bytes()
        return int(stat.rpartition(b")")[2].split()[19])  # the name before may hold anything
    except (OSError, IndexError, ValueError):
        return 0
