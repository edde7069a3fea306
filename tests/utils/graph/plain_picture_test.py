"""Pictures of graphs without Graphviz."""

import keras
import pytest

from utils.graph import from_keras, plain_picture
from utils.graph.plain_picture import draw_plain, positions


@pytest.fixture(scope="module")
def graph():
    inputs = keras.Input((4, 4, 2), name="x")
    left = keras.layers.Conv2D(2, 1, name="left")(inputs)
    right = keras.layers.Conv2D(2, 1, name="right")(inputs)
    return from_keras(keras.Model(inputs, keras.layers.Add(name="sum")([left, right])))


def test_a_node_is_below_what_it_reads(graph):
    assert positions(graph) == {"x": (0, 0), "left": (0, 1), "right": (1, 1), "sum": (0, 2)}


def test_the_file_is_a_picture(graph, tmp_path, monkeypatch):
    from PIL import Image

    draw_plain(graph, tmp_path / "graph.png")
    with Image.open(tmp_path / "graph.png") as image:
        whole = image.size
        assert image.format == "PNG" and len(image.convert("RGB").getcolors(1 << 16)) > 3
    monkeypatch.setattr(plain_picture, "_MAX_PIXELS", 5_000)
    draw_plain(graph, tmp_path / "small.png")
    with Image.open(tmp_path / "small.png") as image:
        assert image.size[0] * image.size[1] <= 5_000 < whole[0] * whole[1]
