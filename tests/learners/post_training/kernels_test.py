"""Kernels on their grids."""

import keras
import numpy as np
import pytest

from learners.post_training.config import PostTrainingConfig
from learners.post_training.recipe import PostTrained, quantize
from utils.graph import Graph, from_keras, to_keras

_IMAGES = np.random.default_rng(0).normal(size=(64, 8, 8, 3)).astype(np.float32)


def _graph() -> Graph:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3), name="image")
    x = keras.layers.Conv2D(8, 3, activation="relu", name="first")(inputs)
    x = keras.layers.DepthwiseConv2D(3, activation="relu", name="depth")(x)
    x = keras.layers.Conv2D(8, 1, activation="relu", name="second")(x)
    x = keras.layers.GlobalAveragePooling2D(name="mean")(x)
    return from_keras(keras.Model(inputs, keras.layers.Dense(5, name="out")(x)))


def _error(graph: Graph, **settings: object) -> float:
    trained = quantize(graph, PostTrainingConfig(**settings), [_IMAGES])  # type: ignore[arg-type]
    _check_grids(trained)
    outputs = [to_keras(each)(_IMAGES) for each in (trained.simulated(), trained.before)]
    return float(np.linalg.norm(np.asarray(outputs[0]) - np.asarray(outputs[1])))


def _check_grids(trained: PostTrained) -> None:
    """Every weight of the network is the one that its integers stand for."""
    assert len(trained.weights) == 4
    for (layer, weight), tensor in trained.weights.items():
        np.testing.assert_array_equal(trained.graph.params[layer][weight], tensor.dequantized())
        assert tensor.indices.min() >= 1  # the lowest step is left out


def test_finer_rounding_is_not_worse() -> None:
    graph, settings = _graph(), {"weight_bits": 3, "calibration": "minmax"}
    errors = {
        each: _error(graph, rounding=each, **settings) for each in ("nearest", "adaround", "obq")
    }
    assert errors["obq"] < 0.8 * errors["nearest"]
    assert errors["adaround"] < errors["nearest"]
    uncorrected = _error(graph, bias_correction=False, **settings)
    assert errors["nearest"] < uncorrected


@pytest.mark.parametrize("rounding", ["mse", "adaround", "obq"])
def test_grids_are_those_of_the_least_squared_error(rounding: str) -> None:
    """All but `nearest` cut a far weight off where the others gain, of a depthwise kernel too."""
    graph = _graph()
    params = {layer: {**arrays} for layer, arrays in graph.params.items()}
    for layer in ("second", "depth"):
        params[layer]["kernel"] = params[layer]["kernel"].copy()
        params[layer]["kernel"].flat[0] *= 20.0
    graph, settings = graph.replace(params=params), {"weight_bits": 4, "weight_quan": "perlayer"}
    for name, is_clipped in (("nearest", False), (rounding, True)):
        config = PostTrainingConfig(rounding=name, **settings)  # type: ignore[arg-type]
        trained = quantize(graph, config, [_IMAGES])
        for layer in ("second", "depth"):
            (step,) = trained.weights[layer, "kernel"].scale
            reach = float(step) * 7 / np.abs(graph.params[layer]["kernel"]).max()
            assert (reach < 0.99) == is_clipped


@pytest.mark.parametrize("rounding", ["nearest", "mse", "adaround", "obq"])
def test_biases_are_corrected_where_it_is_asked_for(rounding: str) -> None:
    """Depthwise layers cannot be sampled; their biases are corrected all the same."""
    graph = _graph()
    for is_corrected in (False, True):
        config = PostTrainingConfig(rounding=rounding, weight_bits=3, bias_correction=is_corrected)
        trained = quantize(graph, config, [_IMAGES])
        for layer in ("first", "depth", "second", "out"):
            before, after = (each.params[layer]["bias"] for each in (graph, trained.graph))
            assert np.array_equal(before, after) != is_corrected
