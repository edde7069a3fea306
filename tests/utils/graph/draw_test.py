import shutil

import keras
import pytest
from keras import layers

from utils.errors import InputError
from utils.graph import from_keras
from utils.graph.draw import dot_text, draw

needs_dot = pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")


@pytest.fixture(scope="module")
def graph():
    inputs = keras.Input((4, None, 3), name='im"age\\')
    x = layers.Conv2D(4, 1, name="a -> b")(inputs)
    y = layers.Conv2D(4, 1, name="c")(inputs)
    return from_keras(keras.Model(inputs, layers.Conv2D(2, 1, name="head")(layers.Add()([x, y]))))


def test_text_is_escaped_and_coloured(graph):
    text = dot_text(graph)
    assert '"im\\"age\\\\" [label="im\\"age\\\\\\nInputLayer\\n4×?×3"' in text
    assert '"im\\"age\\\\" -> "a -> b";' in text
    fills = {
        line.split('"')[1]: line.split('"')[-2] for line in text.splitlines() if "fillc" in line
    }
    assert fills["a -> b"] == fills["c"] != fills["head"] == "#e0e0e0"


@needs_dot
@pytest.mark.parametrize(("ending", "magic"), [("svg", b"<?xml"), ("png", b"\x89PNG")])
def test_draws(graph, tmp_path, ending, magic):
    path = tmp_path / f"g.{ending}"
    draw(graph, path)
    assert path.read_bytes().startswith(magic)


def test_refuses_other_endings(graph, tmp_path):
    with pytest.raises(InputError, match=r"pictures are .svg or .png files. Received: .*g.pdf"):
        draw(graph, tmp_path / "g.pdf")


def test_says_that_dot_is_missing(graph, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match=r"`dot` was not found. Install it \(apt-get install"):
        draw(graph, tmp_path / "g.svg")
    assert not list(tmp_path.iterdir())


def test_says_why_dot_failed(graph, tmp_path, monkeypatch):
    (tmp_path / "dot").write_text("#!/bin/sh\necho 'no fonts' >&2\nexit 3\n")
    (tmp_path / "dot").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    with pytest.raises(InputError, match=r"`dot` failed: no fonts"):
        draw(graph, tmp_path / "out" / "g.svg")
