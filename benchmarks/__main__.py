"""Run the benchmark rows that have no result yet: `python -m benchmarks [TOPIC …]`."""

from __future__ import annotations

import argparse
import logging
import pathlib
import sys
from collections.abc import Sequence

from benchmarks.runner import FOLDER, WORK_DIR, Runner
from utils.errors import InputError


def main(
    argv: Sequence[str], *, folder: pathlib.Path = FOLDER, work_dir: pathlib.Path = WORK_DIR
) -> int:
    """Run or list rows as the command line says.

    Args:
        argv: arguments without the program's name.
        folder: of the topics and results.
        work_dir: of what rows leave behind when stopped.

    Returns:
        0; 1 when a row failed; 2 for wrong arguments. A missed target is no failure.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("topics", nargs="*", metavar="TOPIC", help="default: all")
    parser.add_argument("--row", help="run only the row of this name")
    parser.add_argument("--seed", type=int, default=0, help="seed of the rows (default 0)")
    parser.add_argument("--again", action="store_true", help="also run rows that have a result")
    parser.add_argument("--list", action="store_true", help="list the rows, run nothing")
    flags = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    runner = Runner(folder, work_dir=work_dir, seed=flags.seed, again=flags.again)
    try:
        if flags.list:
            sys.stdout.write(runner.list_rows(flags.topics) + "\n")
            return 0
        failed = runner.run(flags.topics, flags.row)
    except InputError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    if failed:
        sys.stderr.write(f"{failed} failed; their errors are in {runner.results}.\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
