import keras
import numpy as np
import pytest
from keras import layers

from tests.utils.legacy_keras.old_files import write
from utils.errors import InputError
from utils.hdf5 import open_hdf5
from utils.legacy_keras.weights import assign, pairs_by_name, pairs_by_order, stored_weights


def array(*shape):
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)


def test_names_and_shapes(tmp_path):
    weights = {"a": [], "b/c": [("b/c/depthwise_kernel_1:0", array(3, 3, 2, 1))]}
    path = write(tmp_path / "a.h5", None, weights)
    with open_hdf5(path) as file:
        stored = stored_weights(file, file.root)
        assert list(stored) == ["b/c"]
        assert stored["b/c"][0].kind == "kernel" and stored["b/c"][0].shape == (3, 3, 2, 1)


def test_pairs_by_the_names_of_the_file(tmp_path):
    model = keras.Sequential(
        [keras.Input((2,)), layers.Dense(2, name="b_c"), layers.Dense(2, name="a")]
    )
    weights = {
        "a": [("a/kernel:0", array(2, 2) + 10), ("a/bias:0", array(2) + 10)],
        "b/c": [("b/c/kernel:0", array(2, 2)), ("b/c/bias:0", array(2))],
    }
    with open_hdf5(write(tmp_path / "a.h5", None, weights)) as file:
        stored = stored_weights(file, file.root)
        assign(file, pairs_by_name(model, stored, {"b/c": "b_c"}))
    assert [float(w.ravel()[0]) for w in model.get_weights()] == [0, 0, 10, 10]


def test_weights_of_a_frozen_model_in_either_order(tmp_path):
    """Frozen after the file was written: then its weights are in the plain order."""
    inner = keras.Sequential([keras.Input((2,)), layers.Dense(2, name="x"), layers.Dense(3)])
    model = keras.Sequential([keras.Input((2,)), inner])
    kinds = ["x/kernel:0", "x/bias:0", "y/kernel:0", "y/bias:0"]
    arrays = [array(2, 2), array(2), array(2, 3), array(3)]
    inner.layers[0].trainable = False
    path = write(tmp_path / "a.h5", None, {"s": list(zip(kinds, arrays, strict=True))})
    with open_hdf5(path) as file:
        assign(file, pairs_by_order(model, stored_weights(file, file.root)))
    for weight, expected in zip(model.get_weights(), arrays, strict=True):
        np.testing.assert_array_equal(weight, expected)


def test_scale_and_shift_are_not_confused(tmp_path):
    model = keras.Sequential([keras.Input((2,)), layers.LayerNormalization(name="n")])
    path = write(tmp_path / "a.h5", None, {"n": [("n/beta:0", array(2)), ("n/gamma:0", array(2))]})
    with open_hdf5(path) as file:
        stored = stored_weights(file, file.root)
        with pytest.raises(
            InputError, match=r"network has gamma\[2\], beta\[2\]; the file has bet"
        ):
            pairs_by_order(model, stored)


def test_other_layouts(tmp_path):
    path = write(tmp_path / "a.h5", None, {"n": [("n/names:0", np.array([b"x"]))]})
    with open_hdf5(path) as file, pytest.raises(InputError, match=r"no array of numbers"):
        stored_weights(file, file.root)
    with open_hdf5(path) as file, pytest.raises(InputError, match=r"lacks the list 'layer_names'"):
        stored_weights(file, file.group(file.root, "n"))
