"""Layers with layers inside, Keras' own and users': kept and named, the network around them cut."""

import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import layers

import main
from tests.users import own_files
from utils.files import load_keras_model


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


class Block(layers.Layer):
    """Two Dense layers with a sum, as people write it; nobody registered it."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.wide, self.back = layers.Dense(2 * units, "relu"), layers.Dense(units)

    def build(self, shape):
        self.wide.build(shape)
        self.back.build((*shape[:-1], 2 * self.units))
        super().build(shape)

    def call(self, x):
        return x + self.back(self.wide(x))

    def get_config(self):
        return {**super().get_config(), "units": self.units}


@keras.saving.register_keras_serializable("sublayers_test")
class Registered(Block):
    pass


def of_keras(x):
    tokens = layers.Reshape((16, 8))(x)
    tokens = layers.MultiHeadAttention(2, 4, name="attention")(tokens, tokens)
    tokens = layers.Bidirectional(layers.SimpleRNN(4, return_sequences=True), name="both")(tokens)
    x = layers.Reshape((4, 4, 8))(tokens)
    return layers.TimeDistributed(layers.Conv1D(8, 3, padding="same"), name="each")(x)


def of_users(x):
    return Registered(8, name="registered")(Block(8, name="unregistered")(x))


@pytest.mark.parametrize(
    ("middle", "inside"),
    [(of_keras, {"attention"}), (of_users, {"registered", "unregistered"})],
)
def test_kept_and_named(middle, inside):
    model = own_files.network(middle)
    report = own_files.compress(model, out_dir="out", nb_epochs=0, cpr_skip_frst_layer=False)
    assert report.before.top1 == pytest.approx(own_files.accuracy(model))
    actions = {row.layer: row.action for row in report.capability}
    assert actions["first"] == "cut" and report.model.get_layer("first").filters == 4
    assert inside <= {layer for layer, action in actions.items() if action == "opaque"}
    for name in inside:
        given, kept = model.get_layer(name), report.model.get_layer(name)
        for weight, value in zip(kept.get_weights(), given.get_weights(), strict=True):
            np.testing.assert_array_equal(weight, value)
    loaded = load_keras_model("out/model.keras")  # in this process, whose classes are known
    expected = report.model.predict(own_files.IMAGES, verbose=0)
    np.testing.assert_array_equal(loaded.predict(own_files.IMAGES, verbose=0), expected)


SCRIPT = """
import keras
import numpy as np

from flowpress import compress
from tests.users import own_files
from utils.files import load_keras_model


@keras.saving.register_keras_serializable()
class Scale(keras.layers.Layer):
    def build(self, shape):
        self.scale = self.add_weight(shape=(shape[-1],), initializer="ones", name="scale")

    def call(self, x):
        return x * self.scale


class Shift(keras.layers.Layer):
    def call(self, x):
        return x + 0.1


model = own_files.network(lambda x: Shift(name="unregistered")(Scale(name="registered")(x)))
report = own_files.compress(model, out_dir="out", nb_epochs=0)
assert report.before.top1 == own_files.accuracy(model)
again = load_keras_model("out/model.keras")
outputs = [net.predict(own_files.IMAGES, verbose=0) for net in (again, report.model)]
assert np.array_equal(*outputs)
print("opaque:", [row.layer for row in report.capability if row.action == "opaque"])
"""


def test_a_script_in_one_file(folder):
    """Keras writes no module for a class of the script that runs."""
    (folder / "script.py").write_text(SCRIPT)
    root = pathlib.Path(main.__file__).parent
    done = subprocess.run(
        [sys.executable, "script.py"],
        capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(root), "TF_CPP_MIN_LOG_LEVEL": "3"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "opaque: ['registered', 'unregistered']" in done.stdout
