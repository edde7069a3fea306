"""What learners share; resuming as a whole is in `tests/contract` and `tests/main_test.py`."""

import time

import keras
import numpy as np
import pytest

from learners.base import AbstractLearner, Trained
from learners.context import StageContext
from tests.learners.runs import make_run
from utils.graph import from_keras, to_keras
from utils.training import read_state


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
