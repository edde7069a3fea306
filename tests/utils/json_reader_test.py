"""JSON that may come from anywhere: one line with the file and the place."""

import json

import pytest

from utils.errors import InputError
from utils.json_reader import MAX_DEPTH, document, parse_json, read_json
from utils.schema import Fields, Whole

KIND = Fields({"a": Whole(0)})


def test_plain_values():
    value = {"a": [1, -2.5, True, None, "ü"], "b": {}}
    assert parse_json(json.dumps(value)) == value
    assert parse_json(json.dumps(value).encode()) == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"line 1, column 1: Expecting value"),
        ('{"a": 1,\n "a" 2}', r"line 2, column 6: Expecting ':'"),
        ('{"a": 1, "a": 2}', "the name 'a' twice"),
        ('{"a": NaN}', "NaN is no JSON number"),
        ('{"a": -Infinity}', "-Infinity is no JSON number"),
        ('{"a": 1e999}', "'1e999' is too large for a number"),
        ('{"a": ' + "9" * 5000 + "}", "a number of 5000 digits"),
        ("[" * 100_000, "nested too deeply"),
        ("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), "more than 100 levels deep"),
        ('{"a": -1}', "`a` must be a whole number >= 0. Received: -1"),
        ("[]", "it must be an object with a"),
        (b'{"a": "\xe9"}', r"x\.json, line 1: byte 8 is not UTF-8"),
        (b'\xef\xbb\xbf{"a": 1}', "begins with the byte order mark of UTF-8"),
    ],
)
def test_refusals_are_one_line_with_the_file(text, message, tmp_path):
    path = tmp_path / "x.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError, match=message) as caught:
        read_json(path, KIND, max_bytes=1 << 20, advice="Do this.")
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_just_deep_enough():
    assert document("[" * MAX_DEPTH + "]" * MAX_DEPTH, "x")


def test_constants_where_a_schema_rules_them():
    assert str(document('{"a": NaN}', "x", constants=True)) == "{'a': nan}"
    with pytest.raises(InputError, match="x: `a` must be a whole number"):
        document('{"a": Infinity}', "x", KIND, constants=True)


def test_sizes_are_those_of_what_was_read(tmp_path):
    path = tmp_path / "x.json"
    path.write_text('{"a": 1}')
    assert read_json(path, KIND, max_bytes=8) == {"a": 1}
    with pytest.raises(InputError, match="larger than 7 bytes"):
        read_json(path, KIND, max_bytes=7)
    (tmp_path / "zero.json").symlink_to("/dev/zero")
    with pytest.raises(InputError, match="no ordinary file"):
        read_json(tmp_path / "zero.json", max_bytes=8)
