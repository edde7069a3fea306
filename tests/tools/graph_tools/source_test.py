"""Where the graph commands get their network: a file, a folder, or a sentence."""

import keras
import numpy as np
import pytest
from keras import layers

from tools.graph_tools.source import SourceConfig
from utils.errors import InputError
from utils.graph import disk, from_keras, to_keras

IMAGES = np.random.default_rng(0).normal(size=(2, 6)).astype(np.float32)


@pytest.fixture
def model():
    inputs = keras.Input((6,))
    return keras.Model(inputs, layers.Dense(3, name="fc")(inputs), name="small")


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_file_and_a_folder_are_the_same_network(model, tmp_path, kind):
    if kind == "file":
        path = tmp_path / "model.keras"
        model.save(path)
    else:
        path = tmp_path / "graph"
        disk.save(from_keras(model), path)
    graph = SourceConfig(model_file=str(path)).graph()
    np.testing.assert_array_equal(to_keras(graph)(IMAGES), model(IMAGES))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (None, r"`model_file` must name a .* Received: none"),
        ("", r"`model_file` must name a .* Received: none"),
        ("missing.keras", r"there is no file or folder 'missing.keras'"),
    ],
)
def test_what_is_not_there(name, message):
    with pytest.raises(InputError, match=message):
        SourceConfig(model_file=name).check()


def test_a_file_of_another_kind(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("no network", encoding="utf-8")
    with pytest.raises(InputError, match="`model_file`"):
        SourceConfig(model_file=str(path)).check()


def test_two_files_of_any_name(model, tmp_path):
    description, arrays = tmp_path / "IR_graph.json", tmp_path / "IR_params.npz"
    disk.save_files(from_keras(model), description, arrays)
    graph = SourceConfig(graph_json=str(description), params_file=str(arrays)).graph()
    np.testing.assert_array_equal(to_keras(graph)(IMAGES), model(IMAGES))
    with pytest.raises(InputError, match=r"`params_file`: there is no file 'lost.npz'"):
        SourceConfig(graph_json=str(description), params_file="lost.npz").check()
