"""What every command shares: errors in one line, exit statuses, notices, the console."""

import contextlib
import errno
import logging
import os
import pathlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import absl.logging
from rich.console import Console

from utils.atomic import is_full
from utils.causes import essence, explanation, is_users, own_place, user_place
from utils.errors import InputError
from utils.output import lenient_output
from utils.stopping import (
    EXIT_INTERRUPTED,
    EXIT_TERMINATED,
    INTERRUPTED_LINE,
    Interrupted,
    Interruption,
    Terminated,
    interrupting,
    terminating,
)

EXIT_INTERNAL = 1
EXIT_BAD_INPUT = 2

# Names may hold what rich takes for markup or for the code of an emoji: they are shown as they are.
notes = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)  # progress, errors
out = Console(highlight=False, emoji=False)  # results

# What a path or a disk is to blame for, wherever it is found.
_OF_THE_PLACE = (
    errno.EACCES,
    errno.EIO,
    errno.ELOOP,
    errno.ENAMETOOLONG,
    errno.ENOTDIR,
    errno.EPERM,
    errno.EROFS,
)

DISK_FULL = (
    "the disk is full. Make room on it and repeat the command: it goes on from the last save."
)


def quiet_tensorflow() -> None:
    """Silence TensorFlow's start-up chatter; call before it is imported."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    absl.logging.set_verbosity(absl.logging.ERROR)
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # advice on tracing, for its developers


def guarded(body: Callable[[], int | None], argv: Sequence[str]) -> int:
    """Run a command's body and turn what goes wrong into one line.

    Args:
        body: the command; its return value (None is 0) is the exit status.
        argv: the arguments; `--debug` among them lets the traceback through.

    Returns:
        The exit status: 0, 2 for bad input or a mistake in the user's code, 1 for one of ours, 130
        for Ctrl-C, 143 for SIGTERM.
    """
    quiet_tensorflow()
    debug = any(arg in ("--debug", "--debug=True", "--debug=true") for arg in argv)
    with lenient_output(), _own_warnings(show_all=debug), interrupting() as ctrl_c:
        try:
            with terminating():
                status = body() or 0
            return _interrupted(ctrl_c) if ctrl_c.asked else status
        except Exception as error:
            if ctrl_c.asked:  # a library made another exception of it
                return _interrupted(ctrl_c)
            if debug:
                raise
            text, status = _told(error)
            notes.print(f"error: {in_one_line(text)}", markup=False)
            return status
        except Interrupted:
            ctrl_c.told = True
            return EXIT_INTERRUPTED
        except KeyboardInterrupt:
            return _interrupted(ctrl_c)
        except Terminated as stop:
            if not stop.told:
                notes.print("Terminated. The same command resumes from the last save.")
            return EXIT_TERMINATED


def _interrupted(ctrl_c: Interruption) -> int:
    ctrl_c.told = True
    notes.print(INTERRUPTED_LINE)
    return EXIT_INTERRUPTED


def in_one_line(text: str) -> str:
    r"""Write a text in one line of printable characters.

    Example:
        >>> in_one_line("a\n  b\x1b[1m \udcff")
        'a b\\x1b[1m \\udcff'
    """
    line = " ".join(text.split())
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)


@contextlib.contextmanager
def _own_warnings(*, show_all: bool) -> Iterator[None]:
    """Show the warnings that the user's code gives, as notes; those of libraries are for us."""
    if show_all:
        yield
        return

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: Any = None,
        line: str | None = None,
    ) -> None:
        if is_users(filename):
            place = f"{pathlib.Path(filename).name}, line {lineno}"
            notes.print(f"note: {place}: {in_one_line(str(message))}", markup=False)

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield


def _told(error: Exception) -> tuple[str, int]:
    """Say in one line whose mistake an exception is; give the exit status too."""
    if isinstance(error, InputError):
        return str(error), EXIT_BAD_INPUT
    if is_full(error):
        return DISK_FULL, EXIT_BAD_INPUT
    if isinstance(error, OSError) and error.filename and error.errno in _OF_THE_PLACE:
        return f"{str(error.filename)[:200]}: {error.strerror}.", EXIT_BAD_INPUT
    if user_place(error) is not None:
        return f"your code failed: {explanation(error)}", EXIT_BAD_INPUT
    place = own_place(error)
    where = "" if place is None else f" ({place})"
    return (
        f"{essence(error)}{where} This is a mistake of Flowpress: please report it with the "
        "traceback, which --debug shows.",
        EXIT_INTERNAL,
    )
