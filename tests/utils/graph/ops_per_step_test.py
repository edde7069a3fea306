"""TimeDistributed is the layer inside of it, step by step."""

import keras
import numpy as np
import pytest
from keras import layers

from utils.graph import capability_report, channel_groups, complexity, from_keras, ops, shrink
from utils.graph.keras_io import to_keras
from utils.graph.law import TOLERANCE, law_error, relative_error

KEEP = np.array([True, False, True, True, False, True])


def test_dense_at_every_step_is_a_dense():
    """The same kernel in a plain Dense is cut alike and counted alike."""
    inputs = keras.Input((5, 3))
    middle = layers.Dense(6, activation="relu", name="wide")

    def build(wide):
        x = layers.GRU(4, return_sequences=True, name="gru")(inputs)
        return keras.Model(inputs, layers.Dense(2, name="head")(wide(x)))

    plain = build(middle)
    model = build(layers.TimeDistributed(layers.Dense(6, activation="relu"), name="wide"))
    model.set_weights(plain.get_weights())
    graph, plain_graph = from_keras(model), from_keras(plain)
    keep = {"wide": KEEP, "gru": KEEP[:4]}
    small = shrink(graph, keep)
    batch = np.random.default_rng(0).normal(size=(2, 5, 3)).astype("float32")
    expected = to_keras(shrink(plain_graph, keep))(batch)
    assert relative_error(expected, to_keras(small)(batch)) <= TOLERANCE
    assert complexity(graph).flops == complexity(plain_graph).flops
    assert complexity(small).flops == complexity(shrink(plain_graph, keep)).flops
    assert to_keras(small).get_layer("wide").layer.units == 4


@pytest.mark.parametrize("skip_padding", [False, True])
def test_convolutions_are_counted_at_every_step(skip_padding):
    inner = keras.Input((6, 6, 2))
    once = complexity(
        from_keras(keras.Model(inner, layers.Conv2D(4, 3, padding="same")(inner))), skip_padding
    )
    inputs = keras.Input((3, 6, 6, 2))
    x = layers.TimeDistributed(layers.Conv2D(4, 3, padding="same"))(inputs)
    assert complexity(from_keras(keras.Model(inputs, x)), skip_padding).flops == 3 * once.flops


def test_features_as_time_steps_are_kept():
    inputs = keras.Input((5, 3))
    x = layers.Permute((2, 1))(layers.Dense(6, name="dense")(inputs))
    x = layers.TimeDistributed(layers.Dense(4), name="steps")(x)
    graph = from_keras(keras.Model(inputs, layers.Dense(2)(layers.Flatten()(x))))
    group = next(group for group in channel_groups(graph) if group.name == "dense")
    assert group.reason == "'steps' takes them as time steps"


def test_layer_inside_without_a_row_is_opaque():
    inputs = keras.Input((5, 4, 3))
    block = keras.Sequential([keras.Input((4, 3)), layers.Dense(2)], name="block")
    x = layers.TimeDistributed(block, name="steps")(inputs)
    graph = from_keras(keras.Model(inputs, x))
    assert ops.find(graph, graph.node("steps")) is None
    reasons = {line.layer: line.reason for line in capability_report(graph)}
    assert reasons["steps"] == (
        "the layer inside of it: no row for 'keras.Sequential' in the table of ops"
    )


def test_gather_in_front():
    inputs = keras.Input((5, 3))
    x = layers.Dense(6, name="dense")(inputs)
    y = layers.TimeDistributed(layers.Dense(4), name="steps")(x)
    x = layers.Concatenate()([layers.Flatten()(x), layers.Flatten()(y)])
    graph = from_keras(keras.Model(inputs, layers.Dense(2)(x)))
    batch = np.random.default_rng(0).normal(size=(2, 5, 3)).astype("float32")
    assert shrink(graph, {}, {"steps": KEEP}).params["steps"]["kernel"].shape == (4, 4)
    assert law_error(graph, {}, batch, {"steps": KEEP}) <= TOLERANCE
