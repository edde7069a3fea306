"""Writes the documentation of `report.json`: `python -m utils.report.schema_page`."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import typing
from collections.abc import Mapping
from typing import Any

from utils.files import atomic_path
from utils.report.records import Record, Scalar, bounds_in_words, declared, optional
from utils.report.schema import Report

BEGIN = "<!-- made by python -m utils.report.schema_page: begin -->"
END = "<!-- made by python -m utils.report.schema_page: end -->"

_DOCS = pathlib.Path(__file__).parents[2] / "docs"
_JSON_TYPES: Mapping[Any, Any] = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    Scalar: ["string", "number", "boolean", "null"],
}


def records_of(record: type[Record]) -> list[type[Record]]:
    """List a record class and those inside it, each once, in the order of their appearance."""
    found = [record]
    for _, annotation in declared(record):
        inner = optional(annotation)[0]
        inner = (typing.get_args(inner) or (inner,))[0]
        if isinstance(inner, type) and issubclass(inner, Record):
            found += records_of(inner)
    return list(dict.fromkeys(found))


def markdown_tables() -> str:
    """Describe every entry of the report: one table for each kind of object."""
    return "\n\n".join(_table(record) for record in records_of(Report))


def _table(record: type[Record]) -> str:
    text = (record.__doc__ or "").strip().splitlines()[0]
    lines = [f"### {record.__name__}", "", text, "", "| entry | type | unit | meaning |"]
    lines.append("|---|---|---|---|")
    for field, annotation in declared(record):
        name = "any other" if field.metadata["rest"] else f"`{field.name}`"
        unit, about = field.metadata["unit"], field.metadata["about"]
        lines.append(f"| {name} | {_type_in_words(field, annotation)} | {unit} | {about} |")
    return "\n".join(lines)


def _type_in_words(field: dataclasses.Field[Any], annotation: Any) -> str:
    inner, may_be_none = optional(annotation)
    arguments = typing.get_args(inner)
    if typing.get_origin(inner) is tuple:
        text = f"list of {_word(arguments[0])}"
    elif field.metadata["rest"]:
        text = _word(arguments[1])
    elif inner is not Scalar and arguments:
        text = f"object of {_word(arguments[1])}"
    else:
        text = _word(inner)
    details = [
        bounds_in_words(field.metadata["lower"], field.metadata["upper"]),
        " or ".join(f"`{choice}`" for choice in field.metadata["choices"]),
    ]
    text = ", ".join([text, *(detail for detail in details if detail)])
    return f"{text}, or null" if may_be_none else text


def _word(annotation: Any) -> str:
    inner, may_be_none = optional(annotation)
    if isinstance(inner, type) and issubclass(inner, Record):
        return f"[{inner.__name__}](#{inner.__name__.lower()})"
    words = {str: "text", int: "whole number", float: "number", bool: "true/false"}
    word = words.get(inner, "text, number, true/false or null")
    return f"{word} or null" if may_be_none else word


def json_schema() -> dict[str, Any]:
    """Make the JSON Schema (draft 2020-12) of `report.json`."""
    first, *others = records_of(Report)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Flowpress report.json",
        **_object_schema(first),
        "$defs": {record.__name__: _object_schema(record) for record in others},
    }


def _object_schema(record: type[Record]) -> dict[str, Any]:
    properties, required, rest = {}, [], False
    for field, annotation in declared(record):
        schema = _value_schema(annotation, field.metadata)
        if field.metadata["rest"]:
            rest = schema["additionalProperties"]
            continue
        properties[field.name] = {"description": field.metadata["about"], **schema}
        if field.default is dataclasses.MISSING:
            required.append(field.name)
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": rest,
    }


def _value_schema(annotation: Any, spec: Mapping[str, Any]) -> dict[str, Any]:
    inner, may_be_none = optional(annotation)
    arguments = typing.get_args(inner)
    if typing.get_origin(inner) is tuple:
        schema = {"type": "array", "items": _value_schema(arguments[0], spec)}
    elif inner is not Scalar and arguments:
        values = _value_schema(arguments[1], spec)
        schema = {"type": "object", "additionalProperties": values}
    elif isinstance(inner, type) and issubclass(inner, Record):
        schema = {"$ref": f"#/$defs/{inner.__name__}"}
    else:
        schema = {"type": _JSON_TYPES[inner], **_limits(inner, spec)}
    return {"anyOf": [schema, {"type": "null"}]} if may_be_none else schema


def _limits(annotation: Any, spec: Mapping[str, Any]) -> dict[str, Any]:
    limits: dict[str, Any] = {}
    if annotation in (int, float):
        pairs = (("minimum", spec["lower"]), ("maximum", spec["upper"]))
        limits |= {name: bound for name, bound in pairs if bound is not None}
    if spec["choices"]:
        limits["enum"] = list(spec["choices"])
    return limits


def fill(page: str) -> str:
    """Put the tables of today's schema into the documentation's page.

    Args:
        page: Markdown with the lines `BEGIN` and `END`.

    Returns:
        The page with what is between them replaced.

    Raises:
        ValueError: if one of the lines is missing.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"the page needs the lines {BEGIN!r} and {END!r}.")
    return f"{before}{BEGIN}\n\n{markdown_tables()}\n\n{END}{after}"


def write(docs: pathlib.Path = _DOCS) -> None:
    """Bring `report.md` and `report.schema.json` up to date.

    Args:
        docs: their folder.
    """
    page = docs / "report.md"
    text = fill(page.read_text(encoding="utf-8"))
    with atomic_path(page) as temporary:
        temporary.write_text(text, encoding="utf-8")
    with atomic_path(docs / "report.schema.json") as temporary:
        temporary.write_text(json.dumps(json_schema(), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write()
