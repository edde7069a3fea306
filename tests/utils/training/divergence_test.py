"""Runs that run away with finite numbers, and runs that only look so."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.utils.training.conftest import batches, network, optimizer
from utils.errors import InputError
from utils.stopping import Interrupted
from utils.training import FitJob, LossComposer, fit, read_state
from utils.training.callbacks import Recorder
from utils.training.divergence import DivergedError, DivergenceWatch


class _Model:
    """What the callbacks read of the model."""

    images = 0
    optimizer = keras.optimizers.SGD(0.5)

    def num_images_seen(self) -> int:
        return self.images


def _watched(losses: Sequence[float], *, length: int, start: float | None = None) -> int:
    """Let a run of epochs have these losses, step by step; give the step at which it was stopped.

    0 means that it was not. As in Keras the callbacks are told the epoch's mean, in float32.
    """
    model, recorder = _Model(), Recorder(0, (), dict)
    watch = DivergenceWatch(recorder, length, start)
    for callback in (recorder, watch):
        callback.set_model(model)
    try:
        for first in range(0, len(losses), length):
            epoch, model.images = losses[first : first + length], 0
            recorder.on_epoch_begin(0)
            watch.on_epoch_begin(0)
            for number in range(len(epoch)):
                model.images += 8
                logs = {"loss": float(np.float32(np.mean(epoch[: number + 1])))}
                recorder.on_train_batch_end(number, logs)
                watch.on_train_batch_end(number, logs)
            recorder.on_epoch_end(0, logs)
        watch.check_end()
    except DivergedError as error:
        return error.step
    return 0


FINE = [2.3] * 30


@pytest.mark.parametrize(
    "losses",
    [
        FINE,
        [2.3] * 10 + [1e6] * 39 + [2.3] * 11,  # nearly an epoch, then it recovers
        [2.3] * 10 + [1e14] + [2.3] * 49,  # one step, whose epoch has a mean of 2e12
        [2.3] * 79 + [3e3],  # the very last step alone
        [1e-8] * 40 + [0.5] * 80,  # from almost nothing to something
        [5e5] + [1e8] * 80,  # large numbers from the start
        [2.3] * 40 + [2e3] * 80,  # bad, but not that bad
        [0.3 + 0.1 * (-1) ** step for step in range(80)],
    ],
)
def test_left_alone(losses: Sequence[float]) -> None:
    assert _watched(losses, length=40) == 0


@pytest.mark.parametrize(
    ("losses", "step"),
    [
        ([2.3] * 10 + [1e14] * 70, 50),  # an epoch of steps, across its end
        ([2.3] * 10 + [10.0**power for power in range(4, 34)], 40),  # at the end
        ([2.3] * 30 + [1e14] * 10, 40),
        ([1e6] * 10 + [1e10] * 70, 50),
        ([0.0] * 10 + [5e3] * 70, 50),
    ],
)
def test_stopped(losses: Sequence[float], step: int) -> None:
    assert _watched(losses, length=40) == step


def test_short_epochs_need_twenty_steps() -> None:
    assert _watched([2.3] * 4 + [1e6] * 19 + [2.3], length=2) == 0
    assert _watched([2.3] * 4 + [1e6] * 40, length=2) == 24


def test_a_resumed_run_knows_what_it_started_from() -> None:
    assert _watched([1e14] * 50, length=40, start=2.3) == 40
    assert _watched([1e14] * 50, length=40) == 0


def test_training_that_diverges_keeps_the_last_good_state(make_job: Any, capsys: Any) -> None:
    """Least squares with a rate above 2 / curvature: the loss grows by a factor at each step."""

    def squares(labels: Any, outputs: Any, variables: Any) -> Any:
        return tf.reduce_mean(tf.square(outputs - 1.0)), {}

    def job(**changes: Any) -> FitJob:
        sgd = keras.optimizers.SGD(0.02)
        loss = LossComposer(squares)
        return make_job(loss=loss, optimizer=sgd, num_steps=24, save_step=2, **changes)

    def train(model: keras.Model) -> None:
        with pytest.raises(
            InputError,
            match=r"^training diverged: the loss was \d\.\d+ at the first step and [\d.]+e\+\d+ at "
            r"step 24; the last good model, of step \d+, is in .*state\.keras\. "
            r"Lower --lrn_rate_ft .*: the rate was 0\.02, try 0\.002\.$",
        ):
            fit(model, job())

    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.Input((6, 6, 2)), keras.layers.Flatten(), keras.layers.Dense(4)]
    )
    train(model)
    state = read_state(make_job().state_path)
    assert state is not None
    assert state.step == 6  # the eighth step's loss is the first above 1000 times the first's
    for variable, value in zip(model.variables, state.network, strict=True):
        np.testing.assert_array_equal(variable, value)
    train(keras.models.clone_model(model))  # the same again when it goes on from there

    class Signal(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if int(self.model.optimizer.iterations) == 13:
                os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted):
        fit(model, job(callbacks=[Signal()]))
    assert "stopped by SIGINT at step 13 of 24, step 6 is saved in" in capsys.readouterr().err


def test_advice_of_the_caller(make_job: Any) -> None:
    def poisoned(first_step: int) -> tf.data.Dataset:
        return batches(first_step).map(lambda images, labels: (images / 0.0, labels))

    job = make_job(make_train=poisoned, advice="Try --rate=1.", optimizer=optimizer())
    with pytest.raises(InputError, match=r"became NaN or infinite at step 1; .* Try --rate=1\.$"):
        fit(network(), job)
