"""Terms of the loss against closed forms."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from utils.training.terms import (
    Term,
    TermInputs,
    distillation,
    distillation_loss,
    ensemble_logits,
    hint,
    hint_loss,
)


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def divergence(teacher: np.ndarray, student: np.ndarray, temperature: float) -> float:
    """T^2 KL(teacher || student), mean over the batch."""
    p, q = softmax(teacher / temperature), softmax(student / temperature)
    return float(temperature**2 * np.mean(np.sum(p * np.log(p / q), -1)))


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_distillation_is_the_closed_form(temperature: float) -> None:
    generator = np.random.default_rng(0)
    teacher, student = generator.normal(0, 3, (2, 5, 7)).astype("float32")
    value = distillation_loss(teacher, tf.constant(student), temperature)
    assert float(value) == pytest.approx(divergence(teacher, student, temperature), rel=1e-4)
    other_way = divergence(student, teacher, temperature)
    assert other_way != pytest.approx(float(value), rel=0.01)  # which the test would see
    same = distillation_loss(student, tf.constant(student), temperature)
    assert float(same) == pytest.approx(0, abs=1e-5)


def test_the_gradient_is_the_same_at_every_temperature() -> None:
    """For small logits it is (student - teacher) / classes (Hinton, equation 4, times T^2)."""
    generator = np.random.default_rng(1)
    teacher, student = 0.01 * generator.normal(size=(2, 1, 6)).astype("float32")
    teacher, student = teacher - teacher.mean(), student - student.mean()
    for temperature in (1.0, 4.0, 20.0):
        logits = tf.Variable(student)
        with tf.GradientTape() as tape:
            loss = distillation_loss(teacher, logits, temperature)
        gradient = tape.gradient(loss, logits)
        np.testing.assert_allclose(gradient, (student - teacher) / 6, atol=3e-5)


def test_several_outputs_are_summed() -> None:
    generator = np.random.default_rng(2)
    a, b, c, d = generator.normal(size=(4, 3, 5)).astype("float32")
    outputs = {"x": tf.constant(c), "y": tf.constant(d)}
    value = distillation_loss({"x": a, "y": b}, outputs, 2.0)
    assert float(value) == pytest.approx(divergence(a, c, 2) + divergence(b, d, 2), rel=1e-4)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_an_ensemble_is_the_mean_of_its_probabilities(temperature: float) -> None:
    logits, shares = np.random.default_rng(4).normal(0, 3, (3, 5, 7)), (0.5, 0.3, 0.2)
    found = ensemble_logits([tf.constant(z, tf.float32) for z in logits], temperature, shares)
    wanted = sum(s * softmax(z / temperature) for s, z in zip(shares, logits, strict=True))
    np.testing.assert_allclose(softmax(found.numpy() / temperature), wanted, rtol=1e-4)


def test_one_teacher_is_taken_as_it_is() -> None:
    logits = object()
    assert ensemble_logits([logits], 4.0, (1.0,)) is logits


def test_an_ensemble_pulls_as_its_members_do_on_average() -> None:
    """KL(mean || q) and the mean of KL(p_k || q) differ by what does not depend on q."""
    generator = np.random.default_rng(5)
    teachers = [tf.constant(z, tf.float32) for z in generator.normal(0, 2, (2, 4, 6))]
    student = tf.Variable(generator.normal(size=(4, 6)).astype("float32"))
    with tf.GradientTape(persistent=True) as tape:
        together = distillation_loss(ensemble_logits(teachers, 2.0, (0.75, 0.25)), student, 2.0)
        first, second = (distillation_loss(teacher, student, 2.0) for teacher in teachers)
        apart = 0.75 * first + 0.25 * second
    assert float(together) < float(apart)
    np.testing.assert_allclose(
        tape.gradient(together, student), tape.gradient(apart, student), atol=1e-5
    )


def test_an_ensemble_with_several_outputs() -> None:
    """Each output for itself, in the structure of the first teacher's."""
    a, b, c, d = (
        tf.constant(z, tf.float32) for z in np.random.default_rng(6).normal(size=(4, 3, 5))
    )
    found = ensemble_logits([{"x": a, "y": b}, {"x": c, "y": d}], 1.0, (0.5, 0.5))
    np.testing.assert_allclose(found["y"], ensemble_logits([b, d], 1.0, (0.5, 0.5)))


def test_the_term_compares_with_all_teachers() -> None:
    a, b, c = np.random.default_rng(7).normal(size=(3, 4, 5)).astype("float32")
    term = distillation(1.0, 2.0, lambda outputs: 3 * outputs, (0.5, 0.5))
    batch = TermInputs(
        inputs=None,
        labels=None,
        outputs=tf.constant(c),
        teacher_outputs=tf.constant(a),
        further_teacher_outputs=[tf.constant(b)],
    )
    p = (softmax(3 * a / 2) + softmax(3 * b / 2)) / 2
    expected = 4 * np.mean(np.sum(p * np.log(p / softmax(3 * c / 2)), -1))
    assert float(term.compute(batch)) == pytest.approx(expected, rel=1e-4)


def test_the_documented_weight_has_no_square_of_the_temperature() -> None:
    """Weight 4 at temperature 4 is 4 KL, which is a quarter of 16 KL."""
    assert distillation().weight == 0.25


def test_a_hint_between_layers_of_other_names() -> None:
    term = hint(2.0, ("a",), ("b",))
    assert (term.needs, term.teacher_needs) == (("a",), ("b",))
    ones, twos = tf.ones((1, 2, 2, 1)), tf.fill((1, 2, 2, 1), 2.0)
    batch = TermInputs(
        inputs=None, labels=None, outputs=None, tensors={"a": ones}, teacher_tensors={"b": twos}
    )
    assert float(term.compute(batch)) == pytest.approx(0.25)


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


@pytest.mark.parametrize("gap", [10.0, 30.0, 80.0])
def test_a_student_that_is_far_off_is_pulled_back(gap: float) -> None:
    """As strongly as any: the gradient is softmax(student) - softmax(teacher)."""
    teacher = np.float32([[gap, 0.0, 0.0]])
    student = tf.Variable(np.float32([[0.0, gap, 0.0]]))
    with tf.GradientTape() as tape:
        loss = distillation_loss(teacher, student, 1.0)
    assert float(loss) == pytest.approx(gap, rel=1e-3)
    np.testing.assert_allclose(tape.gradient(loss, student), [[-1.0, 1.0, 0.0]], atol=1e-3)


def test_logits_of_sixteen_bits() -> None:
    teacher, student = np.random.default_rng(8).normal(0, 3, (2, 5, 7)).astype("float16")
    value = distillation_loss(tf.constant(teacher), tf.constant(student), 2.0)
    wanted = divergence(teacher.astype(float), student.astype(float), 2.0)
    assert float(value) == pytest.approx(wanted, rel=1e-4)


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
