"""Training by latent values, against a plain loop; zeros, wrappers, resuming."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.utils.training.conftest import network
from utils.training import fit
from utils.training.latent import LatentOptimizer, Quantized, Unquantized
from utils.training.wrapped_optimizer import with_loss_scale
from utils.training.zeros import MaskedOptimizer


class Steps:
    """Rounds to multiples of a learned step, whose gradient is the sum of the latent's."""

    def __init__(self, step: float = 0.25) -> None:
        self.parameters: Mapping[str, np.ndarray] = {"step": np.full(1, step, np.float32)}

    def quantize(self, latent: Any, parameters: Mapping[str, Any]) -> Any:
        return parameters["step"] * keras.ops.round(latent / parameters["step"])

    def gradients(self, gradient: Any, latent: Any, parameters: Mapping[str, Any]) -> Any:
        return gradient, {"step": keras.ops.reshape(keras.ops.sum(gradient) * 1e-2, [1])}

    def settled(self, latent: Any, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"step": keras.ops.maximum(parameters["step"], 0.1)}


_VALUES = np.float32([[0.3, -0.6, 0.0], [0.9, 0.1, -0.2]])
_GRADIENTS = np.random.default_rng(0).normal(size=(6, 2, 3)).astype(np.float32)


def _variable() -> keras.Variable:
    return keras.Variable(_VALUES, name="kernel")


def _train(optimizer: Any, variable: keras.Variable, num_steps: int = 6) -> None:
    other = keras.Variable(np.zeros(2, np.float32), name="bias")
    optimizer.build([other, variable])
    for gradient in _GRADIENTS[:num_steps]:
        optimizer.apply([np.ones(2, np.float32), gradient], [other, variable])


def test_training_is_that_of_a_plain_loop() -> None:
    variable = _variable()
    optimizer = LatentOptimizer(
        keras.optimizers.SGD(0.1, momentum=0.5), [Quantized(variable, Steps())]
    )
    _train(optimizer, variable)
    latent, step = _VALUES.copy(), 0.25
    speeds = [np.zeros_like(latent), 0.0]
    for gradient in _GRADIENTS:
        speeds[0] = 0.5 * speeds[0] - 0.1 * gradient
        speeds[1] = 0.5 * speeds[1] - 0.1 * gradient.sum() * 1e-2
        latent, step = latent + speeds[0], max(step + speeds[1], 0.1)
    np.testing.assert_allclose(variable, step * np.round(latent / step), atol=1e-5)
    np.testing.assert_allclose(optimizer.parameters["kernel"]["step"], [step], rtol=1e-5)


def test_variables_are_quantized_before_the_first_step() -> None:
    variable = _variable()
    optimizer = LatentOptimizer(
        keras.optimizers.SGD(0.1), [Quantized(variable, Steps(), latent=_VALUES + 0.5)]
    )
    optimizer.build([variable])
    np.testing.assert_array_equal(variable, 0.25 * np.round((_VALUES + 0.5) / 0.25))


def test_weight_decay_leaves_parameters_alone() -> None:
    variable = _variable()
    optimizer = LatentOptimizer(
        keras.optimizers.SGD(0.1, weight_decay=0.5), [Quantized(variable, Steps())]
    )
    optimizer.build([variable])
    optimizer.apply([np.zeros((2, 3), np.float32)], [variable])
    assert float(optimizer.parameters["kernel"]["step"][0]) == 0.25
    np.testing.assert_array_equal(variable, 0.25 * np.round(0.95 * _VALUES / 0.25))


@pytest.mark.parametrize("by_name", [True, False])
def test_what_was_excluded_from_weight_decay_stays_so(by_name: bool) -> None:
    variable, bias = _variable(), keras.Variable(np.ones(2, np.float32), name="bias")
    inner = keras.optimizers.SGD(0.1, weight_decay=0.5)
    if by_name:
        inner.exclude_from_weight_decay(var_names=["bias"])
    else:
        inner.exclude_from_weight_decay(var_list=[bias])
    optimizer = LatentOptimizer(inner, [Quantized(variable, Steps())])
    optimizer.build([variable, bias])
    optimizer.apply([np.zeros((2, 3), np.float32), np.zeros(2, np.float32)], [variable, bias])
    np.testing.assert_array_equal(bias, [1.0, 1.0])
    np.testing.assert_array_equal(variable, 0.25 * np.round(0.95 * _VALUES / 0.25))
    assert float(optimizer.parameters["kernel"]["step"][0]) == 0.25


def test_absent_weights_stay_zero_and_rounded_ones_come_back() -> None:
    variable = _variable()
    absent = np.array([[False, True, False], [False, False, False]])
    optimizer = LatentOptimizer(
        keras.optimizers.SGD(0.1), [Quantized(variable, Steps(), absent=absent)]
    )
    optimizer.build([variable])
    assert np.asarray(variable)[0, 1] == 0
    assert np.asarray(variable)[1, 1] == 0  # 0.1 rounds to zero
    for _ in range(3):
        optimizer.apply([-np.ones((2, 3), np.float32)], [variable])
    assert np.asarray(variable)[0, 1] == 0
    assert np.asarray(variable)[1, 1] > 0


def test_zeros_of_an_unquantized_variable_stay() -> None:
    variable = _variable()
    optimizer = LatentOptimizer(
        keras.optimizers.SGD(0.1), [Quantized(variable, Unquantized(), absent=_VALUES == 0)]
    )
    optimizer.build([variable])
    optimizer.apply([np.ones((2, 3), np.float32)], [variable])
    np.testing.assert_allclose(variable, np.where(_VALUES == 0, 0, _VALUES - 0.1), atol=1e-6)


@pytest.mark.parametrize("order", ["around", "inside"])
def test_nests_with_masks(order: str) -> None:
    variable = _variable()
    quantized = [Quantized(variable, Steps())]
    inner = keras.optimizers.SGD(0.1)
    if order == "around":
        optimizer: Any = MaskedOptimizer(LatentOptimizer(inner, quantized), [1])
    else:
        optimizer = LatentOptimizer(MaskedOptimizer(inner, [1]), quantized)
    _train(optimizer, variable)
    zeros = np.asarray(variable) == 0
    assert zeros[0, 2]
    steps = np.asarray(variable) / float(np.asarray(
        (optimizer.inner_optimizer if order == "around" else optimizer).parameters["kernel"]["step"]
    )[0])  # fmt: skip
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-4)


def test_a_scaled_loss_gives_the_same() -> None:
    plain, scaled = _variable(), _variable()
    _train(LatentOptimizer(keras.optimizers.SGD(0.1), [Quantized(plain, Steps())]), plain)
    keras.config.set_dtype_policy("mixed_float16")
    try:
        optimizer = with_loss_scale(
            LatentOptimizer(keras.optimizers.SGD(0.1), [Quantized(scaled, Steps())])
        )
    finally:
        keras.config.set_dtype_policy("float32")
    optimizer.build([scaled])
    for gradient in _GRADIENTS:
        optimizer.apply([gradient * float(optimizer.dynamic_scale)], [scaled])
    np.testing.assert_allclose(scaled, plain, atol=1e-4)


def test_a_stopped_fit_goes_on_to_the_same_bits(make_job: Any) -> None:
    def run(folder: str, steps: tuple[int, ...]) -> list[np.ndarray]:
        for num_steps in steps:
            model = network(3)
            kernel = model.get_layer("dense").kernel
            optimizer = LatentOptimizer(
                keras.optimizers.SGD(0.05, momentum=0.9), [Quantized(kernel, Steps())]
            )
            job = make_job(optimizer=optimizer, num_steps=num_steps, keep_zeros=False)
            path = job.state_path.with_name(f"{folder}.keras")
            fit(model, dataclasses.replace(job, state_path=path))
        return [np.asarray(variable) for variable in model.variables]

    for one, other in zip(run("whole", (6,)), run("stopped", (3, 6)), strict=True):
        np.testing.assert_array_equal(one, other)


def test_another_variable_is_refused() -> None:
    optimizer = LatentOptimizer(keras.optimizers.SGD(0.1), [Quantized(_variable(), Steps())])
    with pytest.raises(ValueError, match="not among the trained variables"):
        optimizer.build([_variable()])


def test_traced_steps_are_the_same() -> None:
    eager, traced = _variable(), _variable()
    _train(LatentOptimizer(keras.optimizers.SGD(0.1), [Quantized(eager, Steps())]), eager)
    optimizer = LatentOptimizer(keras.optimizers.SGD(0.1), [Quantized(traced, Steps())])
    optimizer.build([traced])
    step = tf.function(lambda gradient: optimizer.apply([gradient], [traced]))
    for gradient in _GRADIENTS:
        step(gradient)
    np.testing.assert_allclose(traced, eager, atol=1e-6)
