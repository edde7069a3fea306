"""Training: history, resume to the bit after a real kill, refusals, losses that are not finite."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.utils.training.conftest import batches, calc_loss, network, optimizer
from utils.errors import InputError
from utils.files import load_keras_model
from utils.stopping import Interrupted, Terminated
from utils.training import FitJob, LossComposer, Term, evaluate, fit, read_state
from utils.training.reproducible import fixed_order


class AtStep(keras.callbacks.Callback):
    """Does something after one step."""

    def __init__(self, step: int, action: Any) -> None:
        super().__init__()
        self._step, self._action = step, action

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if int(self.model.optimizer.iterations) == self._step:
            self._action(self.model)


class KilledError(Exception):
    """Stands for a kill where the process must go on."""


def _kill(model: Any) -> None:
    raise KilledError


def _assert_same_weights(one: keras.Model, other: keras.Model) -> None:
    assert len(one.variables) == len(other.variables)
    for a, b in zip(one.variables, other.variables, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy(), err_msg=a.path)


def _without_times(history: Any) -> list[dict[str, float]]:
    times = ("seconds", "images_per_second")
    return [{name: row[name] for name in row if name not in times} for row in history]


def test_history_and_result(make_job: Any) -> None:
    model = network()
    val_data = batches(seed=9).take(3)
    result = fit(model, make_job(val_data=val_data))
    assert [(row["epoch"], row["step"]) for row in result.history] == [(1, 8), (2, 16), (3, 20)]
    last = result.history[-1]
    assert last["loss"] < result.history[0]["loss"]
    scores = evaluate(model, val_data, calc_loss)
    assert last["val_accuracy"] == pytest.approx(scores["accuracy"], abs=1e-6)
    # What is minimized, with its weight decay; a score is without.
    images, labels = (np.concatenate(parts) for parts in zip(*val_data, strict=True))
    whole, _ = calc_loss(labels, model(images), model.trainable_variables)
    assert last["val_loss"] == pytest.approx(float(whole), abs=1e-6)
    assert last["lrn_rate"] == pytest.approx(0.05 * (1 + np.cos(np.pi * 20 / 40)) / 2)
    assert (result.num_steps, result.resumed_from) == (20, None)
    assert result.seconds > 0
    assert result.images_per_second > 0


def test_equals_a_bare_keras_fit(make_job: Any) -> None:
    ours, bare = network(), network()
    fit(ours, make_job(num_steps=16))
    keras.utils.set_random_seed(0)
    bare.compile(
        optimizer(),
        lambda y, p: calc_loss(tf.cast(y, tf.int64), p, bare.trainable_variables)[0],
    )
    with fixed_order():
        bare.fit(batches(), steps_per_epoch=8, epochs=2, shuffle=False, verbose=0)
    _assert_same_weights(ours, bare)


def test_the_state_is_a_plain_keras_model(make_job: Any) -> None:
    model, job = network(), make_job()
    fit(model, job)
    images = next(iter(batches()))[0]
    for loaded in (keras.models.load_model(job.state_path), load_keras_model(job.state_path)):
        np.testing.assert_array_equal(model(images), loaded(images))
    assert os.listdir(os.path.dirname(job.state_path)) == ["state.keras"]


_KILLED_RUN = """
import os, signal, sys
from tests.utils.training.conftest import batches, calc_loss, network, optimizer
from tests.utils.training.fit_test import AtStep
from utils.training import FitJob, LossComposer, fit

kill = AtStep(14, lambda model: os.kill(os.getpid(), signal.SIGKILL))
job = FitJob(
    make_train=batches, steps_per_epoch=8, num_steps=20, optimizer=optimizer(sys.argv[2]),
    loss=LossComposer(calc_loss), state_path=sys.argv[1], quiet=True, save_step=3, callbacks=[kill],
)
fit(network(), job)
"""


@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_resumed_after_kill_9_is_bit_equal(
    make_job: Any, tmp_path: pathlib.Path, name: str
) -> None:
    killed = tmp_path / "killed.keras"
    command = [sys.executable, "-c", _KILLED_RUN, str(killed), name]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    state = read_state(killed)
    assert state is not None
    assert (state.step, state.finished) == (12, False)

    whole, resumed = network(), network(seed=5)
    job = make_job(optimizer=optimizer(name), save_step=3)
    expected = fit(whole, job)
    again = make_job(optimizer=optimizer(name), save_step=3, state_path=killed)
    result = fit(resumed, again)
    assert result.resumed_from == 12
    _assert_same_weights(whole, resumed)
    assert _without_times(result.history) == _without_times(expected.history)
    for a, b in zip(job.optimizer.variables, again.optimizer.variables, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy(), err_msg=a.path)


@pytest.mark.parametrize("step", [1, 8, 17])
def test_resumed_from_any_step_is_bit_equal(make_job: Any, step: int) -> None:
    whole = network()
    expected = fit(whole, make_job())
    stopped = make_job(resume=False, save_step=step, callbacks=[AtStep(step + 1, _kill)])
    with pytest.raises(KilledError):
        fit(network(), stopped)
    resumed = network(seed=7)
    result = fit(resumed, make_job(optimizer=optimizer()))
    assert result.resumed_from in (step, step // 8 * 8, 0)
    _assert_same_weights(whole, resumed)
    assert _without_times(result.history) == _without_times(expected.history)


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Let SIGINT interrupt: what a shell starts in the background begins with it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def _signalled_at(step: int, number: signal.Signals) -> AtStep:
    return AtStep(step, lambda model: os.kill(os.getpid(), number))


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize(
    ("step", "number", "raised"),
    [(5, signal.SIGINT, KeyboardInterrupt), (8, signal.SIGTERM, SystemExit)],
)
def test_a_signal_saves_at_the_end_of_its_step(
    make_job: Any, capsys: Any, step: int, number: signal.Signals, raised: type[BaseException]
) -> None:
    whole = network()
    expected = fit(whole, make_job())
    job = make_job(resume=False, optimizer=optimizer(), callbacks=[_signalled_at(step, number)])
    with pytest.raises(raised) as stop:
        fit(network(), job)
    assert isinstance(stop.value, (Interrupted, Terminated))
    line = capsys.readouterr().err.splitlines()[-1]
    assert line == (
        f"training: stopped by {number.name} at step {step} of 20, step {step} is saved in "
        f"{job.state_path}. The same command goes on from there."
    )
    resumed = network(7)
    result = fit(resumed, make_job(optimizer=optimizer()))
    assert result.resumed_from == step
    _assert_same_weights(whole, resumed)
    assert _without_times(result.history) == _without_times(expected.history)


@pytest.mark.usefixtures("interruptible")
def test_a_signal_in_the_last_step_stops_a_finished_run(make_job: Any) -> None:
    job = make_job(callbacks=[_signalled_at(20, signal.SIGINT)])
    with pytest.raises(Interrupted):
        fit(network(), job)
    state = read_state(job.state_path)
    assert state is not None
    assert (state.step, state.finished) == (20, True)


@pytest.mark.usefixtures("interruptible")
def test_a_second_signal_stops_at_once(make_job: Any) -> None:
    def twice(model: Any) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    job = make_job(callbacks=[AtStep(5, twice)])
    with pytest.raises(KeyboardInterrupt) as stop:
        fit(network(), job)
    assert not isinstance(stop.value, Interrupted)
    state = read_state(job.state_path)
    assert state is not None
    assert state.step == 0
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_finished_run_is_not_repeated(make_job: Any) -> None:
    model, job = network(), make_job()
    expected = fit(model, job)
    other = network(seed=3)
    result = fit(other, make_job(optimizer=optimizer(), make_train=None))
    assert result.history == expected.history
    assert result.resumed_from == 20
    _assert_same_weights(model, other)


def test_more_steps_continue_a_finished_run(make_job: Any) -> None:
    whole = network()
    fit(whole, make_job(num_steps=28))
    fit(network(), make_job(optimizer=optimizer(), resume=False))
    grown = network(seed=3)
    result = fit(grown, make_job(optimizer=optimizer(), num_steps=28))
    assert (result.resumed_from, result.num_steps) == (20, 28)
    _assert_same_weights(whole, grown)


def test_a_callback_may_end_the_run(make_job: Any) -> None:
    def stop(model: Any) -> None:
        model.stop_training = True

    job = make_job(callbacks=[AtStep(5, stop)])
    result = fit(network(), job)
    assert (result.num_steps, len(result.history)) == (5, 1)
    state = read_state(job.state_path)
    assert state is not None
    assert state.finished
    assert fit(network(), make_job(optimizer=optimizer())).num_steps == 5


def test_callbacks_that_change_weights_are_saved(make_job: Any) -> None:
    class Last(keras.callbacks.Callback):
        def on_train_end(self, logs: Any = None) -> None:
            self.model.network.get_layer("dense").bias.assign([7.0] * 4)

    job = make_job(callbacks=[Last()])
    fit(network(), job)
    np.testing.assert_array_equal(load_keras_model(job.state_path).get_layer("dense").bias, 7.0)


def test_no_steps_save_the_model_as_it_is(make_job: Any) -> None:
    model, job = network(), make_job(num_steps=0)
    result = fit(model, job)
    assert (result.history, result.num_steps, result.images_per_second) == ((), 0, 0.0)
    _assert_same_weights(model, network())
    assert read_state(job.state_path) is not None


def test_another_fingerprint_is_refused(make_job: Any) -> None:
    fit(network(), make_job(fingerprint={"ratio": 0.5, "kinds": ("a", "b")}))
    same = make_job(optimizer=optimizer(), fingerprint={"ratio": 0.5, "kinds": ["a", "b"]})
    assert fit(network(), same).resumed_from == 20
    with pytest.raises(
        InputError,
        match=r"started differently \(seed: saved 0, received 1; ratio: saved 0\.5, received 0\.6; "
        r"kinds: saved \['a', 'b'\], received None\).*--resume=False.*--out_dir",
    ):
        fit(network(), make_job(fingerprint={"ratio": 0.6}, seed=1))
    anew = make_job(fingerprint={"ratio": 0.6}, seed=1, resume=False)
    assert fit(network(), anew).resumed_from is None


def test_another_network_is_refused(make_job: Any) -> None:
    fit(network(), make_job())
    inputs = keras.Input((6, 6, 2))
    x = keras.layers.Conv2D(5, 3, name="conv")(inputs)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.Dropout(0.3)(keras.layers.Flatten()(x))
    other = keras.Model(inputs, keras.layers.Dense(4)(x))
    with pytest.raises(
        InputError,
        match=r"'conv/kernel' has the shape \(3, 3, 2, 4\) there and \(3, 3, 2, 5\) here",
    ):
        fit(other, make_job(optimizer=optimizer()))
    with pytest.raises(InputError, match="has 9 variables, this network 2"):
        fit(keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]), make_job())


def test_unwritable_path_is_refused_before_training(make_job: Any) -> None:
    with pytest.raises(InputError, match=r"cannot write '/proc/none/state\.keras'"):
        fit(network(), make_job(state_path="/proc/none/state.keras", make_train=None))


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_bad_loss_stops_and_keeps_the_last_good_model(make_job: Any, value: str) -> None:
    def poisoned(first_step: int) -> tf.data.Dataset:
        def poison(index: tf.Tensor, batch: Any) -> Any:
            return tf.where(tf.equal(index, 10), float(value), batch[0]), batch[1]

        return tf.data.Dataset.zip(tf.data.Dataset.counter(first_step), batches(first_step)).map(
            poison
        )

    good, model = network(), network()
    fit(good, make_job(num_steps=8, resume=False))
    job = make_job(optimizer=optimizer(), make_train=poisoned, save_step=8, resume=False)
    with pytest.raises(
        InputError,
        match=r"loss became NaN or infinite at step 11; the last good model, of step (8|0), is in "
        r".*state\.keras\. Lower --lrn_rate_ft .* or --lrn_rate_init",
    ):
        fit(model, job)
    state = read_state(job.state_path)
    assert state is not None
    assert state.is_finite
    for variable, value_there in zip(model.variables, state.network, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value_there)


def test_infinite_weights_are_never_saved(make_job: Any) -> None:
    def spoil(model: Any) -> None:
        model.network.get_layer("dense").bias.assign([np.inf] * 4)

    job = make_job(save_step=3, callbacks=[AtStep(6, spoil)])
    with pytest.raises(InputError, match=r"weights became NaN or infinite at step 6.*of step 3"):
        fit(network(), job)
    state = read_state(job.state_path)
    assert state is not None
    assert (state.step, state.is_finite) == (3, True)


def test_infinite_weights_before_training_are_refused(make_job: Any) -> None:
    model = network()
    model.get_layer("dense").bias.assign([np.nan] * 4)
    with pytest.raises(InputError, match="'small' holds NaN or infinite weights before training"):
        fit(model, make_job())


class Scaled(keras.layers.Layer):
    """A wrapper as a learner makes one: not registered, with a trained scale of its own."""

    def __init__(self, inner: keras.Layer, **options: Any) -> None:
        super().__init__(**options)
        self.inner = inner

    def build(self, shape: Any) -> None:
        self.scale = self.add_weight(name="scale", initializer="ones")

    def call(self, inputs: Any) -> Any:
        return self.inner(inputs) * self.scale


def wrapped(plain: keras.Model) -> keras.Model:
    """The same variables, with a wrapper around the convolution."""
    x = Scaled(plain.get_layer("conv"), name="scaled")(plain.input)
    for layer in plain.layers[2:]:
        x = layer(x)
    return keras.Model(plain.input, x, name="wrapped")


def test_wrappers_train_and_the_plain_network_is_saved(
    make_job: Any, tmp_path: pathlib.Path
) -> None:
    """Against Keras' own fit of the wrapped model; a resumed run has new wrappers."""
    bare = wrapped(network())
    keras.utils.set_random_seed(0)
    decayed = [variable for variable in bare.trainable_variables if variable.name != "scale"]
    bare.compile(optimizer(), lambda y, p: calc_loss(tf.cast(y, tf.int64), p, decayed)[0])
    with fixed_order():
        bare.fit(batches(), steps_per_epoch=12, shuffle=False, verbose=0)

    plain = network()
    stopped = make_job(saved=plain, save_step=5, callbacks=[AtStep(7, _kill)], num_steps=12)
    with pytest.raises(KilledError):
        fit(wrapped(plain), stopped)
    loaded = load_keras_model(stopped.state_path)  # plain Keras: no class of ours in it
    assert {type(layer).__module__.partition(".")[0] for layer in loaded.layers} == {"keras"}
    model = wrapped(loaded)
    model.get_layer("scaled").scale.assign(9.0)
    result = fit(model, make_job(saved=loaded, optimizer=optimizer(), num_steps=12))
    assert result.resumed_from == 5
    _assert_same_weights(model, bare)
    assert float(model.get_layer("scaled").scale) not in (1.0, 9.0)
    with pytest.raises(InputError, match="has 1 variables, this network 0"):
        fit(network(), make_job(optimizer=optimizer(), num_steps=12))


def test_an_auxiliary_head_is_trained_and_not_saved(make_job: Any) -> None:
    """Against a loop over plain Keras that adds the head's loss to the network's."""

    def with_head(plain: keras.Model) -> tuple[keras.Model, keras.layers.Layer]:
        keras.utils.set_random_seed(4)
        head = keras.layers.Dense(4, name="head")
        flat = keras.layers.GlobalAveragePooling2D(name="pool")(plain.get_layer("relu").output)
        return keras.Model(plain.input, [plain.output, head(flat)]), head

    def entropy(labels: Any, outputs: Any) -> Any:
        return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, outputs))

    def compute(batch: Any) -> Any:
        return entropy(batch.labels, batch.tensors["head"])

    plain = network()
    extended, head = with_head(plain)
    loss = LossComposer(calc_loss, [Term("auxiliary", 0.3, ("head",), compute)])
    val_data = batches(seed=9).take(2)
    job = make_job(saved=plain, loss=loss, num_steps=8, val_data=val_data)
    history = fit(extended, job).history

    other = network()
    both, other_head = with_head(other)
    keras.utils.set_random_seed(0)
    updates, variables = optimizer(), both.trainable_variables

    @tf.function
    def step(images: Any, labels: Any) -> None:
        with tf.GradientTape() as tape:
            outputs, auxiliary = both(images, training=True)
            total = calc_loss(labels, outputs, other.trainable_variables)[0]
            total += 0.3 * entropy(labels, auxiliary)
        updates.apply(tape.gradient(total, variables), variables)

    with fixed_order():
        for images, labels in batches().take(8):
            step(images, labels)
    for one, theirs in zip(extended.variables, both.variables, strict=True):
        np.testing.assert_allclose(one, theirs, rtol=1e-5, atol=1e-6, err_msg=one.path)
    assert not np.array_equal(head.kernel, with_head(network())[1].kernel)
    expected = evaluate(plain, val_data, calc_loss)
    assert history[0]["val_accuracy"] == pytest.approx(expected["accuracy"])
    assert {"auxiliary", "accuracy"} <= set(history[0])
    assert load_keras_model(job.state_path).output_shape == (None, 4)


def test_variables_of_a_callback_are_resumed(make_job: Any) -> None:
    class Adding(keras.callbacks.Callback):
        def __init__(self) -> None:
            super().__init__()
            self.seen = keras.Variable(0.0, trainable=False, name="seen")

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.seen.assign_add(1.0)

    first, second = Adding(), Adding()
    stop = AtStep(7, _kill)
    with pytest.raises(KilledError):
        fit(
            network(),
            make_job(callbacks=[first, stop], extra_variables=[first.seen], save_step=3),
        )
    again = make_job(callbacks=[second], extra_variables=[second.seen], optimizer=optimizer())
    fit(network(), again)
    assert float(second.seen) == 20.0


def test_a_saved_network_must_be_the_one_that_is_trained(make_job: Any) -> None:
    with pytest.raises(
        ValueError,
        match=r"`saved` must share its variables .* Received: 'conv/kernel' of 'small' is not",
    ):
        fit(wrapped(network()), make_job(saved=network(1)))


def test_regularizers_count(make_job: Any) -> None:
    model = keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            keras.layers.Flatten(),
            keras.layers.Dense(4, kernel_regularizer=keras.regularizers.L2(10.0)),
        ]
    )
    kernel = model.layers[-1].kernel.numpy()
    result = fit(
        model, make_job(num_steps=1, loss=LossComposer(lambda y, p, v: (0.0 * p[0, 0], {})))
    )
    assert result.history[0]["loss"] == pytest.approx(10 * np.sum(kernel**2), rel=1e-5)


def test_traces_once(make_job: Any) -> None:
    traces = []

    def counted(labels: Any, outputs: Any, variables: Any) -> Any:
        traces.append(1)
        return calc_loss(labels, outputs, variables)

    job: FitJob = make_job(
        num_steps=44, loss=LossComposer(counted), val_data=batches(seed=9).take(1)
    )
    fit(network(), job)
    assert len(traces) == 3  # names of the metrics, training, validation


def test_tensorboard_scalars(make_job: Any, tmp_path: pathlib.Path) -> None:
    job = make_job(log_dir=tmp_path / "logs", summ_step=5, val_data=batches(seed=9).take(1))
    fit(network(), job)
    found: dict[str, list[int]] = {}
    for part in ("train", "validation"):
        (file,) = (tmp_path / "logs" / part).iterdir()
        for event in tf.compat.v1.train.summary_iterator(str(file)):
            for value in event.summary.value:
                found.setdefault(f"{part}/{value.tag}", []).append(event.step)
    assert found["train/loss"] == found["train/lrn_rate"] == [5, 10, 15, 20]
    assert found["train/images_per_second"] == found["validation/accuracy"] == [8, 16, 20]
