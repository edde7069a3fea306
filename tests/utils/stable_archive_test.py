"""Equal networks give equal bytes."""

import subprocess
import sys
import zipfile
from unittest import mock

import keras
import numpy as np

from utils.files import load_keras_model
from utils.stable_archive import make_stable, numbered

SAVE = """
import sys, keras
from utils.files import save_keras_model
keras.utils.set_random_seed(0)
dense = keras.layers.Dense
layers = [keras.Input((3,), name="x"), dense(2, name="a"), dense(2, name="b")]
save_keras_model(keras.Sequential(layers, name="net"), sys.argv[1])
"""


def test_two_processes_write_the_same(tmp_path):
    here, there = tmp_path / "one.keras", tmp_path / "two.keras"
    subprocess.run([sys.executable, "-c", SAVE, str(there)], check=True)
    with mock.patch.object(sys, "argv", ["save", str(here)]):
        exec(compile(SAVE, "save", "exec"), {})
    assert here.read_bytes() == there.read_bytes()
    assert load_keras_model(here).name == "net"


def test_the_network_stays_the_same(tmp_path):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, activation="relu")])
    model.save(tmp_path / "m.keras")
    make_stable(tmp_path / "m.keras")
    with zipfile.ZipFile(tmp_path / "m.keras") as archive:
        assert {entry.date_time[0] for entry in archive.infolist()} == {1980}
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    assert [layer.name for layer in loaded.layers] == [layer.name for layer in model.layers]
    np.testing.assert_array_equal(loaded.get_weights()[0], model.get_weights()[0])
    assert [path.name for path in tmp_path.iterdir()] == ["m.keras"]


def test_objects_keep_what_they_share():
    config = [{"shared_object_id": 9}, {"a": {"shared_object_id": 4}}, {"shared_object_id": 9}]
    assert numbered(config) == [
        {"shared_object_id": 1}, {"a": {"shared_object_id": 2}}, {"shared_object_id": 1},
    ]  # fmt: skip
