"""The composed loss against closed forms."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.utils.training.conftest import batches, calc_loss, network, optimizer
from tests.utils.training.terms_test import divergence
from utils.training import LossComposer, Term, distillation, fit, hint
from utils.training.inner import with_layers
from utils.training.loss import labels_at, without_decay
from utils.training.reproducible import fixed_order


def test_training_loss_adds_the_weighted_distillation() -> None:
    teacher, student = network(1), network(2)
    images, labels = next(iter(batches()))
    outputs = student(images, training=True)
    composer = LossComposer(calc_loss, [distillation(3.0, 2.0)], teacher=teacher)
    loss, metrics = composer.training_loss(images, labels, outputs, student.trainable_variables)
    plain, _ = calc_loss(labels, outputs, student.trainable_variables)
    distilled = divergence(teacher(images, training=False).numpy(), outputs.numpy(), 2.0)
    assert float(metrics["distillation"]) == pytest.approx(distilled, rel=1e-4)
    assert float(loss) == pytest.approx(float(plain) + 3 * distilled, rel=1e-4)
    assert set(metrics) == {"accuracy", "distillation"}


def test_hints_are_weighed_on_top() -> None:
    teacher, student = network(1), network(2)
    images, labels = next(iter(batches()))
    outputs, maps = with_layers(student, ("norm",))(images)
    variables = student.trainable_variables
    values = {}
    for weight in (0.0, 2.0):
        terms = [distillation(), hint(weight, ("norm",))]
        composer = LossComposer(calc_loss, terms, teacher=teacher)
        values[weight] = composer.training_loss(images, labels, outputs, variables, maps)
    assert set(values[2.0][1]) == {"accuracy", "distillation", "hint"}
    found = float(values[2.0][1]["hint"])
    assert found > 0.1
    assert float(values[2.0][0] - values[0.0][0]) == pytest.approx(2 * found, rel=1e-4)


def test_training_follows_the_hints(make_job: Any) -> None:
    def last(weight: float) -> float:
        terms = [distillation(), hint(weight, ("conv", "relu"))]
        composer = LossComposer(calc_loss, terms, teacher=network(1))
        return fit(network(2), make_job(loss=composer, resume=False)).history[-1]["hint"]

    assert last(1.0) < 0.7 * last(1e-9)


def test_without_a_teacher_it_is_the_helpers_loss() -> None:
    student = network()
    images, labels = next(iter(batches()))
    outputs = student(images)
    loss, metrics = LossComposer(calc_loss).training_loss(
        images, labels, outputs, student.trainable_variables
    )
    assert float(loss) == float(calc_loss(labels, outputs, student.trainable_variables)[0])
    assert set(metrics) == {"accuracy"}


def test_training_leaves_the_teacher_alone(make_job: Any) -> None:
    teacher, student = network(1), network(2)
    before = [variable.numpy() for variable in teacher.variables]
    result = fit(student, make_job(loss=LossComposer(calc_loss, [distillation()], teacher=teacher)))
    assert result.history[-1]["distillation"] < result.history[0]["distillation"]
    assert "val_distillation" not in result.history[0]
    assert teacher.trainable
    for variable, value in zip(teacher.variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)


def _energy(batch: Any) -> tf.Tensor:
    return tf.reduce_mean(tf.square(batch.tensors["relu"]))


def test_a_term_on_an_inner_layer_is_that_of_a_plain_loop(make_job: Any) -> None:
    """A penalty on activations, against a loop over plain Keras' layers."""
    ours, plain = network(), network()
    composer = LossComposer(calc_loss).plus(Term("energy", 0.5, ("relu",), _energy))
    result = fit(ours, make_job(loss=composer, num_steps=8))
    keras.utils.set_random_seed(0)
    inner = keras.Model(plain.input, [plain.output, plain.get_layer("relu").output])
    updates, energies = optimizer(), []

    @tf.function
    def step(images: Any, labels: Any) -> Any:
        with tf.GradientTape() as tape:
            outputs, relu = inner(images, training=True)
            energy = tf.reduce_mean(relu**2)
            loss = calc_loss(labels, outputs, plain.trainable_variables)[0] + 0.5 * energy
        gradients = tape.gradient(loss, plain.trainable_variables)
        updates.apply_gradients(zip(gradients, plain.trainable_variables, strict=True))
        return energy

    with fixed_order():
        for images, labels in batches().take(8):
            energies.append(float(step(images, labels)))
    assert result.history[0]["energy"] == pytest.approx(np.mean(energies), rel=1e-5)
    for one, other in zip(ours.variables, plain.variables, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6, err_msg=one.path)


def test_the_teacher_runs_once_for_all_terms() -> None:
    runs = []

    class Counting(keras.layers.Layer):
        def call(self, inputs: Any) -> Any:
            runs.append(1)
            return inputs

    inner = network(1)
    inputs = keras.Input((6, 6, 2))
    teacher = keras.Model(inputs, Counting(name="counting")(inner(inputs)))
    terms = [
        distillation(),
        Term("outputs", 1.0, (), lambda b: tf.reduce_sum(b.teacher_outputs), teacher_needs=()),
        Term(
            "inner",
            1.0,
            (),
            lambda b: tf.reduce_sum(b.teacher_tensors["counting"]),
            teacher_needs=("counting",),
        ),
    ]
    composer, student = LossComposer(calc_loss, terms, teacher=teacher), network(2)
    images, labels = next(iter(batches()))
    runs.clear()
    _, metrics = composer.training_loss(images, labels, student(images), student.variables[:1])
    assert len(runs) == 1
    assert float(metrics["outputs"]) == float(metrics["inner"])


def test_further_teachers_run_once_each() -> None:
    runs: list[str] = []

    class Counting(keras.layers.Layer):
        def call(self, inputs: Any) -> Any:
            runs.append(self.name)
            return inputs

    def teacher(number: int) -> keras.Model:
        inputs = keras.Input((6, 6, 2))
        return keras.Model(inputs, Counting(name=f"t{number}")(network(number)(inputs)))

    teachers, student = [teacher(1), teacher(3)], network(2)
    terms = [distillation(shares=(0.5, 0.5)), hint(1.0, ("dense",), ("t1",))]
    composer = LossComposer(
        calc_loss, terms, teacher=teachers[0], further_teachers=teachers[1:]
    ).plus(Term("own", 1.0, (), lambda b: tf.reduce_sum(b.teacher_outputs), teacher_needs=()))
    images, labels = next(iter(batches()))
    outputs, tensors = with_layers(student, composer.needs)(images)
    runs.clear()
    _, metrics = composer.training_loss(images, labels, outputs, student.variables[:1], tensors)
    assert sorted(runs) == ["t1", "t3"]
    assert composer.uses_teacher and not LossComposer(calc_loss, teacher=teachers[0]).uses_teacher
    p = sum(np.exp(t(images).numpy() / 4) / np.exp(t(images).numpy() / 4).sum(-1, keepdims=True)
            for t in teachers) / 2  # fmt: skip
    q = np.exp(outputs.numpy() / 4) / np.exp(outputs.numpy() / 4).sum(-1, keepdims=True)
    expected = 16 * np.mean(np.sum(p * np.log(p / q), -1))
    assert float(metrics["distillation"]) == pytest.approx(expected, rel=1e-3)


def test_a_teacher_that_no_term_needs_does_not_run() -> None:
    student = network()
    images, labels = next(iter(batches()))
    composer = LossComposer(calc_loss, [Term("one", 2.0, (), lambda _: 1.0)], teacher=network(1))
    composer._teacher = None  # calling it would fail
    loss, _ = composer.training_loss(images, labels, student(images), student.trainable_variables)
    plain = LossComposer(calc_loss).training_loss(
        images, labels, student(images), student.trainable_variables
    )
    assert float(loss) == pytest.approx(float(plain[0]) + 2.0)


def test_refusals() -> None:
    one = Term("one", 1.0, (), lambda _: 0.0)
    with pytest.raises(ValueError, match=r"must have different names\. Received: \['one', 'one'\]"):
        LossComposer(calc_loss, [one]).plus(one)
    with pytest.raises(
        ValueError, match=r"'distillation' needs a teacher\. Received: teacher=None"
    ):
        LossComposer(calc_loss, [distillation()])
    with pytest.raises(
        ValueError, match=r"layer 'map': network 'small' has none\. It can be one of"
    ):
        LossComposer(calc_loss, [hint(1.0, ("map",))], teacher=network())


def test_a_weight_that_changes() -> None:
    weight, student = keras.Variable(1.0, trainable=False), network()
    images, labels = next(iter(batches()))
    composer = LossComposer(calc_loss, [Term("one", weight, (), lambda _: tf.constant(3.0))])

    @tf.function
    def loss() -> Any:
        return composer.training_loss(images, labels, student(images), student.trainable_variables)

    first, metrics = loss()
    weight.assign(2.0)
    assert float(loss()[0]) == pytest.approx(float(first) + 3.0)
    assert float(metrics["one"]) == 3.0


def decayed(labels: Any, outputs: Any, variables: Any) -> Any:
    decay = tf.add_n([tf.nn.l2_loss(keras.ops.convert_to_tensor(v)) for v in variables])
    return tf.reduce_sum(labels) + decay, {"own": 1.0}


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_labels_are_weighed_and_weight_decay_is_not(share: float) -> None:
    value, metrics = labels_at(share, decayed)(tf.constant([5.0]), None, [keras.Variable([2.0])])
    assert float(value) == 5.0 * share + 2.0 and metrics == {"own": 1.0}
    term = Term("one", 2.0, (), lambda _: tf.constant(1.0))
    composer = LossComposer(decayed, [term]).with_labels_at(share)
    loss, _ = composer.training_loss(None, tf.constant([5.0]), None, [keras.Variable([2.0])])
    assert float(loss) == 5.0 * share + 2.0 + 2.0


def test_without_decay_the_labels_are_left() -> None:
    value, _ = without_decay(decayed)(tf.constant([5.0]), None, [keras.Variable([2.0])])
    assert float(value) == 5.0
