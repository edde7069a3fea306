"""The Functional model inside whatever the user has, or a sentence that says what is missing."""

import keras
import numpy as np
import pytest
from keras import layers

from utils.errors import InputError
from utils.graph.keras_reading import check_safe, first_line, functional_model

IMAGES = np.random.default_rng(0).normal(size=(2, 6)).astype(np.float32)


class Subclassed(keras.Model):
    def __init__(self, twice=True):
        super().__init__(name="subclassed")
        self.first, self.second = layers.Dense(4), layers.Dense(3)
        self.twice = twice

    def call(self, inputs):
        if not self.twice:
            raise RuntimeError("only twice\nand a stack")
        return self.second(keras.ops.relu(self.first(inputs)))


def test_a_functional_model_is_its_own():
    inputs = keras.Input((6,))
    model = keras.Model(inputs, layers.Dense(3)(inputs))
    assert functional_model(model) is model


def test_a_sequential_model_has_one_inside():
    model = keras.Sequential([keras.Input((6,)), layers.Dense(3)])
    np.testing.assert_array_equal(functional_model(model)(IMAGES), model(IMAGES))


def test_a_subclassed_model_is_traced():
    model = Subclassed()
    wanted = model(IMAGES)
    traced = functional_model(model)
    np.testing.assert_array_equal(traced(IMAGES), wanted)
    assert [layer.name for layer in traced.layers if layer.weights] == [
        model.first.name,
        model.second.name,
    ]


def test_what_is_missing_is_said():
    with pytest.raises(InputError, match=r"expected a keras\.Model\. Received: builtins\.int"):
        functional_model(3)
    with pytest.raises(InputError, match=r"is not built: its input shape is unknown"):
        functional_model(keras.Sequential([layers.Dense(3)]))
    with pytest.raises(InputError, match=r"'subclassed' \(Subclassed\) has not been called yet"):
        functional_model(Subclassed())
    model = Subclassed()
    model(IMAGES)
    model.twice = False
    with pytest.raises(InputError, match=r"cannot be traced: only twice Use Keras layers"):
        functional_model(model)


def test_code_of_unknown_origin():
    check_safe("keras.layers.Dense", "fc", allow_unsafe=False)
    check_safe("keras.layers.Lambda", "mine", allow_unsafe=True)
    with pytest.raises(InputError, match=r"layer 'mine' is a Lambda: it runs Python code"):
        check_safe("keras.layers.Lambda", "mine", allow_unsafe=False)


def test_first_line():
    assert first_line(ValueError("\nwhat happened\nwhere")) == "what happened"
    assert first_line(ValueError()) == "no message"
