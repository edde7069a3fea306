"""Python text: literals, identifiers, and short names for values that live one after the other."""

from __future__ import annotations

import dataclasses
import itertools
import keyword
import math
import re
from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

_LETTERS = ("x", "y", "z", "u", "v", "w")


@dataclasses.dataclass(frozen=True)
class Attribute:
    """Something that the module holds, as an expression: `self.conv1`."""

    text: str


@dataclasses.dataclass(frozen=True)
class Local:
    """A value inside of `forward`, which gets its name at the end."""

    number: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Statement:
    """A line of `forward`.

    Attributes:
        text: of the right-hand side; `{0}`, `{1}` … stand for the inputs.
        inputs: values, attributes, or Python numbers.
        outputs: the values that it makes.
        left: of the assignment, if several are made; `{0}` … stand for the outputs.
    """

    text: str
    inputs: tuple[Any, ...]
    outputs: tuple[Local, ...]
    left: str = "{0}"

    @property
    def reads(self) -> tuple[Local, ...]:
        """The values that it reads."""
        return tuple(each for each in self.inputs if isinstance(each, Local))


def literal(value: Any) -> str:
    """Write plain data as Python; braces are doubled, since it goes into templates.

    Raises:
        TypeError: for anything else, so that no foreign text becomes code.

    Example:
        >>> literal((1, 0.5, "same")), literal([3]), literal(float("inf"))
        ("(1, 0.5, 'same')", '(3,)', "float('inf')")
    """
    if isinstance(value, (tuple, list)):
        inner = ", ".join(literal(each) for each in value)
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    if isinstance(value, float) and not math.isfinite(value):
        return f"float({str(value)!r})"
    if value is None or type(value) in (bool, int, float, str):
        return repr(value).replace("{", "{{").replace("}", "}}")
    raise TypeError(f"no plain value: {type(value).__name__}")


def identifier(name: str, taken: Container[str] = ()) -> str:
    """Turn any name into one that Python takes and that is free.

    Example:
        >>> identifier("conv2d-1/a"), identifier("3x3"), identifier("class"), identifier("a", {"a"})
        ('conv2d_1_a', 'n3x3', 'class_', 'a_1')
    """
    plain = re.sub(r"\W", "_", name, flags=re.ASCII).lstrip("_") or "n"
    plain = f"n{plain}" if plain[0].isdigit() else plain
    plain = f"{plain}_" if keyword.iskeyword(plain) or keyword.issoftkeyword(plain) else plain
    free = itertools.chain([plain], (f"{plain}_{number}" for number in itertools.count(1)))
    return next(each for each in free if each not in taken)


def class_name(name: str, taken: Container[str] = ()) -> str:
    """Turn any name into one of a class that is free.

    Example:
        >>> class_name("resnet_20"), class_name("functional")
        ('Resnet20', 'Functional')
    """
    words = re.findall(r"[A-Za-z0-9]+", name)
    joined = "".join(word[:1].upper() + word[1:] for word in words) or "Network"
    return identifier(joined, taken)


def needed(statements: Sequence[Statement], outputs: Sequence[Any]) -> list[Statement]:
    """Leave out what nobody reads."""
    wanted = {each for each in outputs if isinstance(each, Local)}
    kept = []
    for statement in reversed(statements):
        if wanted.intersection(statement.outputs):
            kept.append(statement)
            wanted.update(statement.reads)
    return kept[::-1]


def lines(
    statements: Sequence[Statement], outputs: Sequence[Any], inputs: Mapping[Local, str]
) -> tuple[list[str], dict[Local, str]]:
    """Name values and write statements: a name is free again behind the last reader of its value.

    Args:
        statements: in order, see `needed`.
        outputs: what lives to the end.
        inputs: names of values that are there from the beginning; they are not given away.

    Returns:
        The lines, and the names of all values.
    """
    last: dict[Local, int] = {}
    for place, statement in enumerate(statements):
        last.update(dict.fromkeys(statement.reads, place))
    last.update({each: len(statements) for each in outputs if isinstance(each, Local)})
    names = dict(inputs)
    fresh = _names({*inputs.values()})
    free: list[str] = []
    found = []
    for place, statement in enumerate(statements):
        read = [shown(each, names) for each in statement.inputs]
        dying = [
            names[each]
            for each in dict.fromkeys(statement.reads)
            if last[each] == place and each not in inputs
        ]
        free = [*dying, *sorted(free, key=_rank)]
        for each in statement.outputs:
            if each not in last:
                names[each] = "_"
                continue
            names[each] = free.pop(0) if free else next(fresh)
        right = statement.text.format(*read)
        left = statement.left.format(*(names[each] for each in statement.outputs))
        found.append(f"{left} = {right}")
    return found, names


def shown(each: Any, names: Mapping[Local, str]) -> str:
    """Write a value, an attribute or a number."""
    if isinstance(each, Attribute):
        return each.text
    if isinstance(each, np.generic):
        return literal(each.item())
    return names[each] if isinstance(each, Local) else literal(each)


def _rank(name: str) -> tuple[int, str]:
    return (len(name), name)


def _names(taken: Container[str]) -> Iterator[str]:
    for number in itertools.count():
        for letter in _LETTERS:
            name = f"{letter}{number}" if number else letter
            if name not in taken:
                yield name
