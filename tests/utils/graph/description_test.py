import json

import keras
import numpy as np
import pytest
from keras import layers

from utils.errors import InputError
from utils.graph import from_keras, to_keras
from utils.graph.description import describe, parse_json, rebuild


@pytest.fixture(scope="module")
def graph():
    inputs = keras.Input((4,))
    x = layers.Dense(3, name="a")(inputs) * np.float32([1, 2, 3])
    return from_keras(keras.Model(inputs, layers.Dense(2, name="b")(x)))


def test_json_and_arrays_are_all_of_it(graph):
    content, arrays = describe(graph)
    asked = {}

    def fetch(declared):
        asked.update(declared)
        return arrays

    rebuilt = rebuild(parse_json(json.dumps(content)), fetch, where="here")
    assert asked["a/0"] == ((4, 3), np.dtype("float32")) and sorted(asked) == sorted(arrays)
    batch = np.ones((2, 4), np.float32)
    np.testing.assert_array_equal(to_keras(rebuilt)(batch), to_keras(graph)(batch))


def test_arrays_are_held_against_the_description(graph):
    content, arrays = describe(graph)
    with pytest.raises(InputError, match=r"here: holds other arrays than the graph says; .*'b/1'"):
        rebuild(content, lambda _: {k: v for k, v in arrays.items() if k != "b/1"}, where="here")
    with pytest.raises(InputError, match=r"here: array 'b/1' is float32\[1\], the graph says .*2"):
        rebuild(content, lambda _: {**arrays, "b/1": arrays["b/1"][:1]}, where="here")


@pytest.mark.parametrize("text", ["[" * 100_000, "{", '{"a": Infinity}', '{"a": 1, "a": 2}'])
def test_refuses_what_is_no_plain_json(text):
    with pytest.raises(ValueError, match=r"nested|Expect|JSON number|twice"):
        parse_json(text)
