"""Equal bits from equal runs, for a network with residual sums, where TensorFlow alone fails."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from nets.backbones import resnet_cifar
from tests.utils.training.conftest import calc_loss, optimizer
from utils.training import LossComposer, fit
from utils.training.reproducible import fixed_order


def _batches(first_step: int) -> tf.data.Dataset:
    def batch(index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        images = tf.random.stateless_normal((128, 32, 32, 3), [0, index])
        return images, tf.random.stateless_uniform((128,), [1, index], 0, 10, tf.int64)

    return tf.data.Dataset.counter(first_step).map(batch)


def test_two_runs_of_a_resnet_are_bit_equal(make_job: Any) -> None:
    values = []
    for _ in range(2):
        keras.utils.set_random_seed(0)
        inputs = keras.Input((32, 32, 3))
        outputs = resnet_cifar.build(inputs, 10, size=20, shortcut="padding")
        model = keras.Model(inputs, outputs)
        fit(
            model,
            make_job(
                make_train=_batches,
                num_steps=3,
                optimizer=optimizer(),
                loss=LossComposer(calc_loss),
                resume=False,
            ),
        )
        values.append([variable.numpy() for variable in model.variables])
    for one, other in zip(*values, strict=True):
        np.testing.assert_array_equal(one, other)


def test_options_are_restored() -> None:
    def disabled() -> bool:
        options = tf.config.optimizer.get_experimental_options()
        return options.get("disable_meta_optimizer", False)

    with pytest.raises(KeyboardInterrupt), fixed_order():
        assert disabled() == (not tf.config.list_physical_devices("GPU"))
        raise KeyboardInterrupt
    assert not disabled()
