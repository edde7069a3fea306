"""Schemas of what is read from JSON: types, ranges and names, checked before anything is used.

    HEADER = Fields({"step": Whole(0), "history": ListOf(MapOf(Number()))})
    check(document, HEADER)

A value that does not fit is named by its place in the document: `history[3].loss`.
"""

from __future__ import annotations

import dataclasses
import math
import reprlib
from collections.abc import Mapping
from typing import Any, NoReturn, Protocol

MOST = 2**53
"""Largest whole number that JSON carries exactly everywhere, and the largest that is accepted."""

_brief = reprlib.Repr()
_brief.maxstring = _brief.maxother = 60
_brief.maxlist = _brief.maxdict = 4
_brief.maxlevel = 2


class SchemaError(ValueError):
    """A value does not fit; the message names its place, what is allowed and what it is."""


class Kind(Protocol):
    """What a value must be."""

    def check(self, value: Any, place: str) -> None:
        """Raise `SchemaError` unless the value fits."""


def check(value: Any, kind: Kind) -> None:
    """Compare a document with its schema.

    Args:
        value: parsed JSON.
        kind: the schema.

    Raises:
        SchemaError: for the first value that does not fit.

    Example:
        >>> check({"step": 3}, Fields({"step": Whole(0)}))
        >>> check({"step": -3}, Fields({"step": Whole(0)}))
        Traceback (most recent call last):
        ...
        utils.schema.SchemaError: `step` must be a whole number >= 0. Received: -3
    """
    kind.check(value, "")


def brief(value: Any) -> str:
    """Write a value of any size in a few words."""
    return _brief.repr(value)


def _refuse(place: str, wanted: str, value: Any) -> NoReturn:
    name = f"`{place.lstrip('.')}`" if place else "it"
    raise SchemaError(f"{name} must be {wanted}. Received: {brief(value)}")


@dataclasses.dataclass(frozen=True)
class Anything:
    """Any value."""

    def check(self, value: Any, place: str) -> None:
        """Accept."""


@dataclasses.dataclass(frozen=True)
class Switch:
    """True or false."""

    def check(self, value: Any, place: str) -> None:
        """Refuse everything else."""
        if not isinstance(value, bool):
            _refuse(place, "true or false", value)


@dataclasses.dataclass(frozen=True)
class Whole:
    """A whole number in [low, high]."""

    low: int = -MOST
    high: int = MOST

    def check(self, value: Any, place: str) -> None:
        """Refuse other types, also numbers with a fraction, and what is out of range."""
        if type(value) is not int or not self.low <= value <= self.high:
            below = f" and <= {self.high}" if self.high != MOST else ""
            _refuse(place, f"a whole number >= {self.low}{below}", value)


@dataclasses.dataclass(frozen=True)
class Number:
    """A finite number in [low, high]; with `finite=False` also NaN and the infinities."""

    low: float = -math.inf
    high: float = math.inf
    finite: bool = True

    def check(self, value: Any, place: str) -> None:
        """Refuse other types and what is out of range."""
        fits = isinstance(value, (int, float)) and not isinstance(value, bool)
        if fits and self.finite:
            fits = abs(value) < math.inf and self.low <= value <= self.high
        if not fits:
            _refuse(place, self._words(), value)

    def _words(self) -> str:
        if self.low == -math.inf and self.high == math.inf:
            return "a finite number" if self.finite else "a number"
        return f"a number in [{self.low:g}, {self.high:g}]"


@dataclasses.dataclass(frozen=True)
class Text:
    """A text of at most so many characters."""

    longest: int = 1 << 16

    def check(self, value: Any, place: str) -> None:
        """Refuse other types and longer texts."""
        if not isinstance(value, str) or len(value) > self.longest:
            _refuse(place, f"a text of at most {self.longest} characters", value)


@dataclasses.dataclass(frozen=True)
class Maybe:
    """Null, or what the kind says."""

    kind: Kind

    def check(self, value: Any, place: str) -> None:
        """Leave null, check the rest."""
        if value is not None:
            self.kind.check(value, place)


@dataclasses.dataclass(frozen=True)
class ListOf:
    """A list of one kind of values."""

    kind: Kind
    longest: int = 1_000_000

    def check(self, value: Any, place: str) -> None:
        """Check every item."""
        if not isinstance(value, list) or len(value) > self.longest:
            _refuse(place, f"a list of at most {self.longest} items", value)
        for index, item in enumerate(value):
            self.kind.check(item, f"{place}[{index}]")


@dataclasses.dataclass(frozen=True)
class MapOf:
    """An object whose values are of one kind, whatever its names."""

    kind: Kind

    def check(self, value: Any, place: str) -> None:
        """Check every value."""
        if not isinstance(value, dict):
            _refuse(place, "an object", value)
        for name, item in value.items():
            self.kind.check(item, f"{place}.{name[:80]}")


@dataclasses.dataclass(frozen=True)
class Fields:
    """An object with known names.

    Attributes:
        needed: names that must be there.
        optional: names that may be there.
        further: whether other names may be there too.
    """

    needed: Mapping[str, Kind]
    optional: Mapping[str, Kind] = dataclasses.field(default_factory=dict)
    further: bool = False

    def check(self, value: Any, place: str) -> None:
        """Check names and values."""
        if not isinstance(value, dict):
            _refuse(place, f"an object with {', '.join(self.needed)}", value)
        where = f"`{place.lstrip('.')}`" if place else "it"
        for name in self.needed:
            if name not in value:
                raise SchemaError(f"{where} lacks `{name}`")
        kinds = {**self.needed, **self.optional}
        for name, item in value.items():
            if name in kinds:
                kinds[name].check(item, f"{place}.{name}")
            elif not self.further:
                raise SchemaError(f"{where} has an unknown entry {brief(name)}")
