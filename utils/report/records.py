"""Documented records: frozen dataclasses that check themselves and turn into JSON and back.

The classes in `schema` are made of these pieces, so that a field's type, bounds, unit and meaning
are stated once; checks, JSON Schema and the documentation's tables all read that one statement.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, Self

Scalar = str | int | float | bool | None


def entry(
    about: str,
    *,
    unit: str = "",
    lower: float | None = None,
    upper: float | None = None,
    choices: Sequence[str] = (),
    default: Any = dataclasses.MISSING,
    factory: Any = dataclasses.MISSING,
    rest: bool = False,
) -> Any:
    """Declare a field of a record.

    Args:
        about: its meaning, for the documentation.
        unit: its unit, for the documentation.
        lower: smallest allowed number.
        upper: largest allowed number.
        choices: allowed texts; empty allows all.
        default: its default.
        factory: makes its default.
        rest: the field is a mapping whose entries stand in the JSON object beside the other fields.

    Returns:
        A dataclass field.
    """
    return dataclasses.field(
        default=default,
        default_factory=factory,
        metadata={
            "about": about,
            "unit": unit,
            "lower": lower,
            "upper": upper,
            "choices": tuple(choices),
            "rest": rest,
        },
    )


class Record:
    """Base of the records: checks its fields when made; `to_dict` and `from_dict`."""

    def __post_init__(self) -> None:
        for field, annotation in declared(type(self)):
            where = f"{type(self).__name__}.{field.name}"
            value = _checked(getattr(self, field.name), annotation, field.metadata, where)
            object.__setattr__(self, field.name, value)

    def to_dict(self) -> dict[str, Any]:
        """Turn the record into what JSON takes: dicts, lists, texts, finite numbers, None."""
        document: dict[str, Any] = {}
        for field, _ in declared(type(self)):
            value = _plain(getattr(self, field.name))
            document |= value if field.metadata["rest"] else {field.name: value}
        return document

    @classmethod
    def from_dict(cls, document: Mapping[str, Any], where: str = "") -> Self:
        """Check a JSON object and make a record of it.

        An entry with a constant default may be missing, as in a file written before it was added.

        Args:
            document: the object.
            where: its place in the whole document, for the messages.

        Returns:
            The record; `to_dict` gives an equal object.

        Raises:
            ValueError: for a missing, unknown or wrong entry, which the message names.
        """
        place = where or cls.__name__
        if not isinstance(document, Mapping):
            raise ValueError(f"{place} must be an object. Received: {document!r}.")
        fields = {field.name: (field, annotation) for field, annotation in declared(cls)}
        rest = next((name for name, (field, _) in fields.items() if field.metadata["rest"]), None)
        given = {name: value for name, value in document.items() if name in fields}
        others = {name: value for name, value in document.items() if name not in fields}
        if rest is not None:
            given[rest] = others
        elif others:
            raise ValueError(
                f"{place} has unknown entries: {', '.join(sorted(others))}. "
                f"Known: {', '.join(fields)}."
            )
        missing = [
            name
            for name, (field, _) in fields.items()
            if name not in given and field.default is dataclasses.MISSING
        ]
        if missing:
            raise ValueError(f"{place} lacks: {', '.join(missing)}.")
        values = {}
        for name, value in given.items():
            field, annotation = fields[name]
            below = f"{where}.{name}" if where else name
            values[name] = _checked(value, annotation, field.metadata, below)
        return cls(**values)


_DECLARED: dict[type, tuple[tuple[dataclasses.Field[Any], Any], ...]] = {}


def declared(record: type) -> tuple[tuple[dataclasses.Field[Any], Any], ...]:
    """List the fields made by `entry`, with their resolved types.

    Args:
        record: a record class.

    Returns:
        (field, type) in order.
    """
    if record not in _DECLARED:  # resolving types takes longer than all the checks
        hints = typing.get_type_hints(record)
        _DECLARED[record] = tuple(
            (field, hints[field.name])
            for field in dataclasses.fields(record)
            if "about" in field.metadata
        )
    return _DECLARED[record]


def optional(annotation: Any) -> tuple[Any, bool]:
    """Split `X | None` into X and whether None is allowed; `Scalar` stays whole."""
    if annotation == Scalar or not isinstance(annotation, types.UnionType):
        return annotation, False
    parts = [part for part in annotation.__args__ if part is not types.NoneType]
    return functools.reduce(lambda left, right: left | right, parts), True


def _plain(value: Any) -> Any:
    if isinstance(value, Record):
        return value.to_dict()
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


def _checked(value: Any, annotation: Any, spec: Mapping[str, Any], where: str) -> Any:
    """Check a value against its declared type and bounds; a NumPy scalar becomes Python's."""
    annotation, may_be_none = optional(annotation)
    if value is None and may_be_none:
        return None
    origin = typing.get_origin(annotation)
    if origin is tuple:
        return _checked_sequence(value, annotation, spec, where)
    if origin is not None and issubclass(origin, Mapping):
        return _checked_mapping(value, annotation, spec, where)
    if isinstance(annotation, type) and issubclass(annotation, Record):
        if isinstance(value, annotation):
            return value
        if isinstance(value, Mapping):
            return annotation.from_dict(value, where)
        raise ValueError(f"{where} must be an object. Received: {value!r}.")
    return _checked_scalar(value, annotation, spec, where)


def _checked_sequence(value: Any, annotation: Any, spec: Mapping[str, Any], where: str) -> Any:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise ValueError(f"{where} must be a list. Received: {value!r}.")
    inner = annotation.__args__[0]
    return tuple(
        _checked(item, inner, spec, f"{where}[{index}]") for index, item in enumerate(value)
    )


def _checked_mapping(value: Any, annotation: Any, spec: Mapping[str, Any], where: str) -> Any:
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise ValueError(f"{where} must be an object. Received: {value!r}.")
    inner = annotation.__args__[1]
    return {name: _checked(item, inner, spec, f"{where}.{name}") for name, item in value.items()}


_WORDS = {
    str: "a text",
    int: "a whole number",
    float: "a finite number",
    bool: "true or false",
    Scalar: "a text, a finite number, true, false or null",
}


def _checked_scalar(value: Any, annotation: Any, spec: Mapping[str, Any], where: str) -> Any:
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):
        value = value.item()
    if not _has_type(value, annotation):
        raise ValueError(f"{where} must be {_WORDS[annotation]}. Received: {value!r}.")
    if annotation is float:
        value = float(value)
    if annotation in (int, float):
        _check_bounds(value, spec, where)
    if spec["choices"] and value not in spec["choices"]:
        raise ValueError(
            f"{where} must be one of {', '.join(spec['choices'])}. Received: {value!r}."
        )
    return value


def _has_type(value: Any, annotation: Any) -> bool:
    if isinstance(value, bool):
        return annotation in (bool, Scalar)
    if isinstance(value, float) and not math.isfinite(value):
        return False
    if annotation is float:
        return isinstance(value, int | float)
    return isinstance(value, annotation)


def _check_bounds(value: float, spec: Mapping[str, Any], where: str) -> None:
    lower, upper = spec["lower"], spec["upper"]
    if (lower is not None and value < lower) or (upper is not None and value > upper):
        raise ValueError(f"{where} must be {bounds_in_words(lower, upper)}. Received: {value}.")


def bounds_in_words(lower: float | None, upper: float | None) -> str:
    """Write bounds as text.

    Example:
        >>> bounds_in_words(0, 1), bounds_in_words(0, None), bounds_in_words(1, 1)
        ('in [0, 1]', 'at least 0', '1')
    """
    if lower is not None and lower == upper:
        return f"{lower:g}"
    if lower is not None and upper is not None:
        return f"in [{lower:g}, {upper:g}]"
    if lower is not None:
        return f"at least {lower:g}"
    return "" if upper is None else f"at most {upper:g}"
