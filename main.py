"""Flowpress from the command line: `python main.py --model=net.keras --data=DATA …`.

Works alone and under `horovodrun`. Under a Python without the dependencies it goes on in the
checkout's own environment; what a command does is in `pipeline/command.py`.
"""

import sys

from utils import start


def run(argv):  # type: ignore[no-untyped-def]  # read by Pythons that are too old for the rest
    """Do what the arguments say.

    Args:
        argv: the arguments, without the program's name.

    Returns:
        The exit status: 0, or 2 for bad input (with one line on standard error); see
        `utils.command.guarded`.
    """
    from pipeline import command  # only now: it needs the dependencies

    return command.run(argv)


if __name__ == "__main__":
    start.find_dependencies(__file__)
    start.finish(run(sys.argv[1:]))
