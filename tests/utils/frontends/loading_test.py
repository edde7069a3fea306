"""A network of any framework as a Keras model."""

import keras
import numpy as np
import pytest

from tests.utils.frontends.tflite.tiny import sparse_product
from utils.errors import InputError
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
