"""`compress` from Python: own models, losses, metrics, data; wrong calls."""

import functools
import json
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import flowpress
from flowpress import compress
from utils.errors import InputError
from utils.report import Report

IMAGES = np.random.default_rng(0).random((64, 8, 8, 1), dtype=np.float32)
LABELS = (IMAGES[:, :, :, 0].mean(axis=(1, 2)) > 0.5).astype(np.int32)
QUICK = {"nb_smpls": 32, "nb_repts": 1, "nb_repts_warmup": 0, "tflite": "none", "nb_epochs": 1}


def batches(labels=LABELS, images=IMAGES, size=16):
    return tf.data.Dataset.from_tensor_slices((images, labels)).batch(size)


def network(activation=None, outputs=2):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 1))
    x = layers.Conv2D(8, 3, activation="relu", name="first")(inputs)
    x = layers.Conv2D(8, 3, activation="relu", name="second")(x)
    x = layers.Flatten()(x)
    return keras.Model(inputs, layers.Dense(outputs, activation=activation, name="head")(x))


def compiled(loss, activation=None, outputs=2, metrics=None):
    model = network(activation, outputs)
    model.compile(optimizer="sgd", loss=loss, metrics=metrics)
    return model


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


# --- a whole run ----------------------------------------------------------------------------------


@functools.cache
def finished(root):
    model = compiled("sparse_categorical_crossentropy", "softmax")
    before = [np.array(weight) for weight in model.weights]
    report = compress(
        model, batches(), batches(), prune_ratio=0.5, out_dir=f"{root}/own",
        **QUICK | {"tflite": "float32"},
    )  # fmt: skip
    return model, before, report


@pytest.fixture
def run(tmp_path_factory):
    return finished(tmp_path_factory.getbasetemp())


def test_report_and_files(run):
    _, _, report = run
    assert isinstance(report, Report)
    assert report.after.params < report.before.params
    assert [point.step for point in report.training] == [4]
    assert report.file("float32").agreement == 1.0
    folder = pathlib.Path(report.after.path).parent
    assert json.loads((folder / "report.json").read_text())["learner"] == ["chn-pruned-rmt"]
    report.model.save("smaller.keras")
    assert keras.saving.load_model("smaller.keras").get_layer("first").filters == 4


def test_figures_are_those_of_keras(run):
    model, _, report = run
    accuracy = np.mean(np.argmax(model.predict(IMAGES, verbose=0), axis=-1) == LABELS)
    assert report.before.top1 == pytest.approx(accuracy)
    assert report.before.params == model.count_params()


def test_callers_model_is_unchanged(run):
    model, before, report = run
    for weight, value in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(weight, value)
    assert report.model is not model
    assert model.compiled
    assert model.get_layer("first").filters == 8


# --- losses and metrics: in tests/nets/keras_model_helper_test.py and tests/users ----------------


def test_regression_to_the_end():
    targets = IMAGES.mean(axis=(1, 2)).astype(np.float32)
    model = compiled("mse", outputs=1, metrics=["mae"])
    report = compress(model, batches(targets), batches(targets), **QUICK | {"nb_epochs": 0})
    assert report.before.top1 is None
    assert report.before.metrics["mae"] > 0


# --- wrong calls ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prune_ration": 0.5}, r"no option 'prune_ration'. Did you mean '(cpr_)?prune_ratio'\?"),
        ({"prune_ratio": 1}, r"`cpr_prune_ratio` must be in \[0, 1\). Received: 1. 1 was legal"),
        ({"cpr_prune_ratio": "half"}, r"`cpr_prune_ratio` must be in \[0, 1\). Received: 'half'"),
        ({"model_helper": "x.py"}, r"compress\(\) has no option 'model_helper'"),
        ({"pretrained_path": "x.keras"}, r"compress\(\) has no option 'pretrained_path'"),
        ({"exec_mode": "eval"}, r"compress\(\) has no option 'exec_mode'"),
        ({"learner": "prune"}, r"Unknown learner 'prune' in learner. .*Valid: "),
        ({"nb_epochs": "1,2"}, r"`nb_epochs` must be one number or one per stage \(1\)"),
        ({"budget": "flops:2"}, r"`budget` must be .*Received: 'flops:2'"),
        ({"out_dir": "file/below"}, r"cannot write .*file is a file, not a folder"),
        ({"seed": 1.5}, r"`seed` must be in \[0, 2147483647\]. Received: 1.5"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_wrong_options(options, message, folder):
    (folder / "file").write_text("")
    with pytest.raises(InputError, match=message):
        compress(network(), batches(), batches(), **options)
    assert [path.name for path in folder.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("train", "message"),
    [
        (lambda: batches().repeat(), r"`train_ds` must have a known, finite length. It repeats"),
        (lambda: IMAGES, r"`train_ds` must be arrays .*Received: ndarray. Add the labels: \(x, y"),
    ],
    ids=["infinite", "images"],
)
def test_wrong_data(train, message, folder):
    with pytest.raises(InputError, match=message):
        compress(network(), train(), batches())
    with pytest.raises(InputError, match=message.replace("train_ds", "eval_ds")):
        compress(network(), batches(), train())
    assert list(folder.iterdir()) == []


def test_labels_beyond_the_classes(folder):
    wrong = LABELS + 4
    with pytest.raises(InputError, match=r"Received a label value of [45] which is outside"):
        compress(network(), batches(wrong), batches(wrong), **QUICK)
    assert list(folder.iterdir()) == []


def test_import_is_light():
    code = "import sys, flowpress; sys.exit('tensorflow' in sys.modules)"
    root = pathlib.Path(flowpress.__file__).parent
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0


# --- files of networks ----------------------------------------------------------------------------


@pytest.fixture
def tflite(folder):
    model = network("softmax")
    content = tf.lite.TFLiteConverter.from_keras_model(model).convert()
    (folder / "net.tflite").write_bytes(content)
    return model


def test_a_file_of_another_framework(tflite, folder):
    labels = np.asarray(tflite(IMAGES)).argmax(axis=1)
    data = batches(labels)
    report = compress("net.tflite", data, data, prune_ratio=0.5, out_dir="own", **QUICK)
    assert report.before.top1 == 1.0  # it is that network
    assert report.before.params == flowpress.load_network("net.tflite").count_params()
    assert report.after.params < report.before.params
    assert (folder / "own" / "model.keras").exists()


@pytest.mark.parametrize("ending", ["keras", "h5", "tflite", "saved_model"])
def test_networks_are_loaded_for_own_loops(tflite, folder, ending):
    path = folder / f"net.{ending}"
    if ending == "saved_model":
        tflite.export(path, verbose=False)
    elif ending != "tflite":
        tflite.save(path)
    loaded = flowpress.load_network(path)
    np.testing.assert_allclose(loaded(IMAGES), tflite(IMAGES), atol=1e-5)
    assert flowpress.FilterPruner(loaded, 0.5).groups


@pytest.mark.parametrize(
    ("path", "options", "message"),
    [
        ("gone.keras", {}, r"`model`: there is no file 'gone.keras'"),
        ("gone.onnx", {}, r"`model`: there is no file 'gone.onnx'"),
        ("net.txt", {}, r"`model` must end in \.keras, \.h5"),
        ("net.tflite", {"weights": "w.params"}, r"`weights` does not apply to tflite networks"),
        (None, {"weights": "w.pth"}, r"`weights` is about a network's file\. .*Functional"),
        (None, {"input_shape": "1,8,8,1"}, r"`input_shape` is about a network's file"),
    ],
)
def test_files_that_are_refused(tflite, folder, path, options, message):
    with pytest.raises(InputError, match=message):
        compress(path or tflite, batches(), batches(), **options)
    if path is not None:
        with pytest.raises(InputError, match=message):
            flowpress.load_network(path, **options)
    assert [file.name for file in folder.iterdir()] == ["net.tflite"]


# --- own training loops ---------------------------------------------------------------------------


def test_objects_for_own_loops_are_imported_when_asked_for():
    code = (
        "import sys, flowpress\n"
        "assert 'tensorflow' not in sys.modules\n"
        "from flowpress import FilterPruner, Prune, Pruning\n"
        "print(FilterPruner.__module__, Pruning.__module__, Prune.__module__)"
    )
    root = pathlib.Path(flowpress.__file__).parent
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    filters = ["learners.filters.pruner", "learners.filters.soft"]
    assert done.stdout.split() == [*filters, "learners.sparsity.prune"]
    files = {"load_fpq", "load_network", "save_fpq"}
    assert {"FilterPruner", "Prune", "Pruning", "compress"} | files == set(flowpress.__all__)
    assert flowpress.load_fpq.__module__ == "utils.quantization.packed"
    with pytest.raises(AttributeError, match="has no attribute 'Pruner'"):
        _ = flowpress.Pruner


def test_images_without_labels():
    values = {
        "auto_nb_smpls": 16, "auto_nb_crops_per_smpl": 2, "auto_patterns": "dense",
        "auto_bits_min": 8, "auto_compare": False, "nb_epochs": 0,
    }  # fmt: skip
    report = compress(
        network("softmax"), IMAGES, budget="flops:0.6", out_dir="own", **QUICK | values
    )
    assert report.learner == ("auto",)
    assert report.before.top1 == 1.0  # agreement with itself
    assert report.after.top1 is not None
    assert report.after.flops <= 0.62 * report.before.flops


def test_without_labels_what_decides_is_not_trained_on():
    values = {
        "auto_nb_smpls": 16, "auto_nb_crops_per_smpl": 2, "auto_patterns": "dense",
        "auto_bits_min": 8, "auto_compare": False, "nb_epochs": 1, "max_drop": 100,
    }  # fmt: skip
    report = compress(network("softmax"), IMAGES, out_dir="own", **QUICK | values)
    (said,) = [note for note in report.notes if "sizes were tried" in note]
    assert "on 19 held-out training images" in said  # 30 % of 64
    assert not any("training sees" in note for note in report.notes)


@pytest.mark.parametrize("images", [IMAGES[:, :4], IMAGES[:5], "photos"])
def test_images_that_do_not_fit(images):
    with pytest.raises(InputError, match="`images` must be"):
        compress(network("softmax"), images, out_dir="own", max_drop=1)


def test_without_labels_one_output_is_compared():
    inputs = keras.Input((8, 8, 1))
    x = layers.Flatten()(inputs)
    two = keras.Model(inputs, [layers.Dense(4, activation="softmax")(x), layers.Dense(2)(x)])
    with pytest.raises(InputError, match=r"must have one output.* has 2"):
        compress(two, IMAGES, out_dir="own", max_drop=1)
