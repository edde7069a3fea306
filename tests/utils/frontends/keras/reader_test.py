"""Keras files as a front end: the network is the file's own."""

import keras
import numpy as np
import pytest

from utils.errors import InputError
from utils.frontends.keras.reader import convert


def test_a_file_is_its_network(tmp_path):
    inputs = keras.Input((4,), name="x")
    hidden = keras.layers.Dense(3, name="hidden")(inputs)
    model = keras.Model(inputs, [hidden, keras.layers.Dense(2, name="head")(hidden)])
    for name in ("net.keras", "net.h5"):
        model.save(tmp_path / name)
        converted = convert(str(tmp_path / name))
        assert converted.input_orders == {"x": (0, 1)}
        assert list(converted.output_orders) == ["hidden", "head"]
        x = np.ones((2, 4), np.float32)
        np.testing.assert_array_equal(converted.model(x)[1], model(x)[1])


def test_refusals(tmp_path):
    with pytest.raises(InputError, match=r"there is no file 'gone.keras'"):
        convert("gone.keras")
    with pytest.raises(InputError, match="a Keras file says it"):
        convert("net.keras", input_shape=(1, 4))
