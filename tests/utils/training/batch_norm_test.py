"""Re-estimated statistics against NumPy; nothing else changes."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.utils.several import run_workers
from tests.utils.training.conftest import batches, network
from utils.errors import InputError
from utils.training import (
    BatchNormEstimator,
    StatisticsRefresher,
    fit,
    reestimate_batch_norm,
)
from utils.training.batch_norm import statistics_lag


def _expected_of_conv(model: keras.Model, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    outputs = model.get_layer("conv")(images).numpy().astype(np.float64)
    return outputs.mean((0, 1, 2)), outputs.var((0, 1, 2))


@pytest.mark.parametrize("num_images", [24, 21])
def test_population_statistics_of_uneven_batches(num_images: int) -> None:
    model = network()
    data = batches().unbatch().take(num_images).batch(8)
    images = np.concatenate([batch[0] for batch in data])
    reestimate_batch_norm(model, data, 99)
    mean, variance = _expected_of_conv(model, images)
    layer = model.get_layer("norm")
    np.testing.assert_allclose(layer.moving_mean, mean, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(layer.moving_variance, variance, rtol=1e-5)


def test_only_the_given_number_of_batches() -> None:
    model = network()
    reestimate_batch_norm(model, batches(), 2)
    mean, _ = _expected_of_conv(model, np.concatenate([b[0] for b in batches().take(2)]))
    np.testing.assert_allclose(model.get_layer("norm").moving_mean, mean, rtol=1e-5, atol=1e-6)


def test_later_layers_see_normalized_inputs_without_dropout() -> None:
    inputs = keras.Input((6, 6, 2))
    x = keras.layers.BatchNormalization(name="first")(inputs)
    x = keras.layers.Dropout(0.5)(x)
    model = keras.Model(inputs, keras.layers.BatchNormalization(name="second")(x))
    reestimate_batch_norm(model, batches(), 3)
    second = model.get_layer("second")
    np.testing.assert_allclose(second.moving_mean, 0.0, atol=1e-5)
    np.testing.assert_allclose(second.moving_variance, 1.0, atol=2e-3)


def test_nested_models() -> None:
    inner = keras.Sequential([keras.Input((6, 6, 2)), keras.layers.BatchNormalization()])
    inputs = keras.Input((6, 6, 2))
    model = keras.Model(inputs, inner(inputs))
    reestimate_batch_norm(model, batches(), 1)
    images = next(iter(batches()))[0].numpy()
    np.testing.assert_allclose(
        inner.layers[-1].moving_mean, images.mean((0, 1, 2)), rtol=1e-5, atol=1e-6
    )


def test_nothing_else_changes() -> None:
    model = network()
    statistics = (model.get_layer("norm").moving_mean, model.get_layer("norm").moving_variance)
    others = [v for v in model.variables if not any(v is s for s in statistics)]
    before = [variable.numpy() for variable in others]
    reestimate_batch_norm(model, batches(), 2)
    for variable, value in zip(others, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value, err_msg=variable.path)
    assert model.get_layer("norm").momentum == 0.99
    assert model.get_layer("dropout").rate == 0.3


def test_frozen_layers_stay() -> None:
    model = network()
    model.get_layer("norm").trainable = False
    reestimate_batch_norm(model, batches(), 2)
    np.testing.assert_array_equal(model.get_layer("norm").moving_mean, 0.0)


def test_again_after_the_weights_changed() -> None:
    model = network()
    estimator = BatchNormEstimator(model)
    for factor in (1.0, 3.0):
        kernel = model.get_layer("conv").kernel
        kernel.assign(factor * kernel)
        estimator(batches(), 2)
        mean, _ = _expected_of_conv(model, np.concatenate([b[0] for b in batches().take(2)]))
        np.testing.assert_allclose(model.get_layer("norm").moving_mean, mean, rtol=1e-5, atol=1e-6)


def test_images_alone_and_models_without_statistics() -> None:
    model = network()
    reestimate_batch_norm(model, batches().map(lambda images, _: images), 1)
    assert np.any(model.get_layer("norm").moving_mean != tf.zeros(4))
    reestimate_batch_norm(
        keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]), batches(), 1
    )


def test_refusals() -> None:
    with pytest.raises(InputError, match=r"`num_batches` must be at least 1\. Received: 0"):
        reestimate_batch_norm(network(), batches(), 0)
    with pytest.raises(InputError, match="data for batch normalization is empty"):
        reestimate_batch_norm(network(), batches().take(0), 2)


@pytest.mark.parametrize(("momentum", "fresh"), [(0.99, True), (0.5, False)])
def test_a_short_run_ends_with_fresh_statistics(
    momentum: float, fresh: bool, make_job: Any
) -> None:
    def trained(*callbacks: keras.callbacks.Callback) -> keras.Model:
        model = network()
        model.get_layer("norm").momentum = momentum
        fit(model, make_job(callbacks=callbacks, resume=False))
        return model

    data = batches().take(3)
    plain, model = trained(), trained(StatisticsRefresher(batches, num_batches=3, num_steps=20))
    if fresh:
        reestimate_batch_norm(plain, data, 3)
    for one, other in zip(plain.variables, model.variables, strict=True):
        np.testing.assert_array_equal(one, other)


def test_statistics_lag_behind_few_steps() -> None:
    model = network()
    model.get_layer("norm").momentum = 0.99
    assert [statistics_lag(model, steps) for steps in (0, 1, 298, 299)] == [
        False,
        True,
        True,
        False,
    ]


def test_fresh_statistics_are_in_the_state(make_job: Any) -> None:
    data = batches().take(3)
    job = make_job(callbacks=[StatisticsRefresher(batches, num_batches=3, num_steps=20)])
    model, again = network(), network(5)
    fit(model, job)
    reestimate_batch_norm(expected := keras.models.load_model(job.state_path), data, 3)
    fit(
        again, make_job(callbacks=[StatisticsRefresher(batches, num_batches=3, num_steps=20)])
    )  # had ended
    for name in ("moving_mean", "moving_variance"):
        wanted = getattr(expected.get_layer("norm"), name)
        np.testing.assert_array_equal(getattr(model.get_layer("norm"), name), wanted)
        np.testing.assert_array_equal(getattr(again.get_layer("norm"), name), wanted)


def test_workers_that_share_the_batches_have_the_statistics_of_one(monkeypatch: Any) -> None:
    data = batches().unbatch().take(21).batch(4)
    whole, models = network(), [network() for _ in range(3)]
    reestimate_batch_norm(whole, data, 99)
    run_workers(
        monkeypatch, 3, lambda workers: reestimate_batch_norm(models[workers.rank], data, 99)
    )
    for model in models:
        for name in ("moving_mean", "moving_variance"):
            ours, expected = (getattr(m.get_layer("norm"), name) for m in (model, whole))
            np.testing.assert_allclose(ours, expected, rtol=1e-6)
