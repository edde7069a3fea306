"""Starting values: on codes, zeros kept, means of outputs met, against numpy."""

import keras
import numpy as np
import pytest

from learners.kernels.layers import kernel_layers
from learners.low_bits.grids import GridCoding
from learners.low_bits.start import Start, nearest_start, walked_start
from learners.reconstruction.sampling import Sampler
from tests.learners import networks
from utils.graph import Graph, from_keras, to_keras
from utils.quantization.groups import Grouping

CODING = GridCoding(lambda axes: Grouping("channel", axes=axes))


def sparse_network() -> Graph:
    inputs = keras.Input((6,))
    x = keras.layers.Dense(8, activation="relu", name="fc1")(inputs)
    model = networks.randomised(keras.Model(inputs, keras.layers.Dense(4, name="fc2")(x)))
    kernel = np.array(model.get_layer("fc1").kernel)
    kernel[::2, ::3] = 0.0
    model.get_layer("fc1").kernel.assign(kernel)
    return from_keras(model)


def samples() -> np.ndarray:
    return networks.images(96, (6,))


@pytest.fixture(scope="module")
def graph() -> Graph:
    return sparse_network()


def begun(graph: Graph, bits: int, *, on_walk: bool) -> Start:
    layers = kernel_layers(graph)
    widths = {layer.name: bits for layer in layers}
    if not on_walk:
        return nearest_start(graph, layers, widths, CODING)
    images = samples()
    sampler = Sampler([images[:48], images[48:]], num_images=96, num_positions=1, seed=0)
    return walked_start(graph, layers, widths, CODING, sampler)


@pytest.mark.parametrize("on_walk", [False, True])
def test_few_values_a_channel_and_zeros_stay(graph: Graph, on_walk: bool) -> None:
    start = begun(graph, 2, on_walk=on_walk)
    for name in ("fc1", "fc2"):
        before, after = (np.asarray(g.params[name]["kernel"]) for g in (graph, start.graph))
        assert max(np.unique(column).size for column in after.T) <= 4
        assert not after[before == 0].any()
        assert not np.array_equal(before, after)


def test_the_error_of_nearest_values_is_that_of_the_weights(graph: Graph) -> None:
    start = begun(graph, 3, on_walk=False)
    for name, error in start.errors.items():
        before, after = (np.asarray(g.params[name]["kernel"], float) for g in (graph, start.graph))
        wanted = np.sum((after - before) ** 2) / np.sum(before**2)
        assert error == pytest.approx(wanted, rel=1e-5)


def test_on_the_walk_means_of_outputs_are_met_and_the_error_is_smaller(graph: Graph) -> None:
    images = samples()
    wanted = np.asarray(to_keras(graph)(images))
    outputs = {
        on_walk: np.asarray(to_keras(begun(graph, 2, on_walk=on_walk).graph)(images))
        for on_walk in (False, True)
    }
    np.testing.assert_allclose(outputs[True].mean(axis=0), wanted.mean(axis=0), atol=1e-4)
    errors = {key: np.sum((found - wanted) ** 2) for key, found in outputs.items()}
    assert errors[True] < 0.7 * errors[False]
