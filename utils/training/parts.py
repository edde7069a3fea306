"""Where the states of a recipe's fits lie: the latest at the recipe's path, those before beside it.

A recipe of one fit has one file, at its documented path. When a second fit begins, the first one's
state is copied beside it, `model.keras` to `model.<part>.keras`; only then does the second one's
first save take its place. At any moment the file at the path says which parts came before, and
their states are whole.
"""

from __future__ import annotations

import functools
import os
import pathlib
import re
import shutil
from typing import NamedTuple

from utils.errors import InputError
from utils.files import atomic_path
from utils.training.state import START_ANEW, read_fingerprint

PARTS = "parts"
"""Entry of a state's fingerprint: the parts of the recipe up to its own, in order."""

_NAME = re.compile(r"[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*")


class Place(NamedTuple):
    """Where a part's state belongs.

    Attributes:
        path: its file.
        parts: the parts up to this one.
        resume: the file is this part's own, or there is none.
    """

    path: pathlib.Path
    parts: tuple[str, ...]
    resume: bool


class PartStates:
    """The states of a recipe's fits, in the order in which they are begun.

    Args:
        path: `.keras` file of the recipe's latest, or only, state.
        resume: take up what a killed run left; False begins anew.
    """

    def __init__(self, path: str | os.PathLike[str], *, resume: bool) -> None:
        self._path = pathlib.Path(path)
        self._resume = resume
        self._begun: list[str] = []

    @functools.cached_property
    def _saved(self) -> tuple[str, ...]:
        """The parts that a killed run had begun; the last one's state is at the path."""
        fingerprint = read_fingerprint(self._path) if self._resume else None
        return tuple((fingerprint or {}).get(PARTS, ()))

    def first(self) -> pathlib.Path | None:
        """Give the state of the first part that a killed run began, None if it began none."""
        return self._place_of(self._saved[0]) if self._saved else None

    def of(self, part: str) -> pathlib.Path | None:
        """Give the state of a part that a killed run began, None if it did not."""
        return self._place_of(part) if part in self._saved else None

    def begin(self, part: str, *, writes: bool = True) -> Place:
        """Settle where the next part's state lies; the one before it is put aside.

        Args:
            part: words of letters, digits, `_` and `-`, separated by `/`.
            writes: whether this process is the one that writes files.

        Raises:
            ValueError: if the name is none, or was begun before.
            InputError: if a killed run had another part at this place.
        """
        if not _NAME.fullmatch(part):
            raise ValueError(
                "`part` must be words of letters, digits, _ and -, separated by /. "
                f"Received: {part!r}."
            )
        if part in self._begun:
            raise ValueError(
                f"`part` {part!r} was trained before: give every fit of a recipe a name of its "
                "own, in a loop with the number, such as 'stage_2'."
            )
        number = len(self._begun)
        self._begun.append(part)
        parts = tuple(self._begun)
        if number < len(self._saved):
            self._check(parts)
            return Place(self._place_of(part), parts, resume=True)
        if number and writes:
            with atomic_path(self._beside(parts[-2])) as temporary:
                shutil.copyfile(self._path, temporary)
        return Place(self._path, parts, resume=self._resume and not number)

    def _place_of(self, part: str) -> pathlib.Path:
        return self._path if part == self._saved[-1] else self._beside(part)

    def _beside(self, part: str) -> pathlib.Path:
        return self._path.with_stem(f"{self._path.stem}.{part.replace('/', '.')}")

    def _check(self, parts: tuple[str, ...]) -> None:
        if parts != self._saved[: len(parts)]:
            raise InputError(
                f"{self._path} holds a run of other parts: saved {', '.join(self._saved)}; "
                f"received {', '.join(parts)}. {START_ANEW}"
            )
