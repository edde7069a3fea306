"""Vocabularies that layers learned, through graphs and copies."""

import keras
import numpy as np
import pytest
from keras import layers

from utils.errors import InputError
from utils.graph import copy_network, from_keras, to_keras
from utils.graph.tables import with_tables


def adapted(layer, data):
    layer.adapt(data)
    return layer


def wrapped(layer, dtype="string"):
    inputs = keras.Input((1,), dtype=dtype)
    return keras.Model(inputs, layer(inputs))


WORDS = np.array([["a b b"], ["c b a"], ["a a d"]])


@pytest.mark.parametrize("mode", ["int", "multi_hot", "count", "tf_idf"])
@pytest.mark.parametrize("kind", ["StringLookup", "TextVectorization"])
def test_vocabularies_stay(mode, kind):
    options = {"output_mode": mode}
    if (kind, mode) == ("TextVectorization", "int"):
        options["output_sequence_length"] = 3
    layer = adapted(getattr(layers, kind)(**options), WORDS)
    model = wrapped(layer)
    words = keras.ops.convert_to_tensor([["a b b"], ["z d"], ["c b a"]])
    np.testing.assert_array_equal(copy_network(model)(words), model(words))
    np.testing.assert_array_equal(to_keras(from_keras(model))(words), model(words))


def test_numbers_as_words():
    layer = adapted(layers.IntegerLookup(), np.array([5, 6, 6, 9]))
    model = wrapped(layer, "int64")
    numbers = np.array([[5], [9], [7]])
    np.testing.assert_array_equal(copy_network(model)(numbers), [[3], [2], [0]])
    np.testing.assert_array_equal(model(numbers), [[3], [2], [0]])


def test_a_table_inside_another_layer_is_refused():
    layer = adapted(layers.StringLookup(), np.array(["a", "b"]))

    class Holder(layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.table = layer

        def call(self, x):
            return self.table(x)

        def compute_output_shape(self, shape):
            return shape

    model = wrapped(Holder(name="h"))
    with pytest.raises(InputError, match=r"layer 'h': the StringLookup in it keeps a table"):
        copy_network(model)


def test_what_needs_nothing():
    for layer in (layers.Dense(2), layers.StringLookup(), layers.StringLookup(vocabulary=["a"])):
        config = layer.get_config()
        assert with_tables(layer, config) == config
    given = layers.TimeDistributed(layers.StringLookup(vocabulary=["a"]))
    assert with_tables(given, given.get_config()) == given.get_config()
