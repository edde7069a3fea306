"""The wrapped model: names of metrics, data of the wrong form."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from tests.utils.training.conftest import batches, calc_loss, network
from utils.errors import InputError
from utils.training import LossComposer, Term, distillation, hint
from utils.training.trainee import Trainee


def test_metrics_are_those_of_the_loss() -> None:
    teacher = network(1)
    composer = LossComposer(calc_loss, [distillation()], teacher=teacher)
    trainee = Trainee(network(), composer, batches().element_spec)
    assert list(trainee.loss_metrics) == ["accuracy", "distillation"]


def test_only_the_network_is_trained() -> None:
    model = network()
    composer = LossComposer(calc_loss, [distillation()], teacher=network(1))
    trainee = Trainee(model, composer, batches().element_spec)
    assert [v.path for v in trainee.trainable_variables] == [
        v.path for v in model.trainable_variables
    ]


def test_hints_add_a_metric_and_nothing_to_train() -> None:
    model = network()
    terms = [distillation(), hint(1.0, ("norm",))]
    composer = LossComposer(calc_loss, terms, teacher=network(1))
    trainee = Trainee(model, composer, batches().element_spec)
    assert list(trainee.loss_metrics) == ["accuracy", "distillation", "hint"]
    assert [v.path for v in trainee.trainable_variables] == [
        v.path for v in model.trainable_variables
    ]


def test_penalties_count_once_with_hints() -> None:
    def loss(weight: float) -> float:
        inputs = keras.Input((6, 6, 2))
        conv = keras.layers.Conv2D(
            4, 3, kernel_regularizer="l2", kernel_initializer="ones", name="conv"
        )
        x = keras.layers.Flatten()(conv(inputs))
        model = keras.Model(inputs, keras.layers.Dense(4, kernel_initializer="ones")(x))
        terms = [distillation(), *([hint(weight, ("conv",))] if weight else [])]
        composer = LossComposer(calc_loss, terms, teacher=model)
        trainee = Trainee(model, composer, batches().element_spec)
        images, labels = next(iter(batches()))
        return float(trainee.compute_loss(images, labels, trainee(images, training=True)))

    assert loss(1.0) == pytest.approx(loss(0.0), rel=1e-6)  # its own teacher: no distance


def test_a_sequential_network() -> None:
    model = keras.Sequential(
        [keras.Input((6, 6, 2)), keras.layers.Flatten(), keras.layers.Dense(4)]
    )
    trainee = Trainee(model, LossComposer(calc_loss), batches().element_spec)
    assert list(trainee.loss_metrics) == ["accuracy"]


def test_outputs_and_variables_of_the_plain_network_come_first() -> None:
    plain = network()
    head = keras.layers.Dense(2, name="head")(plain.get_layer("flatten").output)
    model = keras.Model(plain.input, {"main": plain.output, "other": head})
    trainee = Trainee(model, LossComposer(calc_loss), batches().element_spec, plain=plain)
    images, labels = next(iter(batches()))
    loss = trainee.compute_loss(images, labels, trainee(images), training=False)
    expected = calc_loss(labels, plain(images), plain.trainable_variables)[0]
    assert float(loss) == pytest.approx(float(expected), rel=1e-6)
    assert len(trainee.trainable_variables) == len(plain.trainable_variables) + 2
    with pytest.raises(ValueError, match=r"must have the 2 outputs .*\. Received: 1 outputs"):
        Trainee(plain, LossComposer(calc_loss), batches().element_spec, plain=model)


def test_data_must_be_pairs() -> None:
    images = batches().map(lambda images, labels: images)
    with pytest.raises(
        InputError, match=r"must give pairs \(images, labels\)\. Received elements of"
    ):
        Trainee(network(), LossComposer(calc_loss), images.element_spec)


def test_a_term_must_not_take_the_name_of_a_metric() -> None:
    for name in ("accuracy", "loss"):
        composer = LossComposer(calc_loss, [Term(name, 1.0, (), lambda _: 0.0)])
        with pytest.raises(ValueError, match=rf"Received: '{name}'; the helper has loss, accuracy"):
            Trainee(network(), composer, batches().element_spec)


class _Peer:
    """A second worker: keeps what it is given, or adds what another one was given."""

    size = 2

    def __init__(self, other: _Peer | None = None) -> None:
        self.other, self.given = other, []

    def sum_arrays(self, arrays: list[np.ndarray]) -> list[np.ndarray]:
        self.given = list(arrays)
        parts = self.other.given if self.other else [np.zeros_like(array) for array in arrays]
        return [ours + theirs for ours, theirs in zip(arrays, parts, strict=True)]


def test_validation_of_several_workers_is_put_together() -> None:
    """Each scores its part; the sums of all make the result."""
    trainee = Trainee(network(), LossComposer(calc_loss), batches().element_spec)
    trainee.compile(optimizer="sgd", jit_compile=False)

    def evaluated(part: Any) -> dict[str, float]:
        return trainee.evaluate(part, verbose=0, return_dict=True)

    data = batches().take(5)
    expected = evaluated(data)
    first = _Peer()
    trainee.validated_by = first
    evaluated(data.shard(2, 0))
    trainee.validated_by = _Peer(first)
    assert evaluated(data.shard(2, 1)) == pytest.approx(expected, rel=1e-6)
