"""Terms of the loss against closed forms."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from utils.training.terms import Term, distillation, distillation_loss, hint, hint_loss


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def divergence(teacher: np.ndarray, student: np.ndarray, temperature: float) -> float:
    p, q = softmax(teacher / temperature), softmax(student / temperature)
    return float(np.mean(np.sum(p * np.log(p / q), -1)))


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_distillation_is_the_closed_form(temperature: float) -> None:
    generator = np.random.default_rng(0)
    teacher, student = generator.normal(0, 3, (2, 5, 7)).astype("float32")
    value = distillation_loss(teacher, tf.constant(student), temperature)
    assert float(value) == pytest.approx(divergence(teacher, student, temperature), rel=1e-4)
    same = distillation_loss(student, tf.constant(student), temperature)
    assert float(same) == pytest.approx(0, abs=1e-6)


def test_the_gradient_falls_with_the_square_of_the_temperature() -> None:
    """For small logits it is (student - teacher) / (classes T^2) (Hinton, equation 4)."""
    generator = np.random.default_rng(1)
    teacher, student = 0.01 * generator.normal(size=(2, 1, 6)).astype("float32")
    teacher, student = teacher - teacher.mean(), student - student.mean()
    for temperature in (1.0, 4.0, 20.0):
        logits = tf.Variable(student)
        with tf.GradientTape() as tape:
            loss = distillation_loss(teacher, logits, temperature)
        gradient = tape.gradient(loss, logits)
        expected = (student - teacher) / (6 * temperature**2)
        np.testing.assert_allclose(gradient, expected, atol=3e-5)


def test_several_outputs_are_summed() -> None:
    generator = np.random.default_rng(2)
    a, b, c, d = generator.normal(size=(4, 3, 5)).astype("float32")
    outputs = {"x": tf.constant(c), "y": tf.constant(d)}
    value = distillation_loss({"x": a, "y": b}, outputs, 2.0)
    assert float(value) == pytest.approx(divergence(a, c, 2) + divergence(b, d, 2), rel=1e-4)


def test_hint_loss_is_the_closed_form() -> None:
    generator = np.random.default_rng(3)
    teacher, student = generator.normal(size=(2, 3, 5, 5, 2)).astype("float32")
    wanted, received = (
        (teacher, teacher[:, :2]),
        (tf.constant(student), tf.constant(3 * teacher[:, :2])),
    )
    value = hint_loss(wanted, received)
    expected = np.sum((student - teacher) ** 2) / np.sum(teacher**2) + 4.0
    assert float(value) == pytest.approx(expected, rel=1e-5)


def test_a_map_of_zeros_does_not_spoil_the_loss() -> None:
    zeros, ones = tf.zeros((1, 2, 2, 1)), tf.ones((1, 2, 2, 1))
    assert float(hint_loss((zeros,), (ones,))) == 0.0


def test_maps_of_sixteen_bits_do_not_overflow() -> None:
    teacher, student = tf.fill((1, 8, 8, 4), 200.0), tf.fill((1, 8, 8, 4), 100.0)
    halves = [tf.cast(tensor, tf.float16) for tensor in (teacher, student)]
    assert float(hint_loss(halves[:1], halves[1:])) == pytest.approx(0.25)


def test_the_trap_of_the_default_is_still_there() -> None:
    """Should this fail, Keras has mended its default and our comment about it can go."""
    teacher, student = np.float32([[2.0, -1.0, 0.5]]), np.float32([[-1.0, 1.0, 0.0]])
    default = keras.distillation.LogitsDistillation(temperature=1.0)
    value = float(default.compute_loss(teacher, student))
    assert value != pytest.approx(divergence(teacher, student, 1.0), rel=1e-3)


@pytest.mark.parametrize("make", [distillation, lambda weight: hint(weight, ("conv",))])
def test_a_negative_weight(make) -> None:
    with pytest.raises(
        ValueError, match=r"'(distillation|hint)' must be at least 0\. Received: -1"
    ):
        make(-1.0)


def test_a_weight_may_be_a_variable() -> None:
    weight = keras.Variable(2.0, trainable=False)
    assert Term("own", weight, (), lambda batch: batch.outputs).weight is weight


def test_the_temperature_must_be_positive() -> None:
    with pytest.raises(ValueError, match=r"`temperature` must be larger than 0\. Received: 0\.0"):
        distillation(temperature=0.0)
