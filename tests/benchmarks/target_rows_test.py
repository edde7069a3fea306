import keras
import numpy as np
import pytest

from benchmarks import target_rows
from learners.channel_pruning_rmt.config import ChannelPrunedRmtConfig
from learners.channels.cost import NetworkCost
from learners.channels.groups import prunable_groups
from utils.graph import from_keras

pytest.importorskip("ethosu")


def test_a_candidate_is_cut_and_compiled():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(16, 3, activation="relu", name="one")(inputs)
    x = keras.layers.Conv2D(16, 3, activation="relu", name="two")(x)
    model = keras.Model(inputs, keras.layers.Dense(4)(keras.layers.Flatten()(x)))
    graph = from_keras(model)
    groups = prunable_groups(graph, ChannelPrunedRmtConfig())
    cost = NetworkCost(graph, groups)
    sizes = np.array([group.size for group in groups])
    whole, half = (target_rows._compiled(cost, values) for values in (sizes, sizes // 2))
    assert half["flops"] < 0.6 * whole["flops"]
    assert half["cycles"] < whole["cycles"]
    assert whole["on_cpu"] == half["on_cpu"] == 0
