import pathlib

import keras
import numpy as np
import pytest

from tools.conversion import quantized_outputs
from utils.errors import InputError


@pytest.mark.parametrize("name", ["net.tflite", "net.pb", "net"])
def test_endings_that_say_what_to_write(tmp_path, name):
    quantized_outputs.check_output(tmp_path / name)
    assert list(tmp_path.iterdir()) == []  # it only looks


def test_other_endings_and_folders_that_are_there_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"must end in \.tflite, \.onnx or \.pb"):
        quantized_outputs.check_output(tmp_path / "net.pkl")
    with pytest.raises(InputError, match=r"exists\. Name a folder that does not"):
        quantized_outputs.check_output(tmp_path)


def test_a_saved_model_gives_the_networks_outputs_in_its_order(tmp_path):
    left, right = keras.Input((4,), name="left"), keras.Input((3,), name="a_right")
    ends = [keras.layers.Dense(count)(left) for count in range(1, 12)]
    model = keras.Model([left, right], [*ends, keras.layers.Dense(2)(right)])
    folder, run = quantized_outputs._saved_model(model, tmp_path / "net")
    assert folder.parent == tmp_path and (folder / "saved_model.pb").is_file()
    x = [np.random.default_rng(n).random((5, n), np.float32) for n in (4, 3)]
    for inputs in (x, {"left": x[0], "a_right": x[1]}):
        for found, wanted in zip(run(inputs), model(x), strict=True):
            np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_a_saved_model_that_does_more_than_compute_is_not_run(tmp_path, monkeypatch):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    monkeypatch.setattr(
        "utils.frontends.tensorflow.harmless._keeps_state", lambda op: op == "MatMul"
    )
    with pytest.raises(InputError, match="also holds MatMul"):
        quantized_outputs._saved_model(model, tmp_path / "net")
    assert list(tmp_path.iterdir()) == []


def test_files_and_folders_are_put_in_their_place(tmp_path):
    assert quantized_outputs.put(b"abc", tmp_path / "net.pb") == 3
    assert (tmp_path / "net.pb").read_bytes() == b"abc"
    made = tmp_path / ".made"
    (made / "variables").mkdir(parents=True)
    (made / "saved_model.pb").write_bytes(b"12345")
    (made / "variables" / "data").write_bytes(b"67")
    assert quantized_outputs.put(made, tmp_path / "net") == 7
    assert not made.exists()
    assert (tmp_path / "net" / "variables" / "data").read_bytes() == b"67"


def test_what_was_not_put_in_its_place_is_removed(tmp_path):
    made = tmp_path / ".made"
    made.mkdir()
    quantized_outputs.discard(made)
    assert not made.exists()
    quantized_outputs.discard(b"bytes are nothing to remove")
    assert list(pathlib.Path(tmp_path).iterdir()) == []
