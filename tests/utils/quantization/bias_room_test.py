"""Grids of empty channels: the bias must fit."""

import keras
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from utils.graph import from_keras
from utils.quantization.bias_room import LARGEST_BIAS, input_steps, limit_with_room
from utils.quantization.integers import integer_plan

numbers = st.floats(0.0, 100.0, width=32)


@given(
    st.lists(st.tuples(numbers, numbers), min_size=2, max_size=5),
    st.floats(1e-6, 10.0),
    st.integers(2, 8),
)
def test_every_bias_fits_and_no_grid_gets_finer(
    channels: list[tuple[float, float]], step: float, bits: int
) -> None:
    limit, bias = np.array(channels).T
    found = limit_with_room(limit, bias, step, bits)
    levels = 2 ** (bits - 1) - 1
    assert (found >= limit.astype(np.float32)).all()
    there = bias > 0
    steps = bias[there] / (step * found[there].astype(np.float64) / levels)
    assert (steps <= LARGEST_BIAS).all()
    roomy = limit * step * LARGEST_BIAS >= bias * levels * 1.001
    np.testing.assert_array_equal(found[roomy], limit.astype(np.float32)[roomy])


def test_one_grid_for_all_goes_by_the_largest_bias() -> None:
    found = limit_with_room(np.float32(1e-9), np.array([1.0, -4.0]), 0.01, 8)
    assert found.shape == ()
    np.testing.assert_allclose(found, 4 * 127 / (0.01 * 2**30), rtol=1e-6)


def test_inputs_are_looked_up_through_layers_that_move_values() -> None:
    inputs = keras.Input((4, 4, 2), name="in")
    shared = keras.layers.Conv2D(2, 1, name="shared")
    x = shared(keras.layers.MaxPooling2D(2, name="pool")(inputs))
    outputs = keras.layers.Dense(2, name="dense")(keras.layers.Flatten()(shared(x)))
    graph = from_keras(keras.Model(inputs, outputs))
    plan = integer_plan(graph)
    assert [place.name for place in plan.activations] == [
        *("in_range", "shared_range", "shared.1_range", "dense_range")
    ]
    assert input_steps(graph, plan, [3.0, 2.0, 1.0, 0.5]) == {"shared": 2.0, "dense": 1.0}
