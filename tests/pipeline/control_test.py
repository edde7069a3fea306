"""What the control is trained with; that it equals plain Keras is in `tests/users/control_test`."""

import keras
import pytest

from learners.base import Trained
from pipeline import control
from pipeline.outcome import Outcome
from tests.learners.runs import TWO_STEPS, make_run


class Stage:
    """A stage that has run: as much of a learner as the control looks at."""

    def __init__(self, context, steps):
        self.context = context
        self.history = [{"stage": context.stage.learner, "step": step} for step in steps]


@pytest.fixture
def run(tmp_path, monkeypatch, trained_digits):
    """Train the control of a run of two stages that compress; give it and what was trained."""
    from learners.context import StageContext

    plan, helper = make_run(
        "full-prec,chn-pruned-rmt", tmp_path, nb_epochs=f"1,{TWO_STEPS}", enbl_dst=True
    )
    stages = []
    for index, stage in enumerate(plan.stages):
        context = StageContext(
            run=plan.run, stage=stage, helper=helper, log_dir=plan.log_dir, teacher=trained_digits
        )
        stages.append(Stage(context, [(22,), (1, 2)][index]))
    copy = keras.models.clone_model(trained_digits)
    outcome = Outcome(copy, Trained(copy), tuple(stages))
    seen = []
    fit = control._ControlLearner.fit

    def watched(self, part, model, **options):
        seen.append((part, options["num_steps"], float(options["schedule"](0)), self.context))
        return fit(self, part, model, **options)

    monkeypatch.setattr(control._ControlLearner, "fit", watched)
    return control.train_control(plan, helper, outcome, copy), seen, tmp_path


def test_only_what_came_after_the_network_before_is_repeated(run):
    found, seen, folder = run
    ((part, num_steps, rate, context),) = seen
    assert (part, num_steps, rate) == ("fine_tuning", 2, pytest.approx(0.01))
    assert context.teacher is None
    assert context.stage.state_path == folder / "state" / "control_2_chn_pruned_rmt.keras"
    assert context.stage.state_path.is_file()
    assert {row["stage"] for row in found.history} == {"control"}
    assert found.history[-1]["step"] == 2 and found.seconds > 0
