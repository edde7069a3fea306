"""Ordinary files, as much as was asked for."""

import os

import pytest

from utils.errors import InputError
from utils.regular_file import decoded, open_regular, read_regular, read_text


def test_a_file_is_read(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    with open_regular(path) as stream:
        assert stream.name == str(path)
    assert read_regular(path, 3) == b"abc"
    assert read_text(path, 3) == "abc"
    with pytest.raises(InputError, match="larger than 2 bytes"):
        read_regular(path, 2)


def test_what_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("gone")
    (tmp_path / "zero").symlink_to("/dev/zero")
    for name, message in {
        "none": "No such file or directory",
        "link": r"No such file or directory \(a link to nowhere\)",
        "": "Is a directory",
        "pipe": "no ordinary file",
        "zero": "no ordinary file",
        "n" * 300: "File name too long",
        "a\0b": "null byte",
    }.items():
        with pytest.raises(InputError, match=message):
            read_regular(f"{tmp_path}/{name}", 10)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"ab\n\xff", "x, line 2: byte 4 is not UTF-8"),
        ("a".encode("utf-16"), "x, line 1: begins with the byte order mark of UTF-16"),
        ("a".encode("utf-8-sig"), "byte order mark of UTF-8"),
    ],
)
def test_other_encodings(content, message):
    with pytest.raises(InputError, match=message):
        decoded(content, "x")
