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
from learners.full_precision.learner import FullPrecLearner
from tests.learners.recipes import (
    RATE,
    Doors,
    Doubled,
    Thrice,
    shifted,
    toy_helper,
    toy_learner,
    toy_network,
)
from tests.learners.runs import make_run
from utils.errors import InputError
from utils.graph import from_keras, to_keras
from utils.training import distillation, read_state
from utils.training.muon import Muon
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


def test_fine_tuning_by_muon(trained_digits, tmp_path):
    own = learner_in(tmp_path / "own", trained_digits, nb_epochs="0.09")
    muon = learner_in(tmp_path / "muon", trained_digits, nb_epochs="0.09", optimizer_ft="muon")
    assert type(muon.fine_tune_optimizer(0.1, trained_digits)) is Muon
    models = [learner.train().model for learner in (own, muon)]
    kernels = [np.array(model.get_layer("conv2").kernel) for model in models]
    assert not np.array_equal(*kernels)
    state = read_state(muon.context.stage.state_path)
    assert state.fingerprint["optimizer"] == "Muon"


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


def test_the_network_of_any_fit_that_was_begun(thrice):
    """Where a recipe goes on whose networks differ from fit to fit."""
    context = thrice[0].context
    again = Thrice(context, toy_network())
    for part, stem in (("round_0/all", ".round_0.all"), ("round_1/all", "")):
        path = context.stage.state_path
        wanted = keras.models.load_model(path.with_stem(f"{path.stem}{stem}"))
        found = again.saved_network(part)
        for weight, value in zip(found.weights, wanted.weights, strict=True):
            np.testing.assert_array_equal(weight, value)
    assert again.layers == {"fc2": {"error": 0.25}}
    assert again.saved_network("round_2/all") is None


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
        InputError,
        match=r"\(steps: saved 1, received 2; lrn_rates: saved \[0\.1, .* received \[0\.2,",
    ):
        learner.fit("a", toy_network(), schedule=0.2, num_steps=2)


@pytest.mark.parametrize(("own", "rate"), [(None, 0.03), (0.2, 0.2)])
def test_fine_tuning_rate_is_the_learners_own_or_that_of_the_run(own, rate, tmp_path):
    learner = toy_learner(
        Thrice, tmp_path, toy_network(), lrn_rate_ft=0.03, nb_epochs="0.5", summ_step=1
    )
    learner.config = types.SimpleNamespace(fine_tune_lrn_rate=own, PREFIX="toy_")
    learner.fingerprint = dict
    rates = []
    build = learner.helper.build_optimizer
    learner.helper.build_optimizer = lambda schedule: (
        rates.append(float(schedule(0))) or build(schedule)
    )
    learner.fine_tune(toy_network())
    assert rates == [pytest.approx(rate)]
    flag = "lrn_rate_ft" if own is None else "toy_lrn_rate_ft"
    expected = f"Lower --{flag}: it was {rate}, try --{flag}={min(rate / 10, 0.01):g}."
    assert learner._advice("fine_tuning") == expected
    assert learner.history[-1]["step"] == 2


# --- terms, optimizers, wrappers, zeros -----------------------------------------------------------


@pytest.fixture(scope="module")
def doors(tmp_path_factory):
    learner = toy_learner(Doors, tmp_path_factory.mktemp("doors"), toy_network())
    return learner, learner.train()


def test_each_door_does_what_it_says(doors):
    learner, trained = doors
    rows = {row["stage"].partition(": ")[2]: row for row in learner.history}
    assert [name for name in rows if "head" in rows[name]] == ["head"]
    assert int(learner.count) == 5
    assert float(learner.offset) != 0.0
    inputs = np.ones((2, 6), "float32")
    difference = trained.deployed(inputs) - trained.model(inputs)
    assert np.abs(difference).max() > 0
    state = keras.models.load_model(learner.context.stage.state_path)  # plain Keras
    assert [layer.name for layer in state.layers] == ["images", "fc1", "relu", "dropout", "fc2"]
    for one, other in zip(state.weights, trained.model.weights, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("step", [4, 8, 13])
def test_a_stopped_recipe_of_many_doors_ends_with_the_same_bits(step, doors, tmp_path):
    stopped = toy_learner(Doors, tmp_path, toy_network(), save_step=2)
    stopped.callbacks = [AtStep(step, raise_killed)]
    with pytest.raises(KilledError):
        stopped.train()
    resumed = toy_learner(Doors, tmp_path, toy_network(), save_step=2)
    trained = resumed.train()
    assert_same_variables(trained.model, doors[1].model)
    assert float(resumed.offset) == float(doors[0].offset)
    assert without_times(resumed.history) == without_times(doors[0].history)


def test_another_weight_of_a_term_is_refused(tmp_path):
    def fit(weight):
        learner = toy_learner(Doors, tmp_path, toy_network(), teacher=toy_network())
        model = toy_network()
        loss = learner.default_loss(model)
        assert [term.name for term in loss.terms] == ["distillation"]
        terms = [distillation(weight)]
        learner.fit(
            "a",
            model,
            schedule=RATE,
            num_steps=1,
            loss=type(loss)(loss.calc_loss, terms, teacher=loss.teacher),
        )

    fit(1.0)
    with pytest.raises(InputError, match=r"terms: saved {'distillation': 1\.0}, received"):
        fit(2.0)


def test_hints_of_a_wrapped_network_are_those_that_are_there(trained_digits, tmp_path):
    learner = learner_in(tmp_path, trained_digits, trained_digits, **HINTS)
    plain = learner.model
    x = plain.input
    for layer in plain.layers[1:]:
        x = Doubled(layer, name="other")(x) if layer.name == "relu2" else layer(x)
    hints = learner.default_loss(plain).terms[1].needs
    assert "relu2" in hints
    terms = learner.default_loss(keras.Model(plain.input, x), plain).terms
    assert [term.needs for term in terms] == [(), tuple(n for n in hints if n != "relu2")]


def sparse_network():
    model = toy_network()
    kernel = model.get_layer("fc1").kernel
    kernel.assign(kernel * (np.arange(48).reshape(6, 8) % 3 > 0))
    return model


def zeros_of(model):
    return [np.asarray(weight) == 0 for weight in model.weights if len(weight.shape) > 1]


def test_every_learner_keeps_zeros(tmp_path):
    before = zeros_of(sparse_network())
    for kind in (Thrice, FullPrecLearner):
        learner = toy_learner(kind, tmp_path / kind.__name__, sparse_network(), nb_epochs="1")
        model = learner.train().model
        # Thrice changes fc2 between its fits, which has no zeros.
        for zeros, now in zip(before, zeros_of(model), strict=True):
            np.testing.assert_array_equal(zeros, now)
        assert not np.array_equal(model.weights[0], sparse_network().weights[0])


def test_zeros_that_were_drawn_may_learn(tmp_path):
    learner = toy_learner(FullPrecLearner, tmp_path, sparse_network(), nb_epochs="1", fresh=True)
    assert not zeros_of(learner.train().model)[0].any()


def test_a_recipe_may_let_zeros_grow(tmp_path):
    learner, model = toy_learner(Thrice, tmp_path, sparse_network()), sparse_network()
    learner.fit("a", model, schedule=RATE, num_steps=2, keep_zeros=False)
    assert not zeros_of(model)[0].any()
