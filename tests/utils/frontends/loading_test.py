"""A network of any framework as a Keras model."""

import keras
import numpy as np
import pytest

from tests.utils.frontends.tflite.tiny import sparse_product
from utils.errors import InputError
from utils.frontends import running
from utils.frontends.loading import load_network


def test_whatever_wrote_it(tmp_path):
    weights = np.eye(3, 4, dtype=np.float16)
    (tmp_path / "net.tflite").write_bytes(sparse_product(weights))
    model, notes = load_network(str(tmp_path / "net.tflite"))
    assert model.output_shape == (None, 3) and notes == ()
    model.save(tmp_path / "net.keras")
    again, _ = load_network(str(tmp_path / "net.keras"))
    x = np.arange(4, dtype=np.float32)[None]
    np.testing.assert_array_equal(again(x), model(x))
    assert isinstance(again, keras.Model)


@pytest.fixture
def net(tmp_path):
    (tmp_path / "net.tflite").write_bytes(sparse_product(np.eye(3, 4, dtype=np.float16)))
    return str(tmp_path / "net.tflite")


def test_a_network_that_computes_something_else_is_refused(net, monkeypatch):
    def tflite(path, **_):
        run = running.tflite(path)
        return lambda inputs: {name: 1.001 * array for name, array in run(inputs).items()}

    monkeypatch.setattr(running, "RUNS", {"tflite": (tflite, "ai_edge_litert")})
    with pytest.raises(InputError, match=r"net\.tflite: .* is 9\.99e-04 away from tflite"):
        load_network(net)


def test_what_cannot_be_compared_is_said(net, monkeypatch):
    def fail(path, **_):
        raise RuntimeError("no such operator.\nIt was built without.")

    def nothing(path, **_):
        return lambda inputs: {"y": np.full((1, 3), np.nan)}

    for runs, words in (
        ({}, "was not compared: tflite networks cannot be run here."),
        ({"tflite": (fail, "no_such_package")}, "tflite networks cannot be run here."),
        ({"tflite": (fail, "ai_edge_litert")}, "compared with tflite: no such operator."),
        ({"tflite": (nothing, "ai_edge_litert")}, "tflite: the output 'y' of tflite holds no"),
    ):
        monkeypatch.setattr(running, "RUNS", runs)
        model, (note,) = load_network(net)
        assert words in note and model.output_shape == (None, 3)


@pytest.mark.parametrize(
    ("path", "options", "words"),
    [
        ("net.txt", {}, "`model` must end in .keras"),
        ("gone.tflite", {}, "`model`: there is no file 'gone.tflite'"),
        ("gone.py:make", {}, "there is no file 'gone.py'"),
        ("net.keras", {"weights": "w.pth"}, "`weights` does not apply to keras"),
        ("net.keras", {"input_shape": "1,4"}, "a Keras file says it"),
    ],
)
def test_refusals(path, options, words):
    with pytest.raises(InputError, match=words):
        load_network(path, **options)
