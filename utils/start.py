"""The first thing a command does: find a Python that has the dependencies.

Written for any Python 3, since the one that runs it may be too old for the rest.
"""

import importlib.util
import os
import subprocess
import sys

NEEDED = ("absl", "keras", "numpy", "rich", "tensorflow")
_TRIED = "FLOWPRESS_IN_VENV"
_OLDEST, _NEWEST = (3, 11), (3, 13)


def find_dependencies(script):
    # type: (str) -> None
    """Go on where the dependencies are, else say how to install them.

    Args:
        script: the file of the command. Where this Python lacks a package and the checkout has a
            `.venv`, the command is run there and the process ends with its exit status; where it
            has none, with status 2 and one line.
    """
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
        sys.exit(subprocess.call(arguments))
    os.execv(python, arguments)


def lacking():
    # type: () -> list
    """List what this Python lacks."""
    if not _OLDEST <= sys.version_info[:2] <= _NEWEST:
        return ["Python 3.11 to 3.13"]
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
