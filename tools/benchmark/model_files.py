"""The files that a command measures: `--model_file=a,b`, or the flag repeated."""

import pathlib
from collections.abc import Sequence

from utils.errors import InputError


def join_repeated(argv: Sequence[str], name: str) -> list[str]:
    """Make one comma-separated flag of a repeated one, of which only the last would count.

    Example:
        >>> join_repeated(["--model_file=a", "--debug", "--model_file", "b"], "model_file")
        ['--debug', '--model_file=a,b']
    """
    values, others = [], []
    rest = iter(argv)
    for argument in rest:
        flag_name, equals, value = argument.lstrip("-").partition("=")
        if argument.startswith("-") and flag_name == name:
            values.append(value if equals else next(rest, ""))
        else:
            others.append(argument)
    return [*others, f"--{name}={','.join(values)}"] if values else others


def model_files(text: str | None, endings: Sequence[str], kinds: str) -> list[str]:
    """Read a comma-separated list of files that are there.

    Args:
        text: value of `model_file`.
        endings: that a name may have.
        kinds: those to name in messages.

    Returns:
        The names.

    Raises:
        InputError: if there is none, one is named twice, has another ending, or is no file.
    """
    files = [name.strip() for name in (text or "").split(",") if name.strip()]
    if not files:
        raise InputError(
            f"`model_file` must name a {kinds} file. Received: none. Give --model_file=path, or "
            "several paths separated by commas."
        )
    for name in files:
        if files.count(name) > 1:
            raise InputError(f"`model_file` must name each file once. Received twice: {name}.")
        if pathlib.Path(name).suffix not in endings:
            raise InputError(f"`model_file` must end in {kinds}. Received: {name!r}.")
        if not pathlib.Path(name).is_file():
            raise InputError(f"`model_file`: there is no file {name!r}.")
    return files
