"""What learners share; resuming as a whole is in `tests/contract` and `tests/main_test.py`."""

import signal
import subprocess
import sys
import time
import types
import zlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from learners.base import AbstractLearner, Trained
from learners.context import StageContext
from tests.learners.recipes import (
    RATE,
    Thrice,
    shifted,
    toy_helper,
    toy_learner,
    toy_network,
)
from tests.learners.runs import make_run
from utils.errors import InputError
from utils.graph import from_keras, to_keras
from utils.training import read_state
from utils.training.reproducible import fixed_order


class Doubling(AbstractLearner):
    """A learner of the shortest kind: doubles the last bias, then fine-tunes."""

    def train(self):
        saved = self.saved_network()
        if saved is not None:
            self.notes.append("resumed")
        model = saved or self.model
        if saved is None:
            with self.timed("doubling"):
                bias = model.weights[-1]
                bias.assign(2 * bias)
            self.layers = {"fc2": {"error": 0.25}}
        self.fine_tune(model)
        return Trained(model)


def learner_in(folder, model, teacher=None, **values):
    plan, helper = make_run("chn-pruned-rmt", folder, **values)
    context = StageContext(
        run=plan.run,
        stage=plan.stages[0],
        helper=helper,
        log_dir=plan.log_dir,
        teacher=teacher,
    )
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    return Doubling(context, copy)


def test_seconds_of_a_part_add_up(trained_digits, tmp_path):
    learner = learner_in(tmp_path, trained_digits)
    for _ in range(2):
        with learner.timed("part"):
            time.sleep(0.01)
    assert 0.02 <= learner.seconds["part"] < 1.0
    with pytest.raises(ZeroDivisionError), learner.timed("broken"):
        raise ZeroDivisionError
    assert "broken" in learner.seconds


def test_fingerprint_is_what_computes(trained_digits, tmp_path):
    names = set(learner_in(tmp_path, trained_digits).fingerprint())
    assert {"seed", "batch_size", "budget", "cpr_prune_ratio", "lrn_rate_ft"} <= names
    assert not names & {"out_dir", "nb_epochs", "tflite", "log_dir", "debug", "cpr_save_path"}


def test_fine_tuning_leaves_state_and_history(trained_digits, tmp_path):
    learner = learner_in(tmp_path, trained_digits, nb_epochs="0.09", lrn_rate_ft=0.01)
    model = learner.train().model
    assert [(row["stage"], row["step"]) for row in learner.history] == [("chn-pruned-rmt", 2)]
    assert set(learner.seconds) == {"doubling", "fine_tuning"}
    assert learner.seconds["fine_tuning"] > 0
    state = read_state(learner.context.stage.state_path)
    assert (state.step, state.finished) == (2, True)
    assert (tmp_path / "logs" / "chn-pruned-rmt").is_dir()
    np.testing.assert_array_equal(state.network[0], model.weights[0])


def test_resumed_stage_has_its_facts(trained_digits, tmp_path):
    first = learner_in(tmp_path, trained_digits, nb_epochs="0.09")
    model = first.train().model
    again = learner_in(tmp_path, trained_digits, nb_epochs="0.09")
    resumed = again.train().model
    assert again.notes == ["resumed"]
    assert again.layers == {"fc2": {"error": 0.25}}
    assert again.history == first.history
    assert again.seconds["doubling"] == pytest.approx(first.seconds["doubling"])
    for one, other in zip(model.weights, resumed.weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_nothing_saved_or_nothing_wanted(trained_digits, tmp_path):
    assert learner_in(tmp_path, trained_digits).saved_network() is None
    learner_in(tmp_path, trained_digits, nb_epochs="0").train()
    assert learner_in(tmp_path, trained_digits, nb_epochs="0").saved_network() is not None
    fresh = learner_in(tmp_path, trained_digits, nb_epochs="0", resume=False)
    assert fresh.saved_network() is None
    # A plain network at the state's path is none of ours.
    trained_digits.save(tmp_path / "state" / "1_chn_pruned_rmt.keras")
    assert learner_in(tmp_path, trained_digits).saved_network() is None


@pytest.mark.parametrize(("nb_epochs", "steps"), [("0", 0), ("0.09", 2), ("2", 44), (None, 660)])
def test_steps_of_fine_tuning(nb_epochs, steps, trained_digits, tmp_path):
    learner = learner_in(tmp_path, trained_digits, nb_epochs=nb_epochs)
    assert learner.fine_tune_steps() == steps


def test_no_epochs_change_nothing(trained_digits, tmp_path):
    learner = learner_in(tmp_path, trained_digits, nb_epochs="0")
    learner.fine_tune(learner.model)
    assert learner.history == []
    for one, other in zip(learner.model.weights, trained_digits.weights, strict=True):
        np.testing.assert_array_equal(one, other)


HINTS = {"nb_epochs": "0.09", "enbl_dst": True, "loss_w_hint": 1.0}


def test_hints_of_the_same_network(trained_digits, tmp_path):
    learner = learner_in(tmp_path, trained_digits, trained_digits, **HINTS)
    learner.train()
    assert learner.notes == []
    assert 0.0 < learner.history[-1]["hint"] < 1.0


def test_hints_of_a_nested_teacher(trained_digits, tmp_path):
    inputs = keras.Input(trained_digits.input_shape[1:], name=trained_digits.layers[0].name)
    nested = keras.Model(inputs, trained_digits(inputs))
    learner = learner_in(tmp_path, to_keras(from_keras(nested)), nested, **HINTS)
    learner.train()
    assert learner.notes == []
    assert 0.0 < learner.history[-1]["hint"] < 1.0


def test_hints_without_common_maps_are_left_out_and_said_so(trained_digits, tmp_path):
    other = keras.models.clone_model(
        trained_digits, clone_function=lambda layer: layer.from_config(renamed(layer))
    )
    learner = learner_in(tmp_path, trained_digits, other, **HINTS)
    learner.train()
    assert [note.startswith("--loss_w_hint had no effect") for note in learner.notes] == [True]
    assert "hint" not in learner.history[-1]
    assert "distillation" in learner.history[-1]


def renamed(layer):
    return {**layer.get_config(), "name": f"other_{layer.name}"}


# --- several fits ---------------------------------------------------------------------------------


class AtStep(keras.callbacks.Callback):
    """Does something after one step of a part with so many steps."""

    def __init__(self, step, action):
        super().__init__()
        self._step, self._action = step, action

    def on_train_batch_end(self, batch, logs=None):
        self._step -= 1
        if not self._step:
            self._action()


class KilledError(Exception):
    """Stands for a kill where the process must go on."""


def raise_killed():
    raise KilledError


_KILLED_RUN = """
import os, pathlib, signal, sys
from tests.learners.base_test import AtStep
from tests.learners.recipes import Thrice, toy_learner, toy_network
learner = toy_learner(Thrice, pathlib.Path(sys.argv[1]), toy_network(), save_step=2)
learner.callbacks = [AtStep(10, lambda: os.kill(os.getpid(), signal.SIGKILL))]
learner.train()
"""


def kill_9(folder):
    """Run `Thrice` in a process of its own that is killed in its second fit."""
    command = [sys.executable, "-c", _KILLED_RUN, str(folder)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr


def stop_at(step):
    """Run `Thrice` up to a step, counted over all parts."""

    def stop(folder):
        learner = toy_learner(Thrice, folder, toy_network(), save_step=2)
        learner.callbacks = [AtStep(step, raise_killed)]
        with pytest.raises(KilledError):
            learner.train()

    return stop


def without_times(history):
    times = ("seconds", "images_per_second")
    return [{name: row[name] for name in row if name not in times} for row in history]


@pytest.fixture(scope="module")
def thrice(tmp_path_factory):
    """A recipe of three fits and its network, trained without a kill."""
    learner = toy_learner(Thrice, tmp_path_factory.mktemp("thrice"), toy_network())
    return learner, learner.train().model


def assert_same_variables(one, other):
    for a, b in zip(one.variables, other.variables, strict=True):
        np.testing.assert_array_equal(a, b, err_msg=a.path)


def test_fits_are_those_of_plain_keras(thrice):
    """The same batches, rates and work between, in three calls of Keras' own `fit`."""
    model, helper = toy_network(), toy_helper()
    shifted(model)
    for part, num_steps in (("warm_up", 6), ("round_0/all", 7), ("round_1/all", 7)):
        if num_steps == 7:
            shifted(model)
        schedule = keras.optimizers.schedules.CosineDecay(RATE, 7) if num_steps == 7 else RATE
        keras.utils.set_random_seed(0)
        model.compile(
            keras.optimizers.SGD(schedule, momentum=0.9),
            lambda y, p: helper.calc_loss(tf.cast(y, tf.int64), p, model.trainable_variables)[0],
        )
        with fixed_order():
            model.fit(helper.build_dataset_train(), steps_per_epoch=num_steps, verbose=0)
        keras.utils.set_random_seed(zlib.crc32(part.encode()) % 2**31)
    assert_same_variables(model, thrice[1])


def test_facts_of_several_fits(thrice):
    learner, _ = thrice
    assert list(learner.seconds) == ["choice", "warm_up", "round_0/all", "round_1/all"]
    name = "chn-pruned-rmt"
    assert [(row["stage"], row["step"]) for row in learner.history] == [
        (f"{name}: {part}", step)
        for part, steps in (("warm_up", (4, 6)), ("round_0/all", (4, 7)), ("round_1/all", (4, 7)))
        for step in steps
    ]
    state = learner.context.stage.state_path
    assert sorted(file.name for file in state.parent.iterdir()) == [
        f"{state.stem}.keras",
        f"{state.stem}.round_0.all.keras",
        f"{state.stem}.warm_up.keras",
    ]
    assert (learner.context.log_dir / name / "round_0" / "all" / "train").is_dir()


@pytest.mark.parametrize("kill", [stop_at(3), kill_9, stop_at(20)], ids=["3", "kill -9", "20"])
def test_killed_in_any_of_its_fits_it_ends_with_the_same_bits(kill, thrice, tmp_path):
    kill(tmp_path)
    resumed = toy_learner(Thrice, tmp_path, toy_network(), save_step=2)
    model = resumed.train().model
    assert_same_variables(model, thrice[1])
    assert without_times(resumed.history) == without_times(thrice[0].history)
    assert list(resumed.seconds) == list(thrice[0].seconds)
    assert resumed.layers == {"fc2": {"error": 0.25}}
    again = toy_learner(Thrice, tmp_path, toy_network())
    assert_same_variables(again.train().model, thrice[1])
    assert again.history == resumed.history


def test_work_between_fits_must_be_the_same(tmp_path):
    class Other(Thrice):
        by = 1.0

        def train(self):
            model = self.model
            self.fit("one", model, schedule=RATE, num_steps=2)
            shifted(model, self.by)
            self.fit("two", model, schedule=RATE, num_steps=2)
            return Trained(model)

    toy_learner(Other, tmp_path, toy_network()).train()
    Other.by = 2.0
    learner = toy_learner(Other, tmp_path, toy_network())
    with pytest.raises(
        InputError, match=r"started differently \(it was given another network\).*--resume=False"
    ):
        learner.train()
    assert list(learner.seconds) == ["one"]
    toy_learner(Other, tmp_path, toy_network(), resume=False).train()


def test_another_schedule_is_refused(tmp_path):
    toy_learner(Thrice, tmp_path, toy_network()).fit("a", toy_network(), schedule=0.1, num_steps=1)
    learner = toy_learner(Thrice, tmp_path, toy_network())
    with pytest.raises(
        InputError, match=r"\(lrn_rates: saved \[0\.1, .*\], received \[0\.2, .*; steps: saved 1,"
    ):
        learner.fit("a", toy_network(), schedule=0.2, num_steps=2)


@pytest.mark.parametrize(("own", "rate"), [(None, 0.03), (0.2, 0.2)])
def test_fine_tuning_rate_is_the_learners_own_or_that_of_the_run(own, rate, tmp_path):
    learner = toy_learner(
        Thrice, tmp_path, toy_network(), lrn_rate_ft=0.03, nb_epochs="0.5", summ_step=1
    )
    learner.config = types.SimpleNamespace(fine_tune_lrn_rate=own)
    learner.fingerprint = dict
    rates = []
    build = learner.helper.build_optimizer
    learner.helper.build_optimizer = lambda schedule: (
        rates.append(float(schedule(0))) or build(schedule)
    )
    learner.fine_tune(toy_network())
    assert rates == [pytest.approx(rate)]
    assert learner.history[-1]["step"] == 2
