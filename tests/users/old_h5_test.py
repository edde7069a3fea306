"""Files of Keras 2 everywhere a network or weights are asked for."""

import pathlib

import h5py
import keras
import numpy as np
import pytest

from tests.users import own_files
from tests.utils.legacy_keras.old_files import functional, image_input, layer, write
from tools.benchmark import calc_inference_time
from tools.conversion import export_tflite
from tools.graph_tools import export_graph, model_complexity

FORWARD = """
x = layers.Conv2D(8, 3, activation="relu", name="a")(inputs)
x = layers.DepthwiseConv2D(3, name="b")(x)
x = layers.BatchNormalization(name="c")(x)
x = layers.ReLU(name="d")(x)
return layers.Dense(2, name="e")(layers.GlobalAveragePooling2D()(x))
"""
NAMES = {
    "a": ("kernel", "bias"),
    "b": ("depthwise_kernel", "bias"),
    "c": ("gamma", "beta", "moving_mean", "moving_variance"),
    "e": ("kernel", "bias"),
}


@pytest.fixture(scope="module")
def model():
    """The network of today's Keras that the old files hold, trained a little."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 2))
    lines = FORWARD.replace("return ", "y = ")
    scope = {"layers": keras.layers, "inputs": inputs}
    exec(lines, scope)
    model = keras.Model(inputs, scope["y"])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss, metrics=["accuracy"])
    model.fit(own_files.IMAGES, own_files.LABELS, epochs=3, verbose=0)
    return model


def config():
    return functional(
        image_input(8, 8, 2),
        layer("Conv2D", "a", "input_1", filters=8, kernel_size=[3, 3], activation="relu", groups=1),
        layer("DepthwiseConv2D", "b", "a", kernel_size=[3, 3], groups=1, use_bias=True),
        layer("BatchNormalizationV1", "c", "b", axis=[3], fused=None),
        layer("ReLU", "d", "c", max_value=None, threshold={"type": "ndarray", "value": 0.0}),
        layer("GlobalAveragePooling2D", "p", "d"),
        layer("Dense", "e", "p", units=2, activation="linear"),
        outputs=["e"],
        class_name="Model",
    )


def weights(model):
    return {
        name: [
            (f"{name}/{kind}:0", np.array(array))
            for kind, array in zip(kinds, model.get_layer(name).weights, strict=True)
        ]
        for name, kinds in NAMES.items()
    }


@pytest.fixture(autouse=True)
def folder(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "old.h5", config(), weights(model))
    (tmp_path / "old.keras").write_bytes((tmp_path / "old.h5").read_bytes())
    write(tmp_path / "alone.h5", None, weights(model))
    write(tmp_path / "alone.weights.h5", None, weights(model))
    model.save_weights(tmp_path / "today.weights.h5")
    (tmp_path / "renamed.h5").write_bytes((tmp_path / "today.weights.h5").read_bytes())
    own_files.helper_file(tmp_path / "my_net.py", FORWARD)
    return tmp_path


@pytest.mark.parametrize("name", ["old.h5", "alone.h5"])
def test_as_weights_to_start_from(name, model, capsys):
    status, report = own_files.pruning(
        "my_net.py", pretrained_path=name, nb_epochs=0, cpr_skip_frst_layer=False
    )
    assert status == 0, capsys.readouterr().err
    assert report["before"]["top1"] == pytest.approx(own_files.accuracy(model))
    assert report["after"]["params"] < report["before"]["params"]


@pytest.mark.parametrize(
    "name", ["old.h5", "old.keras", "alone.weights.h5", "today.weights.h5", "renamed.h5"]
)
def test_to_be_scored(name, model, capsys):
    """Whatever a file is called and whoever wrote it."""
    status, _ = own_files.run(model_helper="my_net.py", exec_mode="eval", pretrained_path=name)
    captured = capsys.readouterr()
    assert status == 0, captured.err
    assert f"accuracy: {own_files.accuracy(model):.4f}" in captured.out


def test_as_a_teacher(model, capsys):
    status, report = own_files.pruning(
        "my_net.py", pretrained_path="old.h5", enbl_dst=True, save_path_dst="old.h5"
    )
    assert status == 0, capsys.readouterr().err
    assert report["training"][-1]["loss"] < 10


def test_for_the_tools(model, capsys):
    for tool, arguments in (
        (model_complexity, ["--format=csv"]),
        (export_graph, ["--out_dir=graph"]),
        (calc_inference_time, ["--nb_repts=1", "--nb_repts_warmup=0"]),
        (export_tflite, ["--kinds=float32"]),
    ):
        assert tool.main(["--model_file=old.h5", *arguments]) == 0, capsys.readouterr().err
    assert pathlib.Path("old_float32.tflite").is_file()
    text = capsys.readouterr().out
    assert f"total,,,{model.count_params()}," in text and "0 of them opaque" in text


@pytest.mark.parametrize("tool", [model_complexity, export_tflite, calc_inference_time])
def test_weights_alone_are_no_network(tool, capsys):
    more = {export_tflite: ["--kinds=float32"]}.get(tool, [])
    for name in ("alone.h5", "today.weights.h5"):
        assert tool.main([f"--model_file={name}", *more]) == 2
        line = capsys.readouterr().err
        assert f"{name}: holds weights, but no network" in line and "--pretrained_path" in line


def test_weights_of_another_network_are_refused(folder, capsys):
    with h5py.File(folder / "alone.h5", "a") as file:
        del file["e/e/kernel:0"]
        file["e"].create_dataset("e/kernel:0", data=np.zeros((8, 5), np.float32))
    status, _ = own_files.pruning("my_net.py", pretrained_path="alone.h5")
    assert status == 2
    line = " ".join(capsys.readouterr().err.split())
    assert "alone.h5: the weights of the layer 'e' don't fit: the network has kernel[8, 2]" in line
