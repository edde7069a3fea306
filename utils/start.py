"""The first thing a command does: find a Python that has the dependencies.

Written for any Python 3, since the one that runs it may be too old for the rest.
"""

import os
import signal
import sys

NEEDED = ("absl", "keras", "numpy", "rich", "tensorflow")
_TRIED = "FLOWPRESS_IN_VENV"
_INTERRUPTED = 130
_OLDEST, _NEWEST = (3, 11), (3, 13)


def find_dependencies(script):
    # type: (str) -> None
    """Go on where the dependencies are, else say how to install them.

    Args:
        script: the file of the command. Where this Python lacks a package and the checkout has a
            `.venv`, the command is run there and the process ends with its exit status; where it
            has none, with status 2 and one line.
    """
    prepare()
    root = os.path.dirname(os.path.abspath(script))
    missing = lacking()
    if not missing:
        return
    python = environment(root)
    if python is None or _TRIED in os.environ:
        sys.stderr.write("error: " + advice(root, missing) + "\n")
        sys.exit(2)
    os.environ[_TRIED] = "1"  # an environment that lacks something, too, is tried once
    arguments = [python, os.path.abspath(script), *sys.argv[1:]]
    if os.name == "nt":  # exec there returns before the command has ended
        import subprocess

        sys.exit(subprocess.call(arguments))
    os.execv(python, arguments)


def prepare():
    # type: () -> None
    """Make streams and Ctrl-C safe while the command's modules are imported."""
    _open_missing_streams()
    _end_in_one_line()


def finish(status):
    # type: (int) -> None
    """End the process with an exit status, whatever became of its streams; nothing interrupts it.

    Of several workers one that failed ends at once: Horovod's own end waits for the others, and
    the launcher stops those only when this one is gone.

    Args:
        status: of the command.
    """
    if status == _INTERRUPTED:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # pressed again: it was heard
    for number, stream in ((1, sys.stdout), (2, sys.stderr)):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):  # else Python complains, and ends with a status of its own
            nothing = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nothing, number)
    if status and _is_one_of_several():
        os._exit(status)
    sys.exit(status)


def _is_one_of_several():
    # type: () -> bool
    from utils.horovod_calls import launched_size

    return launched_size() > 1


def _open_missing_streams():
    # type: () -> None
    """Open closed standard streams: the next file that is opened would have their numbers."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            nothing = os.open(os.devnull, os.O_RDWR)
            if nothing != number:
                os.dup2(nothing, number)
                os.close(nothing)


def _end_in_one_line():
    # type: () -> None
    """Let Ctrl-C end the process in one line while it begins; what runs then has other plans."""
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return

    def end(number, frame):  # type: ignore[no-untyped-def]
        os.write(2, b"Interrupted.\n")
        os._exit(_INTERRUPTED)

    signal.signal(signal.SIGINT, end)


def lacking():
    # type: () -> list
    """List what this Python lacks."""
    if not _OLDEST <= sys.version_info[:2] <= _NEWEST:
        return ["Python 3.11 to 3.13"]
    import importlib.util

    return [name for name in NEEDED if importlib.util.find_spec(name) is None]


def environment(root):
    # type: (str) -> str | None
    """Find the Python of the checkout's `.venv`; None where there is none."""
    for place in (("bin", "python"), ("Scripts", "python.exe")):
        path = os.path.join(root, ".venv", *place)
        if os.path.isfile(path):
            return path
    return None


def advice(root, missing):
    # type: (str, list) -> str
    """Say which one command installs what is missing."""
    return (
        "this Python ({}) lacks {}. Install once with: make -C {} install".format(
            sys.executable, ", ".join(missing), root
        )
        + " (about 1 GB is fetched), then repeat the command."
    )
