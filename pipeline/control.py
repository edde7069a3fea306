"""The control: the network before compression, trained for as long as the compressed one.

Fine-tuning alone may raise the accuracy of a network that was not trained out, and compression gets
the credit. So the network before is given what the compressed one was given after its cut: in each
stage from the first that compresses on, as many steps as that stage trained, on the same batches
(same seed), with the optimizer of fine-tuning, a cosine from the stage's own fine-tuning rate to
zero. The loss is the helper's alone: no teacher, no hints, no terms of a method.
"""

import dataclasses
import itertools
from collections.abc import Iterable, Mapping
from typing import Any

import keras

from learners.base import AbstractLearner, Trained
from learners.context import StageContext, StagePlan
from nets.abstract_model_helper import AbstractModelHelper
from pipeline.outcome import Outcome
from pipeline.plan import Plan
from pipeline.reuse import keep_record, take_up
from utils.command import notes

NAME = "control"


@dataclasses.dataclass(frozen=True)
class Control:
    """What a control came to.

    Attributes:
        model: the network.
        history: a row per epoch, with `control` as its stage.
        seconds: time spent.
    """

    model: keras.Model
    history: tuple[Mapping[str, Any], ...]
    seconds: float


def train_control(
    plan: Plan, helper: AbstractModelHelper, outcome: Outcome, model: keras.Model
) -> Control:
    """Train the network before compression for as long as the compressed one.

    Killed, it goes on from its last save: it has state files of its own beside the stages'.

    Args:
        plan: the run's plan.
        helper: data, loss and schedule.
        outcome: the stages that ran.
        model: a copy of the network before, trained in place.

    Returns:
        The network and how it was trained.
    """
    history: list[Mapping[str, Any]] = []
    seconds = 0.0
    for learner in outcome.stages[plan.before_stage :]:
        num_steps = steps_of(learner.history)
        notes.print(f"control: the network before, trained for {num_steps} steps")
        control = _learner(plan, helper, learner.context, model, num_steps)
        model = control.train().model
        if learner.context.workers.is_chief:
            keep_record(control)
        history += control.history
        seconds += sum(control.seconds.values())
    return Control(model, tuple(history), seconds)


def steps_of(history: Iterable[Mapping[str, Any]]) -> int:
    """Count the steps that a stage trained: the last of each of its fits.

    Example:
        >>> rows = [{"stage": "a", "step": 5}, {"stage": "a", "step": 9}, {"stage": "b", "step": 4}]
        >>> steps_of(rows)
        13
    """
    fits = itertools.groupby(history, key=lambda row: row["stage"])
    return sum(max(int(row["step"]) for row in rows) for _, rows in fits)


class _ControlLearner(AbstractLearner):
    """Fine-tunes a network as it is, for a given number of steps."""

    def __init__(self, context: StageContext, model: keras.Model, num_steps: int) -> None:
        super().__init__(context, model)
        self._num_steps = num_steps

    def train(self) -> Trained:
        """Fine-tune; nothing is cut."""
        if self._num_steps:
            self.fine_tune(self.model)
        return Trained(self.model)

    def fine_tune_steps(self) -> int:
        """As many as the stage trained."""
        return self._num_steps

    def fingerprint(self) -> dict[str, Any]:
        """Also the number of steps: it follows from what another network was given."""
        return {**super().fingerprint(), "control_steps": self._num_steps}


def _learner(
    plan: Plan,
    helper: AbstractModelHelper,
    context: StageContext,
    model: keras.Model,
    num_steps: int,
) -> _ControlLearner:
    own = StageContext(
        run=plan.run,
        stage=_stage(context.stage),
        helper=helper,
        log_dir=plan.log_dir,
        workers=context.workers,
    )
    learner = _ControlLearner(own, model, num_steps)
    changes = take_up(learner, is_first=False)
    if not changes:
        return learner
    notes.print(f"note: the control is trained anew: {changes}.", markup=False)
    anew = dataclasses.replace(own, run=dataclasses.replace(plan.run, resume=False))
    return _ControlLearner(anew, model, num_steps)


def _stage(stage: StagePlan) -> StagePlan:
    path = stage.state_path
    return dataclasses.replace(
        stage, learner=NAME, state_path=path.with_name(f"{NAME}_{path.name}")
    )
