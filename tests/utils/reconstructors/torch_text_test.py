import pytest

from utils.reconstructors.torch_text import (
    Attribute,
    Local,
    Statement,
    class_name,
    identifier,
    lines,
    literal,
    needed,
)


def statement(text, inputs, output):
    return Statement(text=text, inputs=tuple(inputs), outputs=(output,))


def test_names_are_free_again_behind_the_last_reader():
    a, b, c, d = map(Local, range(4))
    found, names = lines(
        [
            statement("f({0})", [a], b),
            statement("g({0})", [b], c),
            statement("{0} + {1}", [b, c], d),
        ],
        [d],
        {a: "image"},
    )
    assert found == ["x = f(image)", "y = g(x)", "x = x + y"]
    assert names[d] == "x"


def test_outputs_keep_their_names():
    a, b, c = map(Local, range(3))
    found, names = lines(
        [statement("f({0})", [a], b), statement("g({0})", [b], c)], [b, c], {a: "x"}
    )
    assert found == ["y = f(x)", "z = g(y)"]
    assert (names[b], names[c]) == ("y", "z")


def test_what_nobody_reads_is_left_out():
    a, b, c = map(Local, range(3))
    kept = statement("f({0}, {1})", [a, Attribute("self.w")], b)
    assert needed([kept, statement("g({0})", [a], c)], [b]) == [kept]


def test_only_plain_data_becomes_text():
    with pytest.raises(TypeError, match="no plain value: object"):
        literal(object())
    assert literal({"a": 1}.get("a")) == "1"
    assert literal("{0}").format("x") == repr("{0}")
    assert literal("'); import os  #") == repr("'); import os  #")


@pytest.mark.parametrize("name", ["a b", "1", "", "__x", "größe", "lambda", "match", 'x"""\n'])
def test_identifiers(name):
    assert identifier(name).isidentifier()
    assert identifier(name, {identifier(name)}) != identifier(name)
    assert class_name(name).isidentifier()
