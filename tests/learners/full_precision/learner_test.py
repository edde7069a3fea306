import keras
import numpy as np
import pytest

from learners.context import StageContext
from learners.full_precision.learner import FullPrecLearner
from pipeline import stages
from tests.learners.runs import make_run


def learner_in(folder, **values):
    plan, helper = make_run("full-prec", folder, **values)
    context = StageContext(run=plan.run, stage=plan.stages[0], helper=helper, log_dir=plan.log_dir)
    return FullPrecLearner(context, stages.initial_network(plan, helper))


def test_learns(tmp_path):
    learner = learner_in(tmp_path, nb_epochs="3", lrn_rate_init=0.02)
    model = learner.train().model
    losses = [row["loss"] for row in learner.history]
    assert losses == sorted(losses, reverse=True)
    assert stages.measurement.score(learner.helper, model)["accuracy"] > 0.6  # by chance: 0.1
    assert model is learner.model


def test_follows_the_helpers_schedule(tmp_path):
    """Of 30 epochs the rate falls after 15 and 25; of 1 epoch at the same shares."""
    learner = learner_in(tmp_path, nb_epochs="1", lrn_rate_init=0.02)
    learner.train()
    assert learner.history[-1]["lrn_rate"] == pytest.approx(0.02 * 0.01)


@pytest.mark.parametrize("wanted", [True, False])
def test_warm_start_of_the_helper(wanted, tmp_path, monkeypatch):
    learner = learner_in(tmp_path, nb_epochs="0", enbl_warm_start=wanted)
    started = []
    monkeypatch.setattr(learner.helper, "warm_start", started.append)
    model = learner.train().model
    assert started == ([model] if wanted else [])


def test_no_epochs_leave_the_fresh_weights(tmp_path):
    learner = learner_in(tmp_path, nb_epochs="0")
    before = [np.array(weight) for weight in learner.model.weights]
    model = learner.train().model
    assert isinstance(model, keras.Model)
    for weight, value in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(weight, value)
