"""A small network, data and loss for the tests of training."""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from typing import Any

import keras
import pytest
import tensorflow as tf

from utils.training import FitJob, LossComposer

NUM_CLASSES = 4


def batches(first_step: int = 0, seed: int = 0, size: int = 8) -> tf.data.Dataset:
    """Infinite batches that depend on their number only; the label is readable off the image."""

    def batch(index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        labels = tf.random.stateless_uniform((size,), [seed, index], 0, NUM_CLASSES, tf.int64)
        noise = tf.random.stateless_normal((size, 6, 6, 2), [seed + 1, index])
        return noise + tf.cast(labels, tf.float32)[:, None, None, None], labels

    return tf.data.Dataset.counter(first_step).map(batch)


def calc_loss(labels: Any, outputs: Any, trainable_vars: Any) -> Any:
    """Cross-entropy with weight decay, as helpers compute it."""
    entropy = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, outputs)
    decay = tf.add_n([tf.nn.l2_loss(variable) for variable in trainable_vars])
    right = tf.cast(tf.equal(tf.argmax(outputs, -1), labels), tf.float32)
    return tf.reduce_mean(entropy) + 1e-4 * decay, {"accuracy": tf.reduce_mean(right)}


def network(seed: int = 0) -> keras.Model:
    """Convolution, batch normalization, Dropout, Dense."""
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((6, 6, 2), name="images")
    x = keras.layers.Conv2D(4, 3, name="conv")(inputs)
    x = keras.layers.BatchNormalization(name="norm")(x)
    x = keras.layers.ReLU(name="relu")(x)
    x = keras.layers.Flatten(name="flatten")(x)
    x = keras.layers.Dropout(0.3, name="dropout")(x)
    return keras.Model(inputs, keras.layers.Dense(NUM_CLASSES, name="dense")(x), name="small")


def optimizer(name: str = "sgd", lrn_rate: float = 0.05) -> keras.optimizers.Optimizer:
    """Give a new optimizer with a schedule."""
    schedule = keras.optimizers.schedules.CosineDecay(lrn_rate, 40)
    if name == "adam":
        return keras.optimizers.Adam(schedule)
    return keras.optimizers.SGD(schedule, momentum=0.9)


@pytest.fixture
def make_job(tmp_path: pathlib.Path) -> Callable[..., FitJob]:
    """Give a maker of jobs: 20 steps in epochs of 8, quiet, state in `state.keras`."""

    def make(**changes: Any) -> FitJob:
        defaults: dict[str, Any] = {
            "make_train": batches,
            "steps_per_epoch": 8,
            "num_steps": 20,
            "optimizer": optimizer(),
            "loss": LossComposer(calc_loss),
            "state_path": tmp_path / "state.keras",
            "quiet": True,
        }
        return FitJob(**defaults | changes)

    return make
