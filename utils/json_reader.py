"""The one reader of JSON that may come from anywhere.

Python's own takes NaN for a number, the last of two equal names, nesting until its stack ends, and
whatever encoding it guesses. Here each of these is one line with the file and the place in it, and
so is a document that does not fit its schema (`utils.schema`).
"""

from __future__ import annotations

import collections
import itertools
import json
import math
import os
from collections.abc import Iterable
from typing import Any

from utils.errors import InputError
from utils.regular_file import decoded, read_regular
from utils.schema import Anything, Kind, SchemaError, brief, check

MAX_DEPTH = 100
"""Most levels of lists and objects inside one another."""

_MAX_DIGITS = 40  # of a whole number: more than any that is ever written
_Path = str | os.PathLike[str]


def parse_json(text: str | bytes, *, constants: bool = False) -> Any:
    """Parse JSON.

    Args:
        text: the document; bytes are UTF-8 without a byte order mark.
        constants: also take NaN, Infinity and -Infinity, which Python writes though they are no
            JSON; a schema then says where they may stand.

    Returns:
        Plain values.

    Raises:
        ValueError: if it is no JSON, names something twice, holds NaN or an infinity, has a number
            of too many digits, or is nested too deeply.

    Example:
        >>> parse_json('{"a": [1, 2.5]}')
        {'a': [1, 2.5]}
        >>> parse_json('{"a": 1, "a": 2}')
        Traceback (most recent call last):
        ...
        ValueError: an object has the name 'a' twice
    """
    if isinstance(text, bytes):
        text = text.decode()
    allowed = {"parse_constant": float} if constants else {"parse_constant": _refuse_constant}
    try:
        found = json.loads(
            text,
            parse_float=float if constants else _finite,
            parse_int=_whole,
            object_pairs_hook=_unique,
            **allowed,
        )
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    _check_depth(found)
    return found


def document(
    content: str | bytes,
    source: str,
    kind: Kind | None = None,
    *,
    constants: bool = False,
    advice: str = "",
) -> Any:
    """Parse a document and compare it with its schema.

    Args:
        content: the document.
        source: what it is, the beginning of messages: the file, with the place in it.
        kind: the schema; None for any JSON.
        constants: see `parse_json`.
        advice: what to do, the end of messages.

    Returns:
        Plain values that fit the schema.

    Raises:
        InputError: if it is not JSON or does not fit.
    """
    end = f" {advice}" if advice else ""
    text = decoded(content, source) if isinstance(content, bytes) else content
    try:
        found = parse_json(text, constants=constants)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise InputError(f"{source}: is not JSON ({place}: {error.msg}).{end}") from error
    except ValueError as error:
        raise InputError(f"{source}: is not JSON ({error}).{end}") from error
    try:
        check(found, Anything() if kind is None else kind)
    except SchemaError as error:
        raise InputError(f"{source}: {error}.{end}") from error
    return found


def read_json(
    path: _Path,
    kind: Kind | None = None,
    *,
    max_bytes: int,
    constants: bool = False,
    advice: str = "",
) -> Any:
    """Read a JSON file; see `document` and `utils.regular_file.read_regular`.

    Args:
        path: the file.
        kind: the schema; None for any JSON.
        max_bytes: the most that is read.
        constants: see `parse_json`.
        advice: what to do, the end of messages.

    Raises:
        InputError: if it cannot be read, is not JSON or does not fit.
    """
    content = read_regular(path, max_bytes)
    return document(content, str(path), kind, constants=constants, advice=advice)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        counts = collections.Counter(name for name, _ in pairs)  # a file may have a million names
        twice = next(name for name, number in counts.items() if number > 1)
        raise ValueError(f"an object has the name {brief(twice)} twice")
    return found


def _whole(text: str) -> int:
    if len(text) > _MAX_DIGITS:
        raise ValueError(f"it holds a number of {len(text)} digits")
    return int(text)


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{brief(text)} is too large for a number")
    return number


def _refuse_constant(text: str) -> None:
    raise ValueError(f"{text} is no JSON number")


def _check_depth(value: Any) -> None:
    """Refuse what code that walks through it could not follow."""
    level, depth = _containers([value]), 1
    while level:
        if depth > MAX_DEPTH:
            raise ValueError(f"it is nested more than {MAX_DEPTH} levels deep")
        inner = (each.values() if isinstance(each, dict) else each for each in level)
        level, depth = _containers(itertools.chain.from_iterable(inner)), depth + 1


def _containers(values: Iterable[Any]) -> list[Any]:
    return [value for value in values if isinstance(value, (dict, list))]
