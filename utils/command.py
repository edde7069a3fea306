"""What every command shares: errors in one line, exit statuses, notices, the console."""

import logging
import os
from collections.abc import Callable, Sequence

import absl.logging
from rich.console import Console

from utils.causes import essence, explanation, own_place, user_place
from utils.errors import InputError
from utils.stopping import EXIT_INTERRUPTED, EXIT_TERMINATED, Interrupted, Terminated, terminating

EXIT_INTERNAL = 1
EXIT_BAD_INPUT = 2

notes = Console(stderr=True, highlight=False, soft_wrap=True)  # progress, notices, errors
out = Console(highlight=False)  # results


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
    try:
        with terminating():
            return body() or 0
    except Exception as error:
        if any(arg in ("--debug", "--debug=True", "--debug=true") for arg in argv):
            raise
        text, status = _told(error)
        notes.print(f"error: {' '.join(text.split())}", markup=False)
        return status
    except Interrupted:
        return EXIT_INTERRUPTED
    except KeyboardInterrupt:
        notes.print("Interrupted. The same command resumes from the last save.")
        return EXIT_INTERRUPTED
    except Terminated as stop:
        if not stop.told:
            notes.print("Terminated. The same command resumes from the last save.")
        return EXIT_TERMINATED


def _told(error: Exception) -> tuple[str, int]:
    """Say in one line whose mistake an exception is; give the exit status too."""
    if isinstance(error, InputError):
        return str(error), EXIT_BAD_INPUT
    if user_place(error) is not None:
        return f"your code failed: {explanation(error)}", EXIT_BAD_INPUT
    place = own_place(error)
    where = "" if place is None else f" ({place})"
    return (
        f"{essence(error)}{where} This is a mistake of Flowpress: please report it with the "
        "traceback, which --debug shows.",
        EXIT_INTERNAL,
    )
