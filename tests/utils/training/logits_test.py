"""Distillation compares logits, whatever a network ends in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

from utils.errors import InputError
from utils.training.logits import logits_function, teacher_like
from utils.training.terms import distillation_loss

INPUTS = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)


def network(end: Callable[[Any], Any], seed: int = 0, size: int = 12) -> keras.Model:
    """A network of `size` sums with an ending of its own."""
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((6,))
    return keras.Model(inputs, end(layers.Dense(size, name="sums")(inputs)))


def some_inputs() -> np.ndarray:
    return INPUTS


def distilled(end: Callable[[Any], Any]) -> float:
    """Distillation loss between two networks, as it is composed in training."""
    teacher, student = network(end, 0), network(end, 1)
    to_logits = logits_function(student, some_inputs)
    wanted, received = to_logits(teacher(INPUTS)), to_logits(student(INPUTS))
    return float(distillation_loss(wanted, received, 4.0)) / 4.0**2


def divergence(wanted: np.ndarray, given: np.ndarray) -> np.ndarray:
    return np.sum(wanted * (np.log(wanted) - np.log(given)), axis=-1)


def softened(logits: np.ndarray, temperature: float = 4.0) -> np.ndarray:
    powers = np.exp(logits / temperature)
    return powers / powers.sum(axis=-1, keepdims=True)


def sums(seed: int) -> np.ndarray:
    return network(lambda x: x, seed)(INPUTS).numpy().astype(np.float64)


def nested(x: Any) -> Any:
    return keras.Sequential([keras.Input((12,)), layers.Softmax()], name="head")(x)


@pytest.mark.parametrize(
    "end",
    [
        lambda x: x,
        layers.Softmax(),
        layers.Activation("softmax"),
        ops.softmax,
        ops.log_softmax,
        nested,
        lambda x: layers.Reshape((1, 12))(ops.softmax(x)),
        lambda x: ops.cast(layers.Identity()(ops.softmax(x)), "float32"),
    ],
)
def test_every_softmax_is_undone(end: Callable[[Any], Any]) -> None:
    expected = np.mean(divergence(softened(sums(0)), softened(sums(1))))
    assert expected > 1e-3
    assert distilled(end) == pytest.approx(expected, rel=2e-3)


@pytest.mark.parametrize(
    "end",
    [
        lambda x: layers.Permute((2, 1))(ops.softmax(layers.Reshape((3, 4))(x), axis=1)),
        lambda x: layers.Flatten()(ops.softmax(layers.Reshape((3, 4))(x), axis=1)),
        lambda x: ops.softmax(layers.Reshape((3, 4))(x), axis=1),
    ],
)
def test_classes_on_another_axis(end: Callable[[Any], Any]) -> None:
    wanted, given = (softened(np.moveaxis(sums(seed).reshape(-1, 3, 4), 1, -1)) for seed in (0, 1))
    assert distilled(end) == pytest.approx(np.mean(divergence(wanted, given)), rel=2e-3)


@pytest.mark.parametrize(
    "end",
    [ops.sigmoid, layers.Activation("sigmoid"), lambda x: layers.Reshape((3, 4))(ops.sigmoid(x))],
)
def test_sigmoids_are_compared_as_yes_and_no(end: Callable[[Any], Any]) -> None:
    """The divergence of Bernoulli distributions, softened by the temperature."""
    wanted, given = (1 / (1 + np.exp(-sums(seed) / 4.0)) for seed in (0, 1))
    expected = wanted * np.log(wanted / given) + (1 - wanted) * np.log((1 - wanted) / (1 - given))
    assert distilled(end) == pytest.approx(np.mean(expected), rel=2e-3)


@pytest.mark.parametrize("end", [layers.Softmax(), ops.sigmoid])
def test_small_probabilities_keep_their_gradient(end: Callable[[Any], Any]) -> None:
    """A class 40 below the best is told that it is wanted, as it is from logits."""
    inputs = keras.Input((3,))
    student = keras.Model(inputs, end(inputs))
    to_logits = logits_function(student, lambda: np.zeros((1, 3), np.float32))
    logits = tf.Variable(np.float32([[0.0, -40.0, -20.0]]))
    wanted = np.float32([[-40.0, 0.0, -20.0]])
    with tf.GradientTape() as tape:
        loss = distillation_loss(to_logits(student(wanted)), to_logits(student(logits)), 1.0)
    gradient = tape.gradient(loss, logits).numpy()[0]
    shares = 6 if end is ops.sigmoid else 1  # the mean over three outputs, each by half
    np.testing.assert_allclose(gradient, np.array([1.0, -1.0, 0.0]) / shares, atol=1e-3)


def test_a_structure_of_outputs() -> None:
    model = network(lambda x: {"b": ops.sigmoid(x), "a": ops.softmax(x)})
    logits = logits_function(model, some_inputs)(model(INPUTS))
    assert sorted(logits) == ["a", "b"]
    np.testing.assert_allclose(
        softened(logits["a"].numpy(), 1.0), softened(sums(0), 1.0), atol=1e-5
    )
    np.testing.assert_allclose(logits["b"].numpy()[..., 0], sums(0), rtol=1e-3, atol=1e-3)
    assert not logits["b"].numpy()[..., 1].any()


def test_what_is_known_of_the_loss() -> None:
    model = network(lambda x: x)
    logits = logits_function(model, some_inputs, ["bernoulli"])(model(INPUTS))
    assert logits.shape == (40, 12, 2)
    with pytest.raises(InputError, match=r"layer 'sums' is a regression by its loss"):
        logits_function(model, some_inputs, ["regression"])


@keras.saving.register_keras_serializable("logits_test")
class OwnSoftmax(layers.Layer):
    """Nobody can see what it does."""

    def call(self, x: Any) -> Any:
        return ops.softmax(x)


@pytest.mark.parametrize(
    ("end", "message"),
    [
        (OwnSoftmax(name="own"), r"layer 'own' lies between 0 and 1 and adds up to 1, but no soft"),
        (
            lambda x: ops.exp(x) / ops.sum(ops.exp(x), axis=-1, keepdims=True),
            r"adds up to 1, .*Give the ModelHelper a method `logits\(outputs\)`",
        ),
        (layers.Activation("hard_sigmoid", name="hard"), r"'hard' lies between 0 and 1, but no"),
        (layers.Dense(1, name="one"), r"layer 'one' is one number per sample.*`logits\(outputs\)`"),
    ],
)
def test_what_cannot_be_told_is_refused(end: Callable[[Any], Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        logits_function(network(end), some_inputs)


def test_other_outputs_are_taken_for_logits() -> None:
    model = network(lambda x: layers.Add()([x, layers.Dense(12)(x)]))
    outputs = model(INPUTS)
    assert logits_function(model, some_inputs)(outputs) is outputs


@pytest.mark.parametrize(
    ("theirs", "ours", "is_shifted"),
    [
        (layers.Softmax(), lambda x: x, True),  # a logarithm is a logit up to a constant
        (lambda x: x, layers.Softmax(), False),
        (layers.Activation("sigmoid"), lambda x: x, False),
        (lambda x: x, layers.Activation("sigmoid"), False),
    ],
)
def test_a_teacher_is_given_the_networks_ending(
    theirs: Callable[[Any], Any], ours: Callable[[Any], Any], is_shifted: bool
) -> None:
    teacher, student = network(theirs, 0), network(ours, 1)
    wanted = network(ours, 0)(INPUTS).numpy()
    given = teacher_like(teacher, student)(INPUTS).numpy()
    if is_shifted:
        wanted, given = wanted - wanted[:, :1], given - given[:, :1]
    np.testing.assert_allclose(given, wanted, atol=1e-3)


def test_a_teacher_that_ends_alike_is_itself() -> None:
    teacher = network(layers.Softmax(), 0)
    assert teacher_like(teacher, network(ops.softmax, 1)) is teacher
    with pytest.raises(InputError, match=r"teacher's output of layer .* is softmax, .* is sigmoid"):
        teacher_like(teacher, network(ops.sigmoid, 1))
