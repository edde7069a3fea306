"""Reading a YAML or JSON document with clear refusals: values are asked for by place and type."""

import json
import math
import os
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NoReturn

import yaml

from utils.errors import InputError
from utils.flags import nearest
from utils.json_reader import parse_json
from utils.regular_file import read_text
from utils.schema import brief

_MAX_BYTES = 2**20


class Section:
    """A mapping in a document.

    Args:
        source: the document, for messages.
        place: where in it, e.g. `pruners.first`; empty for the whole.
        value: what stands there.
        keys: those that it may have.

    Raises:
        InputError: if it is no mapping, or has another key; gives the nearest.
    """

    def __init__(self, source: str, place: str, value: Any, keys: Sequence[str]) -> None:
        self.source, self.place = source, place
        if not isinstance(value, Mapping):
            self.refuse("", f"must be a mapping of {', '.join(keys)}. Received: {brief(value)}")
        self._values: Mapping[Any, Any] = value
        for key in value:
            if key not in keys:
                self.refuse("", f"unknown key {brief(key)}. {nearest(str(key), keys).rstrip('.')}")

    def refuse(self, key: str, what: str) -> NoReturn:
        """Raise.

        Raises:
            InputError: in any case.
        """
        place = ".".join(filter(None, (self.place, key)))
        raise InputError(f"{self.source}: {f'`{place}` ' if place else ''}{what}.")

    def has(self, key: str) -> bool:
        """Whether a key is there."""
        return self._values.get(key) is not None

    def names(self, key: str) -> bool:
        """Whether a key is written down, perhaps with nothing under it."""
        return key in self._values

    def raw(self, key: str) -> Any:
        """Give what stands under a key, None where nothing does."""
        return self._values.get(key)

    def text(self, key: str, choices: Sequence[str] = (), default: str | None = None) -> str:
        """Give a string; without a default it must be there."""
        value = self._values.get(key, default)
        if not isinstance(value, str) or not value:
            self.refuse(key, f"must be a text. Received: {brief(value)}")
        if choices and value not in choices:
            self.refuse(key, f"is {brief(value)}. {nearest(value, choices).rstrip('.')}")
        return value

    def number(
        self, key: str, low: float, high: float = math.inf, *, default: float | None = None
    ) -> float:
        """Give a number in [low, high); without a default it must be there."""
        return self.as_number(key, self._values.get(key, default), low, high)

    def as_number(self, key: str, value: Any, low: float, high: float = math.inf) -> float:
        """Check that a value is a number in [low, high)."""
        if isinstance(value, str):  # YAML reads 1e-1, which has no point, as a text
            value = _number(value)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            self.refuse(key, f"must be a number in [{low:g}, {high:g}). Received: {brief(value)}")
        if not low <= value < high:
            self.refuse(key, f"must be in [{low:g}, {high:g}). Received: {brief(value)}")
        return float(value)

    def items(self, key: str) -> list[Any]:
        """Give a list that is not empty."""
        value = self._values.get(key)
        if not isinstance(value, list) or not value:
            self.refuse(key, f"must be a list. Received: {brief(value)}")
        return value


def _number(text: str) -> Any:
    try:
        return float(text)
    except ValueError:
        return text


def load(path: str | os.PathLike[str], source: str) -> Any:
    """Read a YAML or JSON file, whichever its content is: plain values, no key or list used twice.

    Args:
        path: the file.
        source: what names it, for messages.

    Returns:
        The document.

    Raises:
        InputError: if it is not there, too large, or neither.
    """
    text = _text(path, source)
    if text.lstrip().startswith(("{", "[")):  # JSON, or YAML that begins like it
        try:
            return parse_json(text)
        except json.JSONDecodeError:
            pass
        except ValueError as error:
            raise InputError(f"{source}: {error}.") from error
    try:
        _refuse_copies(yaml.compose(text, Loader=yaml.SafeLoader), source)
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError, TypeError) as error:
        if isinstance(error, InputError):
            raise
        reason = " ".join(str(error).split())
        advice = "" if "alias" not in reason else ". A name that begins with * needs quotes"
        raise InputError(f"{source}: the file is no YAML: {reason}{advice}.") from None


def _text(path: str | os.PathLike[str], source: str) -> str:
    try:
        return read_text(path, _MAX_BYTES)
    except InputError as error:
        raise InputError(f"{source}: the file cannot be read: {error}") from error


def _refuse_copies(node: yaml.Node | None, source: str) -> None:
    """Refuse a key that stands twice in a mapping, and lists and mappings used twice.

    Of a key the first would be lost. A few aliases of aliases stand for more than a memory holds.
    """
    ahead, seen = [node], set()
    while ahead:
        at = ahead.pop()
        if not isinstance(at, yaml.CollectionNode):
            continue
        if id(at) in seen:
            line = at.start_mark.line + 1
            raise InputError(
                f"{source}: what stands in line {line} is used again by an alias (*). Write it out."
            )
        seen.add(id(at))
        if isinstance(at, yaml.MappingNode):
            _refuse_twins(at, source)
            ahead += [part for pair in at.value for part in pair]
        else:
            ahead += at.value


def _refuse_twins(mapping: yaml.MappingNode, source: str) -> None:
    seen: set[Hashable] = set()
    for key, _ in mapping.value:
        if key.value in seen:
            line = key.start_mark.line + 1
            raise InputError(f"{source}: `{key.value}` stands twice (line {line}).")
        if isinstance(key.value, Hashable):
            seen.add(key.value)
