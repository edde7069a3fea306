"""Arrays and networks are read and written; what they may not hold is refused."""

import os
import pathlib
from typing import Any

import numpy as np
import pytest

from utils import own_objects
from utils.errors import InputError
from utils.files import (
    holds_network,
    load_keras_model,
    load_npz,
    save_keras_model,
    save_npz,
)

FACTOR = 2.0


def test_npz_round_trip(tmp_path: pathlib.Path) -> None:
    arrays = {
        "conv/kernel": np.arange(6.0).reshape(2, 3),
        "scalar": np.float32(2),
        "none": np.zeros(0),
    }
    save_npz(arrays, tmp_path / "weights.npz")
    loaded = load_npz(tmp_path / "weights.npz")
    assert list(loaded) == list(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(loaded[name], array)
        assert loaded[name].dtype == array.dtype


def test_keras_round_trip(tmp_path: pathlib.Path) -> None:
    import keras

    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    save_keras_model(model, tmp_path / "model.keras")
    loaded = load_keras_model(tmp_path / "model.keras")
    x = np.ones((1, 3), "float32")
    np.testing.assert_array_equal(model(x), loaded(x))
    assert os.listdir(tmp_path) == ["model.keras"]


def test_save_keras_model_refuses_another_ending(tmp_path: pathlib.Path) -> None:
    with pytest.raises(InputError, match=r"saved as \.keras files\. Received: 'model\.h5'"):
        save_keras_model(None, "model.h5")


def test_load_keras_model_refuses_python_code_unless_allowed(tmp_path: pathlib.Path) -> None:
    import keras

    model = keras.Sequential([keras.Input((3,)), keras.layers.Lambda(lambda x: 2 * x)])
    model.save(tmp_path / "model.keras")
    with pytest.raises(InputError, match=r"Lambda layer.*--allow_unsafe.*keras\.ops"):
        load_keras_model(tmp_path / "model.keras")
    assert load_keras_model(tmp_path / "model.keras", allow_unsafe=True)(np.ones((1, 3)))[0, 0] == 2


def test_load_keras_model_says_what_a_lambda_lacks(tmp_path: pathlib.Path) -> None:
    import keras

    path = tmp_path / "model.keras"
    layer = keras.layers.Lambda(lambda x: FACTOR * x)
    keras.Sequential([keras.Input((3,)), layer]).save(path)
    with pytest.raises(InputError, match=r"its Lambda layer does not run: a file lacks what .* us"):
        load_keras_model(path, allow_unsafe=True)
    own_objects.remember_lambdas(layer, layer.get_config())  # as when a network is read
    assert load_keras_model(path, allow_unsafe=True)(np.ones((1, 3)))[0, 0] == 2


def test_load_keras_model_knows_the_classes_of_this_process(tmp_path: pathlib.Path) -> None:
    import keras

    class OfThisProcess(keras.layers.Layer):
        def call(self, inputs: Any) -> Any:
            return 2 * inputs

    model = keras.Sequential([keras.Input((3,)), OfThisProcess()])
    model.save(tmp_path / "model.keras")
    with pytest.raises(InputError, match=r"class 'OfThisProcess' is unknown"):
        load_keras_model(tmp_path / "model.keras")
    own_objects.remember_model(model)
    assert load_keras_model(tmp_path / "model.keras")(np.ones((1, 3)))[0, 0] == 2


def test_load_keras_model_gives_names_that_can_be_traced(tmp_path: pathlib.Path) -> None:
    import keras

    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="größte Schicht")])
    model.save(tmp_path / "model.keras")
    loaded = load_keras_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.predict(np.ones((1, 3))), model(np.ones((1, 3))))


def test_load_keras_model_reads_h5_by_content(tmp_path: pathlib.Path) -> None:
    """HDF5 under either name; what `.h5` says and does not hold is refused."""
    import keras

    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.save(tmp_path / "model.h5")
    os.rename(tmp_path / "model.h5", tmp_path / "named.keras")
    model.save(tmp_path / "model.h5")
    for name in ("model.h5", "named.keras"):
        loaded = load_keras_model(tmp_path / name)
        np.testing.assert_array_equal(loaded(np.ones((1, 3))), model(np.ones((1, 3))))
        assert holds_network(tmp_path / name)
    model.save_weights(tmp_path / "alone.weights.h5")
    assert not holds_network(tmp_path / "alone.weights.h5") and not holds_network("a.npz")
    assert holds_network("a.fpq")
    (tmp_path / "other.h5").write_bytes(b"text")
    with pytest.raises(InputError, match=r"other.h5: is not an .h5 file \(HDF5\)"):
        load_keras_model(tmp_path / "other.h5")
    with pytest.raises(InputError, match=r"gone.h5: no such file"):
        load_keras_model(tmp_path / "gone.h5")


def test_load_keras_model_names_the_next_step_for_an_own_class(tmp_path: pathlib.Path) -> None:
    import keras

    class Own(keras.layers.Layer):
        def call(self, inputs: object) -> object:
            return inputs

    model = keras.Sequential([keras.Input((3,)), Own()])
    model.save(tmp_path / "model.keras")
    with pytest.raises(InputError, match=r"class 'Own' is unknown.*register_keras_serializable"):
        load_keras_model(tmp_path / "model.keras")
