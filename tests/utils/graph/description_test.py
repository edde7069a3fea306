import json

import keras
import numpy as np
import pytest
from keras import layers

from utils.errors import InputError
from utils.graph import from_keras, to_keras
from utils.graph.description import describe, rebuild
from utils.json_reader import _unique, parse_json


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


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "{", '{"a": Infinity}', '{"a": 1, "a": 2}', "[1e999]"]
)
def test_refuses_what_is_no_plain_json(text):
    with pytest.raises(ValueError, match=r"nested|Expect|JSON number|twice|too large"):
        parse_json(text)


class Name(str):
    """A text that counts how often it is compared."""

    compared = 0

    def __eq__(self, other):
        Name.compared += 1
        return str.__eq__(self, other)

    __hash__ = str.__hash__


def test_a_name_that_is_twice_among_many_is_found_at_once():
    pairs = [(Name(number), 0) for number in range(2000)]
    with pytest.raises(ValueError, match=r"the name '1999' twice"):
        _unique([*pairs, (Name(1999), 0)])
    assert Name.compared < 20_000  # each with each would be two million
