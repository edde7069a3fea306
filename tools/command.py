"""What every command under `tools/` shares: help, flags, notices, exit status."""

from collections.abc import Callable, Sequence
from typing import Any

from utils import flag_texts, flags
from utils.command import guarded, notes, out


def run_command(
    summary: str,
    config_classes: Callable[[], Sequence[type]],
    body: Callable[[flags.Parsed], Any],
    argv: Sequence[str],
) -> int:
    """Read a command's flags and run it.

    Args:
        summary: what the command does and how it is called, for `--help`.
        config_classes: gives the configs whose flags it takes; raises `InputError` where they
            depend on another flag with a wrong value.
        body: gets the parsed flags; raises `InputError` for what the user got wrong.
        argv: the arguments, without the program's name.

    Returns:
        The exit status: 0, or 2 for bad input with one line on standard error.
    """

    def command() -> None:
        classes = config_classes()
        if any(arg in ("--help", "-h", "--helpfull", "--help=all") for arg in argv):
            out.print(f"{summary}\n", markup=False)
            out.print(flag_texts.help_text({"Flags": classes}), markup=False)
            return
        parsed = flags.parse(argv, classes)
        for notice in parsed.notices:
            notes.print(f"note: {notice}", markup=False)
        body(parsed)

    return guarded(command, argv)
