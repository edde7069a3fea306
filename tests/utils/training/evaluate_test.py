"""Scores are means over the images, however they are batched."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.utils.several import run_workers
from tests.utils.training.conftest import batches, calc_loss, network
from utils.errors import InputError
from utils.training import Evaluator, evaluate
from utils.training.additive import is_additive


def _images(num_images: int, batch_size: int) -> tf.data.Dataset:
    return batches().unbatch().take(num_images).batch(batch_size)


def test_mean_over_images_whatever_the_batches() -> None:
    model = network()
    expected = evaluate(model, _images(21, 21), calc_loss)
    for batch_size in (1, 8, 20):
        scores = evaluate(model, _images(21, batch_size), calc_loss)
        assert scores == pytest.approx(expected, rel=1e-5)
    assert set(expected) == {"loss", "accuracy"}


def test_a_function_scores_like_the_model() -> None:
    model = network()

    def outputs(images: np.ndarray) -> np.ndarray:
        assert isinstance(images, np.ndarray)
        return model(images, training=False).numpy()

    data = _images(21, 8)
    by_model, by_function = evaluate(model, data, calc_loss), evaluate(outputs, data, calc_loss)
    assert by_function["accuracy"] == by_model["accuracy"]
    assert by_function["loss"] == pytest.approx(by_model["loss"], rel=1e-5)


def test_the_loss_has_no_weight_decay_in_it() -> None:
    model = network()
    images, labels = next(iter(_images(24, 24)))
    loss, _ = calc_loss(labels, model(images), model.trainable_variables)
    decay = 1e-4 * sum(float(tf.nn.l2_loss(v)) for v in model.trainable_variables)
    scores = evaluate(model, _images(24, 8), calc_loss)
    assert decay > 1e-4
    assert scores["loss"] == pytest.approx(float(loss) - decay, rel=1e-5)


def test_what_decides() -> None:
    scores = evaluate(network(), _images(24, 8), calc_loss)
    assert (scores.deciding.name, scores.deciding.higher_is_better) == ("accuracy", True)
    assert scores.value == scores.merit == scores.top1 == scores["accuracy"]
    without = evaluate(network(), _images(24, 8), lambda *args: (calc_loss(*args)[0], {}))
    assert (without.deciding.name, without.top1) == ("loss", None)
    assert without.merit == -without["loss"]


def test_an_evaluator_traces_once_and_sees_new_weights() -> None:
    traces = []

    def counted(labels: Any, outputs: Any, variables: Any) -> Any:
        traces.append(1)
        return calc_loss(labels, outputs, variables)

    model = network()
    evaluator = Evaluator(model, counted)
    first = evaluator(_images(24, 8))
    model.get_layer("dense").kernel.assign(0.0 * model.get_layer("dense").kernel)
    assert evaluator(_images(24, 8))["accuracy"] != first["accuracy"]
    assert len(traces) == 1


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (batches(), "must end. Received an infinite"),
        (batches().take(0), "evaluation data is empty"),
    ],
)
def test_unusable_data(data: tf.data.Dataset, message: str) -> None:
    with pytest.raises(InputError, match=message):
        evaluate(network(), data, calc_loss)


@pytest.mark.parametrize("num_images", [21, 8])  # more batches than workers, and fewer
def test_workers_that_share_the_batches_have_the_scores_of_one(monkeypatch, num_images) -> None:
    """To the bit, and each has looked at its own batches only."""
    model, data = network(), _images(num_images, 4)
    expected = dict(evaluate(model, data, calc_loss))

    def outputs(images: np.ndarray) -> np.ndarray:
        seen.append(len(images))
        return model(images, training=False).numpy()

    seen: list[int] = []
    found = run_workers(monkeypatch, 3, lambda workers: dict(evaluate(outputs, data, calc_loss)))
    assert found[0] == found[1] == found[2] == pytest.approx(expected, rel=1e-6)
    assert sum(seen) == (21 if num_images == 21 else 3 * 8)


def test_a_batch_that_only_one_worker_cannot_score_stops_all_by_name(monkeypatch) -> None:
    def outputs(images: Any) -> Any:
        if float(np.sum(images)) == bad:
            raise ValueError("no such picture")
        return np.zeros([len(images), 10], np.float32)

    data = _images(21, 4)
    bad = float(np.sum(list(data.as_numpy_iterator())[2][0]))  # the third batch is worker 2's
    found = run_workers(monkeypatch, 3, lambda workers: evaluate(outputs, data, calc_loss))
    assert [type(each) for each in found] == [InputError, InputError, ValueError]
    assert str(found[0]).startswith("worker 2: ValueError: no such picture.")


def test_metrics_that_are_no_sums_are_computed_by_all(monkeypatch) -> None:
    model, data = network(), _images(21, 4)
    for metric, divides in ((keras.metrics.MeanSquaredError, True), (keras.metrics.R2Score, False)):
        helper = _Helper(metric)
        expected = dict(evaluate(model, data, helper))
        found = run_workers(monkeypatch, 2, lambda _, h=helper: dict(evaluate(model, data, h)))
        assert found[0] == found[1] == pytest.approx(expected, rel=1e-6)
        assert is_additive(metric()) == divides


class _Helper:
    """As much of a ModelHelper as scoring needs, with a Keras metric of one-hot labels."""

    collects_outputs = False
    deciding_metric = ("accuracy", None)

    def __init__(self, metric: Any) -> None:
        self._metric = metric
        self.calc_loss = calc_loss

    def build_metrics(self) -> list[keras.metrics.Metric]:
        return [_OneHot(self._metric())]


class _OneHot(keras.metrics.Metric):
    def __init__(self, inner: keras.metrics.Metric) -> None:
        super().__init__(name=inner.name)
        self.inner = inner
        self.is_additive = is_additive(inner)

    @property
    def variables(self) -> Any:
        return self.inner.variables

    def update_state(self, labels: Any, outputs: Any) -> None:
        self.inner.update_state(keras.ops.one_hot(labels, outputs.shape[-1]), outputs)

    def result(self) -> Any:
        return self.inner.result()

    def reset_state(self) -> None:
        if hasattr(self, "inner"):
            self.inner.reset_state()
