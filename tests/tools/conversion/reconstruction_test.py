"""The commands that rebuild graphs, as the document calls them."""

import keras
import numpy as np
import pytest

from tools.conversion import (
    keras_reconstructor,
    onnx_reconstructor,
    pytorch_reconstructor,
    tensorflow_reconstructor,
)
from utils.files import save_keras_model
from utils.graph import disk, from_keras

COMMANDS = {
    "keras": (keras_reconstructor.main, "net.keras", None),
    "onnx": (onnx_reconstructor.main, "net.onnx", "onnxruntime"),
    "pytorch": (pytorch_reconstructor.main, "net.py", "torch"),
    "tensorflow": (tensorflow_reconstructor.main, "net.pb", None),
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Write a graph, an input and the result of the network."""
    folder = tmp_path_factory.mktemp("graph")
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 6, 3), name="image")
    x = keras.layers.Conv2D(4, 3, name="conv")(inputs)
    model = keras.Model(inputs, [x, keras.layers.Dense(5, name="head")(x[:, 0, 0])], name="net")
    disk.save_files(from_keras(model), folder / "graph.json", folder / "params.npz")
    save_keras_model(model, folder / "net.keras")
    images = np.random.default_rng(0).normal(size=(3, 8, 6, 3)).astype("float32")
    maps, rows = (np.asarray(each) for each in model(images))
    np.save(folder / "input.npy", images)
    np.save(folder / "input_first.npy", images.transpose(0, 3, 1, 2))
    np.save(folder / "rows.npy", rows)
    np.save(folder / "maps_first.npy", maps.transpose(0, 3, 1, 2))
    np.save(folder / "wrong.npy", rows + 1.0)
    return folder


def graph_flags(files):
    return ["--graph", f"{files}/graph.json", "--params", f"{files}/params.npz"]


@pytest.mark.parametrize("name", COMMANDS)
def test_as_the_document_calls_it(name, files, tmp_path, capsys):
    main, file, package = COMMANDS[name]
    if package:
        pytest.importorskip(package)
    results = f"{files}/maps_first.npy,{files}/rows.npy"
    given = ["--input_npy", f"{files}/input_first.npy", "--result_npy", results]
    assert main([*graph_flags(files), *given, "--save_path", f"{tmp_path}/{file}"]) == 0
    shown = capsys.readouterr().out
    assert "distance to the graph in Keras: " in shown
    assert f"distance to {results}".split(",")[0] in shown.replace("\n", "")
    assert (tmp_path / file).is_file()


def test_a_path_without_ending_is_a_saved_model(files, tmp_path):
    path = tmp_path / "saved"
    assert tensorflow_reconstructor.main([*graph_flags(files), f"--save_path={path}"]) == 0
    assert (path / "saved_model.pb").is_file()


def test_without_a_path_it_is_only_tried(files, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert keras_reconstructor.main([f"--model_file={files}/net.keras"]) == 0
    assert "distance" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "give the graph: --graph="),
        (["--graph=missing.json", "--params=p.npz"], "`graph`: there is no file 'missing.json'"),
        (["--graph=graph.json"], "params"),
        (["--model_file=net.keras", "--save_path=net.pth"], "`save_path` must end in .py"),
        (["--model_file=net.keras", "--result_npy=rows.npy"], "input_npy"),
        (["--model_file=net.keras", "--tolerance=0"], "tolerance"),
        (["--model_file=net.keras", "--input_npy=rows.npy"], "must have the shape (n, 8, 6, 3)"),
        (
            ["--model_file=net.keras", "--input_npy=input.npy", "--result_npy=rows.npy"],
            "`result_npy` gives 1 arrays; the network has 2",
        ),
        (
            [
                "--model_file=net.keras",
                "--input_npy=input.npy",
                "--result_npy=maps_first.npy,wrong.npy",
                "--save_path=made/net.py",
            ],
            "from the given result, more than 0.001: nothing was written",
        ),
    ],
)
def test_what_is_wrong_is_told_in_a_line(flags, message, files, monkeypatch, capsys):
    pytest.importorskip("torch")
    monkeypatch.chdir(files)
    assert pytorch_reconstructor.main(flags) == 2
    told = capsys.readouterr().err
    assert message in told and told.count("\n") == 1
    assert not list(files.glob("made/*"))
