"""What every learner shares; a learner itself is only its method's recipe.

A learner is made from a `StageContext` (what to do, with which network and data) and the network it
starts from. `train()` is the recipe and returns the resulting network, an ordinary Keras model. The
pipeline saves, exports, measures and reports; the learner hands it what only it knows: seconds per
part, a row per layer, notes.
"""

import abc
import contextlib
import dataclasses
import json
import math
import time
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf

from learners.context import StageContext
from learners.identity import network_digest
from utils.files import load_keras_model
from utils.graph import from_keras, to_keras
from utils.report import Search
from utils.training import (
    FitJob,
    LossComposer,
    StatisticsRefresher,
    common_maps,
    fine_tune_schedule,
    fit,
    read_state,
)
from utils.training.state import check_fingerprint

_NB_SMPLS_BN = 1000
_NO_HINTS = (
    "--loss_w_hint had no effect: network and teacher have no feature map of the same shape behind "
    "the same layers."
)

_FIT_PARTS = ("training", "fine_tuning")  # their seconds come from the history of `fit`


@dataclasses.dataclass(frozen=True)
class Trained:
    """What a recipe leaves.

    Attributes:
        model: the resulting network, plain Keras; the pipeline saves it.
        deployed: what exporters convert, where that is another network; None for `model`.
    """

    model: keras.Model
    deployed: keras.Model | None = None


class AbstractLearner(abc.ABC):
    """Base of the learners.

    Args:
        context: what to do.
        model: the network to start from, the learner's own to change.

    Attributes:
        seconds: seconds per part of the recipe, by name.
        layers: facts by layer name for the report, e.g. `{"conv2": {"error": 0.01}}`.
        history: a row per epoch.
        notes: sentences for the report.
        search: how the choice for each layer was found, None without a search.
    """

    def __init__(self, context: StageContext, model: keras.Model) -> None:
        self.context = context
        self.config = context.stage.config
        self.helper = context.helper
        self.model = model
        self.seconds: dict[str, float] = {}
        self.layers: dict[str, dict[str, Any]] = {}
        self.history: list[dict[str, Any]] = []
        self.notes: list[str] = []
        self.search: Search | None = None
        self._start = network_digest(model)  # before a recipe that trains in place

    @abc.abstractmethod
    def train(self) -> Trained:
        """Carry out the recipe and return the resulting network."""

    @contextlib.contextmanager
    def timed(self, part: str) -> Iterator[None]:
        """Add the time spent inside to `seconds[part]`."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[part] = self.seconds.get(part, 0.0) + time.perf_counter() - start

    def fingerprint(self) -> dict[str, Any]:
        """Collect what a resumed run must share with the run it continues."""
        teacher, setting = self.context.teacher, self.context.setting
        return {
            "start": self._start,
            "teacher": None if teacher is None else network_digest(teacher),
            **self.context.decisive_flags(),
            "setting": None if setting is None else dict(setting.keep),
        }

    def saved_network(self) -> keras.Model | None:
        """Load the compressed network of a killed run of this stage, None if there is none."""
        path = self.context.stage.state_path
        state = read_state(path) if self.context.run.resume else None
        if state is None:
            return None
        received = json.loads(json.dumps(self._fine_tune_fingerprint()))
        saved = {name: state.fingerprint.get(name) for name in received}
        check_fingerprint(path, saved, received)
        self.layers = dict(state.extra.get("layers", {}))
        self.seconds = dict(state.extra.get("seconds", {}))
        self.notes = list(state.extra.get("notes", []))
        return load_keras_model(path, self.context.run.allow_unsafe)

    def train_from_scratch(self, model: keras.Model) -> None:
        """Train on the helper's own schedule."""
        schedule, num_steps = self.helper.setup_lrn_rate(self.context.stage.num_epochs)
        self._fit("training", model, schedule, num_steps)

    def fine_tune(self, model: keras.Model) -> None:
        """Train a compressed network in place: a cosine from `lrn_rate_ft` to zero."""
        num_steps = self.fine_tune_steps()
        schedule = fine_tune_schedule(self.context.run.lrn_rate_ft, num_steps)
        self._fit("fine_tuning", model, schedule, num_steps)

    def _fine_tune_fingerprint(self) -> dict[str, Any]:
        """Also the number of steps: the cosine ends with them."""
        return {**self.fingerprint(), "fine_tuning_steps": self.fine_tune_steps()}

    def fine_tune_steps(self) -> int:
        """Number of steps of `fine_tune`."""
        epochs = self.context.stage.num_epochs
        return self.helper.setup_lrn_rate(epochs)[1] if epochs != 0 else 0

    def _training_batches(self, first_step: int) -> tf.data.Dataset:
        if self.context.holds_out:
            split = self.helper.build_dataset_train(True, first_step=first_step)
            return split[0]
        return self.helper.build_dataset_train(first_step=first_step)

    def _teacher_and_hints(self, model: keras.Model) -> tuple[keras.Model | None, tuple[str, ...]]:
        """Give the teacher and the layers that hints compare; a note where there are none."""
        teacher, run = self.context.teacher, self.context.run
        if teacher is None or not run.distillation.loss_w_hint:
            return teacher, ()
        hints = common_maps(model, teacher)
        if not hints:  # a compressed network is flat, its teacher may be nested
            teacher = to_keras(from_keras(teacher, allow_unsafe=run.allow_unsafe))
            hints = common_maps(model, teacher)
        if not hints and _NO_HINTS not in self.notes:
            self.notes.append(_NO_HINTS)
        return teacher, hints

    def _fit(
        self,
        part: str,
        model: keras.Model,
        schedule: Any,
        num_steps: int,
        callbacks: Sequence[keras.callbacks.Callback] = (),
    ) -> None:
        run, distillation = self.context.run, self.context.run.distillation
        teacher, hints = self._teacher_and_hints(model)
        refresher = StatisticsRefresher(
            lambda: self._training_batches(0),
            nb_batches=math.ceil(_NB_SMPLS_BN / self.helper.config.batch_size),
            nb_steps=num_steps,
        )
        before = {name: value for name, value in self.seconds.items() if name not in _FIT_PARTS}
        job = FitJob(
            make_train=self._training_batches,
            steps_per_epoch=self.helper.steps_per_epoch,
            nb_steps=num_steps,
            optimizer=self.helper.build_optimizer(schedule),
            loss=LossComposer(
                self.helper.calc_loss,
                teacher=teacher,
                loss_w_dst=distillation.loss_w_dst,
                tempr_dst=distillation.tempr_dst,
                to_logits=self.helper.logits,
                loss_w_hint=distillation.loss_w_hint,
                hints=hints,
            ),
            state_path=self.context.stage.state_path,
            save_step=run.save_step,
            summ_step=run.summ_step,
            log_dir=self.context.log_dir / self.context.stage.learner,
            seed=run.seed,
            stage=self.context.stage.learner,
            callbacks=(*callbacks, refresher),
            fingerprint=(
                self._fine_tune_fingerprint() if part == "fine_tuning" else self.fingerprint()
            ),
            resume=run.resume,
            extra={"layers": self.layers, "seconds": before, "notes": self.notes},
            workers=self.context.workers,
        )
        result = fit(model, job)
        self.seconds[part] = result.seconds  # of all sessions of a resumed run
        self.history += [{"stage": self.context.stage.learner, **row} for row in result.history]
