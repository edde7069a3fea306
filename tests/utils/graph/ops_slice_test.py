"""Ops that pick channels: the network that is left computes what the masked one does."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from utils.graph import channel_groups, from_keras, masked_model, shrink, to_keras
from utils.graph.ir import Ref
from utils.graph.ops_slice import take_node

PICKS = {
    "front": lambda x: x[..., :5],
    "every second": lambda x: x[..., ::2],
    "backwards": lambda x: x[..., ::-1],
    "from the end": lambda x: x[..., -3:],
    "gather": lambda x: ops.take(x, [5, 0, 3], axis=-1),
    "split": lambda x: ops.split(x, 2, axis=-1)[1],
    "rows too": lambda x: x[:, 1:, ::2, 2:],
}


@pytest.mark.parametrize("name", PICKS)
@pytest.mark.parametrize("kept", [[1, 1, 0, 1, 1, 0, 1, 1], [1, 0, 1, 1, 0, 1, 0, 1]])
def test_what_is_picked_is_found_again_after_a_cut(name, kept):
    inputs = keras.Input((4, 6, 3))
    made = layers.Conv2D(8, 3, name="made")(inputs)
    model = keras.Model(inputs, layers.Conv2D(2, 1, name="head")(PICKS[name](made)))
    graph = from_keras(model)
    group = next(g for g in channel_groups(graph) if "made" in g.producers)
    keep = {group.name: np.array(kept, bool)[: group.size]}
    images = np.random.default_rng(0).normal(size=(2, 4, 6, 3)).astype(np.float32)
    small = np.asarray(to_keras(shrink(graph, keep))(images))
    masked = np.asarray(masked_model(graph, keep)(images))
    np.testing.assert_allclose(small, masked, atol=1e-5)


def test_a_take_of_ours_is_keras_own():
    inputs = keras.Input((4, 6, 3), name="given")
    graph = from_keras(keras.Model(inputs, layers.Identity()(inputs)))
    node = take_node("pick", Ref("given"), 3, np.array([2, 0]), (None, 4, 6, 3), "float32")
    picked = graph.replace(nodes=(graph.nodes[0], node), output_structure=Ref("pick"))
    images = np.random.default_rng(0).normal(size=(2, 4, 6, 3)).astype(np.float32)
    np.testing.assert_array_equal(to_keras(picked)(images), images[..., [2, 0]])
