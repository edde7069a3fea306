"""Ranges that are next to nothing: widened by what their kernel needs, others left."""

import keras
import numpy as np
from keras import layers

from utils.graph import Graph, from_keras
from utils.quantization.integers import IntegerPlan, integer_plan
from utils.quantization.range_floor import LARGEST_MULTIPLIER, LEAST_PART, widened


def _network() -> tuple[Graph, IntegerPlan]:
    inputs = keras.Input((4, 4, 2), name="in")
    dead = layers.ReLU(name="dead")(layers.Conv2D(2, 1, name="conv")(inputs))
    outputs = layers.Softmax(name="soft")(layers.Add(name="sum")([inputs, dead]))
    model = keras.Model(inputs, outputs)
    model.get_layer("conv").kernel.assign(np.full((1, 1, 2, 2), 1.27))
    graph = from_keras(model)
    return graph, integer_plan(graph)


def test_a_dead_relu_and_a_sum_of_it() -> None:
    graph, plan = _network()
    assert [place.refs[0].node for place in plan.activations] == ["in", "dead", "sum", "soft"]
    found = widened(graph, plan, [(0.0, 255.0), (0.0, 0.0), (-1e-9, 0.0), (0.0, 255 / 256)])
    assert found[0] == (0.0, 255.0) and found[3] == (0.0, 255 / 256)
    # step of the input 1, of the weights 0.01
    np.testing.assert_allclose(found[1][1], 255 * 0.01 / LARGEST_MULTIPLIER, rtol=1e-6)
    np.testing.assert_allclose(found[2][1] - found[2][0], 255 * LEAST_PART, rtol=1e-6)


def test_ranges_that_kernels_can_compute_with_stay() -> None:
    graph, plan = _network()
    given = ((0.0, 255.0), (0.0, 0.4), (-0.1, 0.4), (0.0, 255 / 256))
    assert widened(graph, plan, given) == given


def test_a_network_of_zeros_has_ranges() -> None:
    graph, plan = _network()
    found = widened(graph, plan, [(0.0, 0.0)] * 4)
    assert all(high > low for low, high in found)
