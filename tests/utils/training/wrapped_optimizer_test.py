"""Optimizers around others: Keras sees one optimizer, the inner one makes the steps."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
import pytest

from tests.utils.training.conftest import network, optimizer
from utils.training import LossComposer, fit, read_state
from utils.training.wrapped_optimizer import (
    WrappedOptimizer,
    layers_of,
    optimizer_name,
    with_loss_scale,
)


@keras.saving.register_keras_serializable(package="tests")
class Counting(WrappedOptimizer):
    """Doubles the gradients and counts the entries that were trained, in a variable."""

    def build_own(self, variables: Sequence[keras.Variable]) -> None:
        self.count = self.add_variable((), dtype="float32", name="count")

    def before_step(self, gradients: list[Any], variables: Sequence[keras.Variable]) -> list[Any]:
        return [None if gradient is None else 2 * gradient for gradient in gradients]

    def after_step(self, variables: Sequence[keras.Variable]) -> None:
        self.count.assign_add(float(sum(np.prod(variable.shape) for variable in variables)))


@pytest.fixture(name="float16")
def _float16() -> Iterator[None]:
    keras.config.set_dtype_policy("mixed_float16")
    yield
    keras.config.set_dtype_policy("float32")


def test_a_step_is_the_inner_one() -> None:
    variables = [keras.Variable([1.0, 2.0]), keras.Variable([[3.0]])]
    plain = [keras.Variable(variable) for variable in variables]
    bare = keras.optimizers.SGD(0.1, momentum=0.9)
    wrapped = Counting(keras.optimizers.SGD(0.1, momentum=0.9))
    for _ in range(3):
        gradients = [keras.ops.ones((2,)), keras.ops.ones((1, 1))]
        wrapped.apply(gradients, variables)
        bare.apply([2 * gradient for gradient in gradients], plain)
    for one, other in zip(variables, plain, strict=True):
        np.testing.assert_array_equal(one, other)
    assert float(wrapped.count) == 9.0
    assert int(wrapped.iterations) == 3


def test_keras_fit_drives_it() -> None:
    wrapped = Counting(keras.optimizers.SGD(0.01))
    models = []
    for each in (wrapped, keras.optimizers.SGD(0.02)):
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        model.compile(each, "mse")
        model.fit(np.ones((8, 2)), np.ones((8, 1)), batch_size=4, epochs=2, verbose=0)
        models.append(model)
    for one, other in zip(models[0].weights, models[1].weights, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)
    assert float(wrapped.count) == 4 * 3


def test_what_keras_reads_is_the_inner_optimizers() -> None:
    inner = keras.optimizers.SGD(0.5, loss_scale_factor=8.0, use_ema=True)
    outer = WrappedOptimizer(Counting(inner))
    assert float(outer.learning_rate) == 0.5
    outer.learning_rate = 0.25
    assert float(inner.learning_rate) == 0.25
    assert float(outer.scale_loss(2.0)) == 16.0
    assert list(layers_of(outer))[-1] is inner
    assert optimizer_name(outer) == "WrappedOptimizer(Counting(SGD))"
    assert optimizer_name(inner) == "SGD"
    variable = keras.Variable(1.0)
    outer.apply([keras.ops.ones(())], [variable])
    outer.finalize_variable_values([variable])
    assert float(variable) == float(inner._model_variables_moving_average[0])


def test_survives_its_config() -> None:
    again = keras.optimizers.deserialize(
        keras.optimizers.serialize(Counting(keras.optimizers.Adam(0.5), name="own"))
    )
    assert (type(again), type(again.inner_optimizer)) == (Counting, keras.optimizers.Adam)
    assert again.name == "own"


def test_variables_of_the_wrapper_are_resumed(make_job: Any) -> None:
    whole = make_job(optimizer=Counting(optimizer("adam")), num_steps=12)
    fit(network(), whole)
    fit(network(), make_job(optimizer=Counting(optimizer("adam")), num_steps=5, resume=False))
    again = make_job(optimizer=Counting(optimizer("adam")), num_steps=12)
    assert fit(network(1), again).resumed_from == 5
    for one, other in zip(whole.optimizer.variables, again.optimizer.variables, strict=True):
        np.testing.assert_array_equal(one, other, err_msg=one.path)
    assert float(again.optimizer.count) == 12 * network().count_params() - 12 * 8  # not the moving


def test_scale_of_the_loss_only_where_the_policy_says(float16: None) -> None:
    inner = keras.optimizers.SGD(0.1, loss_scale_factor=8.0)
    scaled = with_loss_scale(Counting(inner))
    assert optimizer_name(scaled) == "LossScaleOptimizer(Counting(SGD))"
    assert inner.loss_scale_factor is None
    assert with_loss_scale(scaled) is scaled
    around = Counting(keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD()))
    assert with_loss_scale(around) is around
    keras.config.set_dtype_policy("float32")
    assert with_loss_scale(inner) is inner


def test_mixed_precision_resumes_with_its_scale(
    make_job: Any, tmp_path: pathlib.Path, float16: None
) -> None:
    """A loss so large that the scale must fall: a resumed run would otherwise skip steps anew."""

    def large(labels: Any, outputs: Any, variables: Any) -> Any:
        outputs = keras.ops.cast(outputs, "float32")
        loss = keras.ops.mean(
            keras.ops.sparse_categorical_crossentropy(labels, outputs, from_logits=True)
        )
        return 100 * loss, {}

    def job(**changes: Any) -> Any:
        inner = keras.optimizers.SGD(1e-5, momentum=0.9)
        return make_job(loss=LossComposer(large), optimizer=Counting(inner), **changes)

    whole, resumed = network(), network(1)
    fit(whole, job(num_steps=14))
    path = tmp_path / "short.keras"
    fit(network(), job(num_steps=11, state_path=path))
    state = read_state(path)
    assert state is not None
    scale = state.optimizer[3]  # behind its own iterations, rate and counter
    assert 1 < scale < 2**15
    assert fit(resumed, job(num_steps=14, state_path=path)).resumed_from == 11
    for one, other in zip(whole.variables, resumed.variables, strict=True):
        np.testing.assert_array_equal(one, other, err_msg=one.path)
