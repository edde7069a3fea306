"""Arguments as a shell hands them over, before absl reads them: lists with spaces, lost values.

absl takes the argument behind a flag for its value, whatever it is; here `--out_dir --debug` is
refused, and `--learner=a, b`, which a shell makes two arguments of, is one again.
"""

import os
import re
from collections.abc import Collection, Sequence

from utils.errors import InputError
from utils.regular_file import read_text

_MAX_FLAG_BYTES = 1 << 20
_MAX_FLAG_FILES = 8  # inside one another
_NUMBER = re.compile(r"-[\d.]")


def joined(argv: Sequence[str]) -> list[str]:
    """Put lists together again that were written with spaces behind or before their commas.

    Args:
        argv: the arguments.

    Returns:
        The arguments; one that stood behind a comma, or begins with one, is part of the one before.

    Example:
        >>> joined(["--learner=full-prec,", "chn-pruned-rmt", "--nb_epochs", "3", ",", "2"])
        ['--learner=full-prec,chn-pruned-rmt', '--nb_epochs', '3,2']
    """
    result: list[str] = []
    for argument in argv:
        if result and not argument.startswith("-") and _belongs(result[-1], argument):
            result[-1] += argument
        else:
            result.append(argument)
    return result


def _belongs(before: str, argument: str) -> bool:
    return before.endswith(",") or argument.startswith(",")


def refuse_lost_values(argv: Sequence[str], valued: Collection[str]) -> None:
    """Refuse a flag that needs a value and has none behind it.

    Args:
        argv: the arguments.
        valued: names of the flags that need a value; all others are passed over.

    Raises:
        InputError: names the flag, and the one that would be taken for its value.
    """
    rest = iter(argv)
    for argument in rest:
        if argument == "--":
            return
        name = argument.lstrip("-")
        if not argument.startswith("-") or name not in valued:
            continue
        value = next(rest, None)
        if value is None or (value.startswith("-") and not _NUMBER.match(value)):
            behind = "" if value is None else f" ({value!r} behind it is a flag of its own)"
            raise InputError(
                f"Missing value for flag --{name}{behind}. Write --{name}=VALUE. See --help=all "
                "for every flag."
            )


def refuse_tolerance(argv: Sequence[str], depth: int = 0) -> None:
    """Refuse absl's flag that lets it pass over unknown ones, and files of flags that are none.

    Raises:
        InputError: names the flag, or the file.
    """
    for argument in argv:
        if argument == "--":
            return
        name, _, value = argument.lstrip("-").partition("=")
        if not argument.startswith("-"):
            continue
        if name == "undefok":
            raise InputError("Unknown flag --undefok. See --help=all for every flag that applies.")
        if name == "flagfile" and value:
            if depth == _MAX_FLAG_FILES:
                raise InputError(f"--flagfile={value}: too many files of flags name one another.")
            lines = read_text(os.path.expanduser(value), _MAX_FLAG_BYTES).splitlines()
            refuse_tolerance([line.strip() for line in lines], depth + 1)
