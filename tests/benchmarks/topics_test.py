import dataclasses
import pathlib

import pytest

import benchmarks
from benchmarks.topics import code_digest, find_topics, load_topic
from utils.errors import InputError

MODULE = '''"""Toy rows.

More words.
"""
from benchmarks import Row
SOURCES = ("product",)
ROWS = (Row(name="one", run=dict), Row(name="two", run=dict))
'''


def write(folder, name, text=MODULE):
    path = folder / f"{name}_bench.py"
    path.write_text(text, encoding="utf-8")
    return path


def test_topics_are_found_by_file_name(tmp_path):
    for name in ("pruning", "graph"):
        write(tmp_path, name)
    (tmp_path / "other.py").write_text("")
    (tmp_path / "_bench.py").write_text("")
    assert list(find_topics(tmp_path)) == ["graph", "pruning"]


def test_load(tmp_path):
    topic = load_topic(write(tmp_path, "toy"))
    assert topic.name == "toy"
    assert topic.title == "Toy rows."
    assert [row.name for row in topic.rows] == ["one", "two"]
    assert topic.sources == ("product",)
    assert topic.row("two").name == "two"
    with pytest.raises(InputError, match=r"topic 'toy' has no row 'three'. Rows: one, two"):
        topic.row("three")


def test_rows_may_be_a_function(tmp_path):
    text = "from benchmarks import Row\ndef rows():\n    return [Row(name='x', run=dict)]\n"
    topic = load_topic(write(tmp_path, "made", text))
    assert [row.name for row in topic.rows] == ["x"]
    assert topic.title == "made"
    assert topic.sources == benchmarks.rows.DEFAULT_SOURCES


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\n", "has neither `ROWS` nor a function `rows"),
        (
            "from benchmarks import Row\nROWS = (Row(name='a', run=dict),) * 2\n",
            "several rows of one name: a",
        ),
    ],
)
def test_modules_that_are_no_topics(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        load_topic(write(tmp_path, "bad", text))


def test_the_digest_sees_the_module_and_its_sources(tmp_path):
    product = tmp_path / "product"
    product.mkdir()
    (product / "code.py").write_text("a = 1\n")
    topic = load_topic(write(tmp_path, "toy"))
    first = code_digest(topic, tmp_path)
    assert first == code_digest(topic, tmp_path)
    (product / "notes.txt").write_text("no code")
    assert first == code_digest(topic, tmp_path)
    (product / "code.py").write_text("a = 2\n")
    second = code_digest(topic, tmp_path)
    topic.path.write_text(MODULE + "# changed\n")
    third = code_digest(topic, tmp_path)
    assert len({first, second, third}) == 3


def test_a_source_may_be_a_file_but_must_exist(tmp_path):
    topic = dataclasses.replace(load_topic(write(tmp_path, "toy")), sources=("main.py",))
    with pytest.raises(InputError, match=r"SOURCES names 'main.py', which does not exist"):
        code_digest(topic, tmp_path)
    (tmp_path / "main.py").write_text("")
    assert len(code_digest(topic, tmp_path)) == 12


def test_the_shipped_topics_can_be_loaded():
    folder = pathlib.Path(benchmarks.__file__).parent
    for path in find_topics(folder).values():
        topic = load_topic(path)
        assert topic.rows
        assert len(code_digest(topic, folder.parent)) == 12
