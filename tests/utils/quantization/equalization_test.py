"""Equalization: the same outputs, ranges that fit one grid."""

import keras
import numpy as np
import pytest

from utils.graph import Graph, from_keras, to_keras
from utils.graph.integer_form import inference_form, integer_form
from utils.quantization.equalization import Pair, equalize, equalizing_scales, pairs, unbounded


def _graph(activation: str = "relu", spread: float = 100.0) -> Graph:
    keras.utils.set_random_seed(0)
    layers = keras.layers
    inputs = keras.Input((6, 6, 3))
    x = layers.Conv2D(4, 1, activation=activation, name="wide")(inputs)
    x = layers.DepthwiseConv2D(3, padding="same", activation=activation, name="depth")(x)
    x = layers.Conv2D(5, 1, name="narrow")(x)
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, layers.Dense(2, name="out")(x))
    rng = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(rng.normal(size=weight.shape))
    depth = model.get_layer("depth")
    factors = np.geomspace(1.0, spread, 4)[:, None]
    depth.set_weights([depth.get_weights()[0] * factors, depth.get_weights()[1] * factors[:, 0]])
    return inference_form(integer_form(from_keras(model)))[0]


def test_outputs_stay_and_ranges_become_equal() -> None:
    graph = _graph()
    assert pairs(graph) == [Pair("wide", "depth"), Pair("depth", "narrow")]
    equalized = equalize(graph)
    inputs = np.random.default_rng(1).normal(size=(8, 6, 6, 3)).astype(np.float32)
    before, after = (np.asarray(to_keras(each)(inputs)) for each in (graph, equalized))
    np.testing.assert_allclose(after, before, atol=1e-5 * np.abs(before).max())

    def ranges(found: Graph) -> tuple[np.ndarray, np.ndarray]:
        """What makes, and what reads, the channels between `depth` and `narrow`."""
        made, read = (np.abs(found.params[name]["kernel"]) for name in ("depth", "narrow"))
        return made.max(axis=(0, 1)).ravel(), read.max(axis=(0, 1, 3))

    made, read = ranges(graph)
    assert np.max(made / read) / np.min(made / read) > 30
    made, read = ranges(equalized)
    np.testing.assert_allclose(made, read, rtol=5e-3)


@pytest.mark.parametrize("activation", ["relu6", "tanh"])
def test_activations_that_do_not_scale_make_no_pair(activation: str) -> None:
    graph = _graph(activation)
    assert not pairs(graph)
    relaxed = pairs(unbounded(graph))
    assert bool(relaxed) == (activation == "relu6")


def test_scales_meet_in_the_middle() -> None:
    rng = np.random.default_rng(0)
    first, second = np.exp(rng.normal(size=(2, 9)))
    scales = equalizing_scales(first, second)
    np.testing.assert_allclose(first / scales, second * scales)


def test_a_nearly_dead_channel_keeps_its_bias() -> None:
    first, second = np.array([1e-6, 1.0, 2.0, 4.0]), np.full(4, 0.5)
    bias = np.array([0.5, 0.1, -0.2, 0.4])
    unbounded_scales = equalizing_scales(first, second)
    assert abs(bias[0] / unbounded_scales[0]) > 300
    scales = equalizing_scales(first, second, bias)
    np.testing.assert_array_equal(scales[1:], unbounded_scales[1:])
    assert abs(bias / scales).max() <= abs(bias).max() / np.median(unbounded_scales)


def test_a_common_factor_is_not_held_back() -> None:
    first, second = np.array([1.0, 2.0, 4.0]), np.array([100.0, 200.0, 400.0])
    np.testing.assert_allclose(equalizing_scales(first, second, np.array([0.5, 9.0, 1.0])), 0.1)


def test_the_range_of_a_tensor_is_not_spoiled_by_a_dead_channel() -> None:
    graph = _graph(spread=1.0)
    params = {layer: {**arrays} for layer, arrays in graph.params.items()}
    kernel = params["wide"]["kernel"].copy()
    kernel[..., 0] *= 1e-6
    params["wide"] = {"kernel": kernel, "bias": np.full(4, 0.5, np.float32)}
    inputs = np.random.default_rng(1).normal(size=(8, 6, 6, 3)).astype(np.float32)
    outputs = []
    for found in (graph.replace(params=params), equalize(graph.replace(params=params))):
        biases = found.params["wide"]["bias"]
        assert np.abs(biases).max() < 5.0
        outputs.append(np.asarray(to_keras(found)(inputs)))
    np.testing.assert_allclose(outputs[1], outputs[0], atol=1e-5 * np.abs(outputs[0]).max())
