import shutil

import keras
import numpy as np
import pytest
from keras import layers

from tools.graph_tools.export_graph import main
from utils.graph import disk, to_keras
from utils.graph.law import relative_error


@keras.saving.register_keras_serializable("export_graph_test")
class Mystery(layers.Layer):
    def call(self, x):
        return x + 1.0


@pytest.fixture(scope="module")
def model():
    inner = keras.Sequential([keras.Input((6, 6, 4)), layers.ReLU()], name="inner")
    inputs = keras.Input((6, 6, 3))
    x = layers.BatchNormalization()(layers.Conv2D(4, 3, padding="same", name="conv")(inputs))
    x = Mystery(name="mine")(layers.Conv2D(4, 1, name="last")(inner(x)))
    return keras.Model(inputs, layers.Dense(2, name="head")(layers.Flatten()(x)))


@pytest.fixture(scope="module")
def file(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "net.keras"
    model.save(path)
    return path


def test_writes_both_forms_and_the_report(model, file, tmp_path, capsys):
    assert main([f"--model_file={file}", f"--out_dir={tmp_path}/out"]) == 0
    assert "8 nodes, 1 of them opaque" in " ".join(capsys.readouterr().out.split())
    images = np.ones((1, 6, 6, 3), "float32")
    for folder, num_nodes in (("out", 8), ("out/fused", 6)):
        graph = disk.load(tmp_path / folder)
        assert len(graph.nodes) == num_nodes
        assert relative_error(model(images), to_keras(graph)(images)) <= 1e-5
    lines = (tmp_path / "out" / "capabilities.txt").read_text().splitlines()
    assert lines[0] == "inner: flattened: its layers now belong to the outer model"
    assert lines[1].startswith("mine: opaque: no row for 'export_graph_test>Mystery'")
    assert lines[2] == "conv: cut: 4 channels"
    assert lines[3].startswith("last: kept: read by 'mine', which is opaque")


@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")
def test_draws(file, tmp_path):
    assert (
        main([f"--model_file={file}", f"--out_dir={tmp_path}", "--picture=svg", "--nofused"]) == 0
    )
    made = {path.name for path in tmp_path.iterdir()}
    assert made == {"graph.json", "params.npz", "graph.svg", "capabilities.txt"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model_file={}"], "`out_dir` must name a folder. Received: none. Give --out_dir=path."),
        (["--out_dir=x"], "`model_file` must name a .keras or .h5 file or a graph's folder"),
        (["--model_file={}", "--out_dir={}"], "cannot write"),
        (["--model_file={}", "--out_dir=/tmp/x", "--picture=pdf"], "`picture` must be one of"),
    ],
)
def test_refuses_wrong_input(arguments, message, file, capsys):
    assert main([argument.format(file) for argument in arguments]) == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_strict_names_the_layer(file, tmp_path, capsys):
    assert main([f"--model_file={file}", f"--out_dir={tmp_path}/out", "--strict"]) == 2
    assert "layer 'mine' is opaque: no row for" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out").exists()
