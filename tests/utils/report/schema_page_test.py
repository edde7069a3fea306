import json
import pathlib

import pytest

from tests.utils.report import samples
from utils.report import schema_page

DOCS = pathlib.Path(__file__).parents[3] / "docs"
HOW = "out of date: run python -m utils.report.schema_page"


def test_documentation_is_up_to_date():
    page = (DOCS / "report.md").read_text(encoding="utf-8")
    assert schema_page.fill(page) == page, HOW
    saved = json.loads((DOCS / "report.schema.json").read_text(encoding="utf-8"))
    assert saved == schema_page.json_schema(), HOW


def test_tables_describe_every_entry():
    tables = schema_page.markdown_tables()
    for name in samples.full_report().to_dict():
        assert f"| `{name}` |" in tables
    assert "| `top1` | number, in [0, 1], or null |" in tables
    assert "| `layers` | list of [Layer](#layer) |" in tables
    assert "| `quantity` | text, `channels` or `bits` or `sparsity` or `joint` |" in tables
    assert "| any other | number or null |" in tables


def test_a_page_without_the_marks_is_refused():
    with pytest.raises(ValueError, match="the page needs the lines"):
        schema_page.fill("# Report")


def test_write(tmp_path):
    page = f"# Report\n{schema_page.BEGIN}\noutdated\n{schema_page.END}\nrest\n"
    (tmp_path / "report.md").write_text(page, encoding="utf-8")
    schema_page.write(tmp_path)
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "outdated" not in text
    assert text.endswith(f"{schema_page.END}\nrest\n")
    assert (tmp_path / "report.schema.json").exists()


def violations(schema, value, root):
    """What a JSON document breaks of a schema, for the keywords that are used."""
    if "$ref" in schema:
        return violations(root["$defs"][schema["$ref"].rpartition("/")[2]], value, root)
    if "anyOf" in schema:
        options = [violations(option, value, root) for option in schema["anyOf"]]
        return [] if [] in options else options[0]
    names = {dict: "object", list: "array", str: "string", bool: "boolean", type(None): "null"}
    names |= {int: "integer", float: "number"}
    allowed = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    name = names[type(value)]
    if name not in allowed and not (name == "integer" and "number" in allowed):
        return [f"{value!r} is no {allowed}"]
    found = []
    if name == "object":
        found += [f"lacks {key}" for key in schema.get("required", ()) if key not in value]
        for key, item in value.items():
            inner = schema.get("properties", {}).get(key, schema["additionalProperties"])
            found += [f"unknown {key}"] if inner is False else violations(inner, item, root)
    if name == "array":
        found += [entry for item in value for entry in violations(schema["items"], item, root)]
    if name in ("integer", "number"):
        within = schema.get("minimum", value) <= value <= schema.get("maximum", value)
        found += [] if within else [f"{value} out of bounds"]
    if "enum" in schema and value not in schema["enum"]:
        found.append(f"{value} not in {schema['enum']}")
    return found


def test_json_schema_accepts_what_is_written_and_refuses_other_things():
    schema = schema_page.json_schema()
    document = samples.full_report().to_dict()
    assert violations(schema, document, schema) == []
    assert violations(schema, {**document, "seed": "0"}, schema)
    assert violations(schema, {**document, "extra": 1}, schema) == ["unknown extra"]
    assert violations(schema, {**document, "after": {}}, schema)
    wrong = {**document["after"], "top1": 91.73}
    assert violations(schema, {**document, "after": wrong}, schema) == ["91.73 out of bounds"]
