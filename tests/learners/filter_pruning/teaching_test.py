import keras
import numpy as np
import pytest
import tensorflow as tf

from learners.filter_pruning.recipe import Distill
from learners.filter_pruning.teaching import distilling_loss, load_teacher
from tests.learners import networks

IMAGES = networks.images(6)
LABELS = np.arange(6) % 5


def calc_loss(labels, outputs, variables):
    loss = keras.losses.sparse_categorical_crossentropy(labels, outputs, from_logits=True)
    return tf.reduce_mean(loss), {"own": tf.constant(1.0)}


@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_the_loss_against_the_closed_form(shift):
    """(1 - alpha) * loss + alpha * T^2 * KL(teacher || network)."""
    teacher = networks.vgg()
    loss = distilling_loss(Distill(0.3, 4.0), calc_loss, teacher, lambda outputs: outputs)
    taught = teacher(IMAGES, training=False)
    outputs = taught + shift * np.arange(5)
    total, values = loss.training_loss(IMAGES, LABELS, outputs, ())
    log_p, log_q = (keras.ops.log_softmax(each / 4.0) for each in (taught, outputs))
    divergence = np.mean(np.sum(np.exp(log_p) * (log_p - log_q), axis=1))
    own, _ = calc_loss(LABELS, outputs, ())
    np.testing.assert_allclose(total, 0.7 * own + 0.3 * 16 * divergence, rtol=1e-4)
    np.testing.assert_allclose(values["distillation"], divergence, rtol=1e-3, atol=1e-6)
    assert values["own"] == 1.0


def test_the_network_before_teaches_and_is_a_copy():
    model = networks.vgg()
    teacher = load_teacher(Distill(0.3, 4.0), model, allow_unsafe=False)
    before = np.asarray(teacher(IMAGES, training=False))
    for weight in model.trainable_weights:
        weight.assign(0.5 * weight)
    np.testing.assert_array_equal(teacher(IMAGES, training=False), before)


def test_a_teacher_from_a_file(tmp_path):
    other = networks.residual()
    other.save(tmp_path / "teacher.keras")
    distill = Distill(0.3, 4.0, str(tmp_path / "teacher.keras"))
    teacher = load_teacher(distill, networks.vgg(), allow_unsafe=False)
    np.testing.assert_array_equal(teacher(IMAGES, training=False), other(IMAGES, training=False))
