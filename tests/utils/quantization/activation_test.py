"""The layer that quantizes activations: values, gradients, files, the graph's row."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from utils.graph import from_keras, ops, to_keras
from utils.quantization.activation import ActivationQuantizer
from utils.training.latent import LatentOptimizer


def _layer(**settings: object) -> ActivationQuantizer:
    layer = ActivationQuantizer(**settings)  # type: ignore[arg-type]
    layer.build((None, 4))
    layer.scale.assign(0.5)
    return layer


def test_rounds_and_clips() -> None:
    layer = _layer(bits=2)
    np.testing.assert_array_equal(layer(np.float32([[-1, 0.3, 0.8, 9]])), [[0, 0.5, 1.0, 1.5]])
    signed = _layer(bits=2, zero_point=2)
    np.testing.assert_array_equal(signed(np.float32([[-9, -0.6, 0.2, 9]])), [[-1, -0.5, 0, 0.5]])


def test_values_are_points_of_the_grid_to_the_last_bit() -> None:
    layer, rng = _layer(bits=2, zero_point=1), np.random.default_rng(0)
    values = rng.normal(size=(20, 4)).astype(np.float32)
    for scale in rng.uniform(0.05, 0.5, 60).astype(np.float32):
        layer.scale.assign(scale)
        steps = np.clip(np.round(values / scale), -1, 2)
        np.testing.assert_array_equal(layer(values), scale * steps)


def test_gradients() -> None:
    layer = _layer(bits=2)
    values = tf.constant([[-1.0, 0.3, 0.8, 9.0]])
    counts = tf.constant([[1.0, 2.0, 3.0, 4.0]])
    with tf.GradientTape() as tape:
        tape.watch(values)
        total = tf.reduce_sum(layer(values) * counts)
    by_value, by_scale = tape.gradient(total, [values, layer.scale.value])
    np.testing.assert_array_equal(by_value, [[0.0, 2.0, 3.0, 0.0]])
    wanted = 2.0 * (1 - 0.6) + 3.0 * (2 - 1.6) + 4.0 * 3
    assert float(by_scale) == pytest.approx(wanted / np.sqrt(4 * 3), rel=1e-5)


def test_an_observed_range_is_not_trained() -> None:
    assert _layer(learned=False).trainable_variables == []


@pytest.mark.parametrize("wrapped", [False, True])
def test_no_step_makes_a_scale_negative(wrapped: bool) -> None:
    layer, optimizer = _layer(bits=2), keras.optimizers.SGD(1.0)
    if wrapped:
        optimizer = LatentOptimizer(optimizer, [])
    optimizer.apply([keras.ops.convert_to_tensor(9.0)], [layer.scale])
    scale = float(layer.scale.value)
    assert 0 < scale < 1e-6
    assert np.isfinite(layer(np.float32([[-1, 0.3, 0.8, 9]]))).all()


def test_32_bits_let_everything_pass() -> None:
    values = np.float32([[-1, 0.3, 0.8, 9]])
    np.testing.assert_array_equal(_layer(bits=32)(values), values)


def test_a_network_with_it_is_a_graph(tmp_path: object) -> None:
    inputs = keras.Input((4,))
    outputs = keras.layers.Dense(3)(ActivationQuantizer(bits=3, name="q")(inputs))
    model = keras.Model(inputs, outputs)
    model.get_layer("q").scale.assign(0.25)
    graph = from_keras(model)
    assert not ops.why_opaque(graph, graph.node("q"))
    copy = to_keras(graph)
    values = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    np.testing.assert_array_equal(copy(values), model(values))
    path = f"{tmp_path}/model.keras"
    model.save(path)
    np.testing.assert_array_equal(keras.saving.load_model(path)(values), model(values))


def test_refuses_a_zero_point_beyond_the_grid() -> None:
    with pytest.raises(ValueError, match=r"in \[0, 4\) for 2 bits. Received: 4"):
        ActivationQuantizer(bits=2, zero_point=4)
