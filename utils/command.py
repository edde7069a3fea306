"""What every command shares: errors in one line, exit statuses, notices, the console."""

import logging
import os
from collections.abc import Callable, Sequence

import absl.logging
from rich.console import Console

from utils.errors import InputError
from utils.stopping import EXIT_INTERRUPTED, EXIT_TERMINATED, Interrupted, Terminated, terminating

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
    """Run a command's body and turn what the user got wrong into one line and status 2.

    Args:
        body: the command; its return value (None is 0) is the exit status.
        argv: the arguments; `--debug` among them lets the traceback through.

    Returns:
        The exit status: 0, 2 for bad input, 130 for Ctrl-C, 143 for SIGTERM.
    """
    quiet_tensorflow()
    try:
        with terminating():
            return body() or 0
    except InputError as error:
        if any(arg in ("--debug", "--debug=True", "--debug=true") for arg in argv):
            raise
        notes.print(f"error: {' '.join(str(error).split())}", markup=False)
        return EXIT_BAD_INPUT
    except Interrupted:
        return EXIT_INTERRUPTED
    except KeyboardInterrupt:
        notes.print("Interrupted. The same command resumes from the last save.")
        return EXIT_INTERRUPTED
    except Terminated as stop:
        if not stop.told:
            notes.print("Terminated. The same command resumes from the last save.")
        return EXIT_TERMINATED
