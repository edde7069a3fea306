"""Keras on a leash: no memory for what is not stored, causes in one line, no unsafe advice."""

import io
import json
import zipfile

import h5py
import keras
import numpy as np
import pytest

from utils.errors import InputError
from utils.files import load_keras_model
from utils.keras_loading import variables_within


@pytest.fixture(name="path")
def _path(tmp_path):
    inputs = keras.Input((4, 4, 1))
    x = keras.layers.Conv2D(2, 3, name="conv")(inputs)
    outputs = keras.layers.Dense(2, name="fc")(keras.layers.Flatten()(x))
    keras.Model(inputs, outputs).save(tmp_path / "net.keras")
    return tmp_path / "net.keras"


def rewrite(path, change):
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(parts["config.json"])
    change({layer["config"]["name"]: layer for layer in config["config"]["layers"]})
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, json.dumps(config) if name == "config.json" else data)


def refusal(path):
    with pytest.raises(InputError) as caught:
        load_keras_model(path)
    text = str(caught.value)
    assert text.startswith(str(path))
    assert "\n" not in text
    return text


def test_more_than_is_stored_is_not_built(path):
    rewrite(path, lambda layers: layers["fc"]["config"].update(units=10**9))
    assert "describes a weight of shape (8, 1000000000)" in refusal(path)


def test_a_feature_map_that_no_memory_holds(path):
    def widen(layers):
        first = next(iter(layers.values()))
        first["config"]["batch_shape"] = [None, 2**15, 2**15, 1]
        for layer in layers.values():
            layer.pop("build_config", None)
        layers["fc"]["config"]["units"] = 2

    rewrite(path, widen)
    text = refusal(path)
    assert "numbers for one sample" in text or "more numbers than" in text


@pytest.mark.parametrize(
    "other",
    [
        {"module": "keras.layers", "class_name": "TFSMLayer", "config": {"filepath": "x"}},
        {
            "module": "keras.layers",
            "class_name": "StringLookup",
            "config": {"vocabulary": "/etc/passwd"},
        },
        {"module": "my.lambda", "class_name": "MyLambda", "config": {}},
        {"module": "os", "class_name": "system", "config": {"command": "true"}},
    ],
)
def test_only_a_lambda_is_called_one(path, other):
    def replace(layers):
        name = layers["fc"]["config"]["name"]
        layers["fc"].update({**other, "registered_name": None})
        layers["fc"]["config"] = {**other["config"], "name": name}

    rewrite(path, replace)
    text = refusal(path)
    assert "allow_unsafe" not in text
    assert "Lambda layer" not in text
    assert "safe_mode" not in text


def test_a_lambda_is_called_one(tmp_path):
    inputs = keras.Input((3,))
    keras.Model(inputs, keras.layers.Lambda(lambda x: 2 * x)(inputs)).save(tmp_path / "l.keras")
    assert "Lambda layer" in refusal(tmp_path / "l.keras")
    assert load_keras_model(tmp_path / "l.keras", allow_unsafe=True)


def test_keras_paragraphs_are_one_reason(path):
    rewrite(path, lambda layers: layers["fc"]["config"].update(nonsense=1))
    text = refusal(path)
    assert "could not be deserialized properly" not in text
    assert "nonsense" in text


def test_weights_that_are_nan(path):
    model = keras.saving.load_model(path)
    model.get_layer("fc").set_weights([np.full((8, 2), np.nan), np.zeros(2)])
    model.save(path)
    assert "'fc/kernel' holds NaN" in refusal(path)


def test_variables_within_a_bound():
    with variables_within(10):
        keras.Variable(np.zeros(3))
        keras.layers.Dense(2).build((None, 4))
        with pytest.raises(InputError, match=r"shape \(4, 2\)"):
            keras.layers.Dense(2).build((None, 4))
    keras.layers.Dense(200).build((None, 4))


def test_weights_that_are_missing_are_not_drawn_anew(path):
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    stream = io.BytesIO(parts["model.weights.h5"])
    with h5py.File(stream, "r+") as file:
        del file["layers/dense/vars/0"]
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in {**parts, "model.weights.h5": stream.getvalue()}.items():
            archive.writestr(name, data)
    assert "safe_mode" not in refusal(path)
