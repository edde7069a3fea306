"""SavedModels, read without TensorFlow's loader."""

import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.utils.frontends.damage import damaged, outcomes
from utils.errors import InputError
from utils.export.saved_model import write_saved_model
from utils.frontends.tensorflow.saved_model import GRAPH_FILE, read_saved_model


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4, 4, 2), name="image")
    x = keras.layers.Conv2D(3, 3, name="conv")(inputs)
    return keras.Model(inputs, keras.layers.Dense(2, name="fc")(keras.layers.Flatten()(x)))


@pytest.fixture(scope="module")
def folder(network, tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "net"
    write_saved_model(network, path)
    return path


def test_what_it_serves(network, folder):
    graph = read_saved_model(folder)
    assert list(graph.inputs) == ["image"] and list(graph.outputs) == ["output_0"]
    for weight in network.weights:
        assert any(np.array_equal(array, weight) for array in graph.constants.values()), weight.path


def test_variables_by_name_of_tensorflow_1(tmp_path):
    graph = tf.Graph()
    with graph.as_default(), tf.compat.v1.Session() as session:
        x = tf.compat.v1.placeholder(tf.float32, (None, 3), "x")
        w = tf.compat.v1.get_variable("w", (3, 2), use_resource=False)
        y = tf.matmul(x, w, name="y")
        session.run(tf.compat.v1.global_variables_initializer())
        value = session.run(w)
        tf.compat.v1.saved_model.simple_save(session, str(tmp_path / "old"), {"x": x}, {"y": y})
    found = read_saved_model(tmp_path / "old")
    assert any(np.array_equal(array, value) for array in found.constants.values())


def copied(folder, tmp_path):
    return shutil.copytree(folder, tmp_path / "copy")


def test_refusals(folder, tmp_path):
    copy = copied(folder, tmp_path)
    (copy / GRAPH_FILE).write_bytes(b"\x08\x01")
    with pytest.raises(InputError, match="no graph with the tag 'serve'"):
        read_saved_model(copy)
    (copy / GRAPH_FILE).write_bytes(b"\xff" * 9)
    with pytest.raises(InputError, match="is damaged"):
        read_saved_model(copy)


def test_weights_that_were_cut_off(folder, tmp_path):
    copy = copied(folder, tmp_path)
    data = next((copy / "variables").glob("variables.data-*"))
    data.write_bytes(data.read_bytes()[:20])
    with pytest.raises(InputError, match=r"damaged|is said to have"):
        read_saved_model(copy)


def test_damaged_files_are_refused_or_read(folder, tmp_path):
    copy = copied(folder, tmp_path)
    content = (folder / GRAPH_FILE).read_bytes()

    def read(changed):
        (copy / GRAPH_FILE).write_bytes(changed)
        read_saved_model(copy)

    found = outcomes(damaged(content, 60), read)
    assert found.total() == 60 and found["refused"] > 10
