"""What a topic module is made of: rows, the context they run in, and timing in turns."""

from __future__ import annotations

import dataclasses
import logging
import os
import pathlib
import re
import time
from collections.abc import Callable, Mapping

#: Product code that a row is measured anew for when it changes, unless the topic says less.
DEFAULT_SOURCES = ("learners", "nets", "datasets", "rl_agents", "utils")

_TARGET = re.compile(r"(<=|>=|==|<|>)\s*(-?\d+(?:\.\d+)?(?:e-?\d+)?)")
_COMPARE: Mapping[str, Callable[[float, float], bool]] = {
    "<=": lambda value, bound: value <= bound,
    ">=": lambda value, bound: value >= bound,
    "==": lambda value, bound: value == bound,
    "<": lambda value, bound: value < bound,
    ">": lambda value, bound: value > bound,
}


class SkipRow(Exception):  # noqa: N818  not an error: the row cannot run here
    """Raised by a row that cannot run here, with the reason: its data are not on this machine."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Context:
    """What a row is given.

    Attributes:
        seed: the run's seed; a row that averages over n seeds takes seed, seed + 1, … seed + n - 1.
        work_dir: a folder of this row's own. It outlives a row that was stopped or failed, so that
            a long row can go on where it was; it is removed once the row is measured.
    """

    seed: int
    work_dir: pathlib.Path

    def data(self, *names: str) -> pathlib.Path:
        """Folder of the real data, after looking that everything needed is in it.

        Args:
            names: paths below the folder that the row needs.

        Returns:
            The folder that the environment variable FLOWPRESS_DATA names.

        Raises:
            SkipRow: if the variable is not set or one of `names` is missing.
        """
        setting = os.environ.get("FLOWPRESS_DATA", "")
        if not setting:
            raise SkipRow("needs real data: set FLOWPRESS_DATA to their folder")
        folder = pathlib.Path(setting)
        missing = [name for name in names if not (folder / name).exists()]
        if missing:
            raise SkipRow(f"needs {', '.join(missing)} in FLOWPRESS_DATA={folder}")
        return folder

    def log(self, message: str) -> None:
        """Say on standard error what the row is doing."""
        logging.getLogger("benchmarks").info("    %s", message)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """One line of a table; see `benchmarks.runner` for an example.

    Attributes:
        name: unique in its topic, made of small letters, digits, "-", "_" and ".".
        run: takes a `Context`, returns the figures.
        target: what is wanted of a figure, by the figure's name: "<= 56", ">= 0.9", "== 0".
        about: one line for the table: what is measured, on what, against what.
    """

    name: str
    run: Callable[[Context], Mapping[str, object]]
    target: Mapping[str, str] = dataclasses.field(default_factory=dict)
    about: str = ""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z0-9][a-z0-9._-]*", self.name):
            raise ValueError(
                "a row's name is made of small letters, digits, '-', '_' and '.'. "
                f"Received: {self.name!r}."
            )
        for text in self.target.values():
            parse_target(text)


def parse_target(text: str) -> Callable[[float], bool]:
    """Read a target.

    Args:
        text: a comparison (<=, >=, ==, < or >) and a number.

    Returns:
        A function that tells whether a figure meets it; NaN never does.

    Raises:
        ValueError: if the text is something else.

    Example:
        >>> parse_target("<= 56")(61.2)
        False
    """
    match = _TARGET.fullmatch(text.strip())
    if match is None:
        raise ValueError(
            f"a target is a comparison and a number, such as '<= 56'. Received: {text!r}."
        )
    compare, bound = _COMPARE[match[1]], float(match[2])
    return lambda value: compare(value, bound)


def in_turns(
    calls: Mapping[str, Callable[[], object]], *, rounds: int = 5, warm_up: int = 1
) -> dict[str, list[float]]:
    """Time several calls in turns (A B A B …), so that a slow moment of the machine hits all alike.

    Args:
        calls: what to time, by name.
        rounds: measured calls of each.
        warm_up: calls of each before, not measured.

    Returns:
        Wall-clock seconds of every measured call, by name. Compare medians.

    Raises:
        ValueError: if `rounds` is below 1.
    """
    if rounds < 1:
        raise ValueError(f"`rounds` must be at least 1. Received: {rounds}.")
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(warm_up + rounds):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            if turn >= warm_up:
                seconds[name].append(time.perf_counter() - start)
    return seconds
