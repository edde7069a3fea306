"""`.keras` files of Keras 2.13: today's archive with the settings of then."""

import json
import zipfile

import keras
import numpy as np
import pytest
from keras import layers

from tests.utils.legacy_keras.old_files import functional, image_input, layer
from utils.errors import InputError
from utils.files import load_keras_model
from utils.legacy_keras import is_keras_2_archive, load_archive

X = np.random.default_rng(0).normal(size=(4, 6, 6, 2)).astype(np.float32)


def description(units=3):
    entries = [
        image_input(6, 6, 2),
        layer("DepthwiseConv2D", "dw", "input_1", kernel_size=[3, 3], groups=1, use_bias=True),
        layer("Flatten", "flat", "dw"),
        layer("Dense", "d", "flat", units=units, activation="hard_sigmoid"),
    ]
    for entry in entries:
        entry |= {"module": "keras.layers", "registered_name": None}
    return functional(*entries, outputs=["d"]) | {"module": "keras.src.engine.functional"}


@pytest.fixture
def model():
    inputs = keras.Input((6, 6, 2))
    x = layers.Flatten()(layers.DepthwiseConv2D(3)(inputs))

    def of_keras_2(x):
        return keras.ops.clip(0.2 * x + 0.5, 0.0, 1.0)

    return keras.Model(inputs, layers.Dense(3, activation=of_keras_2)(x))


def archive(model, folder, config, version="2.13.1"):
    weights = folder / "model.weights.h5"
    model.save_weights(weights)
    path = folder / "old.keras"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("metadata.json", json.dumps({"keras_version": version}))
        file.writestr("config.json", json.dumps(config))
        file.write(weights, "model.weights.h5")
    return path


def test_it_computes_what_it_did(model, tmp_path):
    path = archive(model, tmp_path, description())
    assert is_keras_2_archive(path)
    for loaded in (load_archive(path), load_keras_model(path)):
        np.testing.assert_allclose(loaded(X), model(X), rtol=1e-5, atol=1e-6)


def test_todays_files_are_others(model, tmp_path):
    keras.Sequential([keras.Input((2,)), layers.Dense(1)]).save(tmp_path / "new.keras")
    assert not is_keras_2_archive(tmp_path / "new.keras")
    assert not is_keras_2_archive(archive(model, tmp_path, description(), version="3.0.1"))


def test_refusals(model, tmp_path):
    path = archive(model, tmp_path, description(units=10**12))
    with pytest.raises(
        InputError, match=r"old.keras: describes a network of 33,000,000,000,020 parame"
    ):
        load_archive(path)
    path = archive(model, tmp_path, description() | {"class_name": "Bert"})
    with pytest.raises(InputError, match=r"old.keras: holds a 'Bert'"):
        load_archive(path)
