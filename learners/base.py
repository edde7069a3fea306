"""What every learner shares; a learner itself is only its method's recipe.

A learner is made from a `StageContext` (what to do, with which network and data) and the network it
starts from. `train()` is the recipe and returns the resulting network, an ordinary Keras model (and
the one to deploy, where that is another). The pipeline saves, exports, measures and reports; the
learner hands it what only it knows: seconds per part, a row per layer, notes.
"""

import abc
import contextlib
import dataclasses
import json
import math
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf

from learners.budget import Budget
from learners.config import RunConfig
from learners.context import StageContext
from learners.identity import network_digest
from learners.setting import Setting
from learners.teaching import Teaching
from nets.abstract_model_helper import AbstractModelHelper
from utils.files import load_keras_model
from utils.report import Search
from utils.summaries import curve_folder
from utils.training import (
    FitJob,
    FitResult,
    LossComposer,
    StatisticsRefresher,
    fine_tune_schedule,
    fit,
    read_state,
)
from utils.training.muon import Muon, convolution_kernels
from utils.training.parts import PARTS, PartStates
from utils.training.state import GIVEN, check_fingerprint
from utils.training.terms import DOCUMENTED_TEMPERATURE

_NB_SMPLS_BN = 1000

_TRAINING, FINE_TUNING = "training", "fine_tuning"  # the parts of most recipes: one or the other

Schedule = Callable[[Any], Any] | float
"""A learning rate: a Keras schedule or another function of the step, or a constant."""


@dataclasses.dataclass(frozen=True)
class Trained:
    """What a recipe leaves.

    Attributes:
        model: the artefact, a plain Keras network: saved, measured, given to the next stage.
        deployed: what files for devices are made of, where that is another network (one with fake
            quantization inside, say); None for `model` itself.
        simulated: what the accuracy of the result is taken from, where that is another network: one
            with activations of few bits, which no file for devices can hold; None for `model`.
        packed: whether the choice was made by the bytes of the packed file, which is then written
            even where no kernel has few bits.
    """

    model: keras.Model
    deployed: keras.Model | None = None
    simulated: keras.Model | None = None
    packed: bool = False

    @property
    def scored(self) -> keras.Model:
        """The network whose accuracy is that of the result."""
        return self.model if self.simulated is None else self.simulated


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
        teaching: what the network learns from its teachers.
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
        self.teaching = Teaching(context)
        self.search: Search | None = None
        self._start = network_digest(model)  # before a recipe that trains in place
        self._states = PartStates(context.stage.state_path, resume=context.run.resume)
        # Digest of a network that was loaded half trained -> of the one that its fit was given;
        # for that fit alone: the next may be given the same weights.
        self._given: dict[str, str] = {}

    @abc.abstractmethod
    def train(self) -> Trained:
        """Carry out the recipe and return what came of it."""

    @classmethod
    def trial(cls, model: keras.Model, config: Any, *, allow_unsafe: bool) -> keras.Model | None:
        """Make a network of the kind that the recipe leaves, in a second: choices are arbitrary.

        Its files are tried before hours of training.

        Args:
            model: the network that a run begins with; not changed.
            config: the learner's flags.
            allow_unsafe: it may hold Python code.

        Returns:
            The network; None where the recipe leaves its layers and shapes as they are.
        """
        return None

    @classmethod  # noqa: B027  optional to override
    def check(
        cls, model: keras.Model, config: Any, helper: AbstractModelHelper, *, allow_unsafe: bool
    ) -> None:
        """Refuse a network or data that the recipe cannot work on, before anything is trained.

        Args:
            model: the network that a run begins with; not changed.
            config: the learner's flags.
            helper: data and loss.
            allow_unsafe: the network may hold Python code.

        Raises:
            InputError: where the recipe would fail later.
        """

    @classmethod  # noqa: B027  optional to override
    def check_choice(
        cls,
        model: keras.Model,
        config: Any,
        *,
        budget: Budget | None,
        setting: Setting | None,
        allow_unsafe: bool,
    ) -> None:
        """Refuse a budget or a setting that the network cannot have, before anything is trained.

        Not called where an earlier stage leaves another network, for which they are meant.

        Args:
            model: the network that a run begins with; not changed.
            config: the learner's flags.
            budget: of the stage; see `StageContext`.
            setting: likewise.
            allow_unsafe: the network may hold Python code.

        Raises:
            InputError: where the recipe would fail later.
        """

    @classmethod
    def file_weights(
        cls,
        model: keras.Model,
        config: Any,
        *,
        budget: Budget | None,
        setting: Setting | None,
        allow_unsafe: bool,
    ) -> str:
        """Say the number format of the weights in the int8 file of what the learner leaves.

        Args:
            model: see `check_choice`, after which it is called, as are all others.
            config: the learner's flags.
            budget: of the stage.
            setting: likewise.
            allow_unsafe: the network may hold Python code.
        """
        weights: str = config.file_weights
        return weights

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
        context, setting = self.context, self.context.setting
        teachers = [context.teacher, *context.further_teachers] if context.teacher else []
        return {
            "start": self._start,
            "teacher": " ".join(map(network_digest, teachers)) or None,
            **self.context.decisive_flags(),
            **self.helper.identity(),
            "setting": None if setting is None else dict(setting.values),
        }

    def saved_network(self, part: str | None = None) -> keras.Model | None:
        """Load the network of a killed run as a fit left it, None if there is none.

        That is where a recipe goes on whose choices are made before it trains: they are in the
        network's shapes. `fit` takes it for the network that its part was given.

        Args:
            part: the fit's name; None for the first.
        """
        path = self._states.first() if part is None else self._states.of(part)
        state = None if path is None else read_state(path)
        if path is None or state is None:
            return None
        received = json.loads(json.dumps(self.fingerprint()))
        saved = {name: state.fingerprint.get(name) for name in received}
        check_fingerprint(path, saved, received)
        self.layers = dict(state.extra.get("layers", {}))
        self.seconds |= state.extra.get("seconds", {})
        self.notes = list(state.extra.get("notes", []))
        network = load_keras_model(path, self.context.run.allow_unsafe)
        self._given[network_digest(network)] = state.fingerprint[GIVEN]
        return network

    def train_from_scratch(self, model: keras.Model) -> None:
        """Train on the helper's own schedule."""
        schedule, num_steps = self.helper.setup_lrn_rate(self.context.stage.num_epochs)
        self.fit(
            _TRAINING,
            model,
            schedule=schedule,
            num_steps=num_steps,
            keep_zeros=not self.context.fresh,  # else zeros are how a layer begins
        )

    def fine_tune(self, model: keras.Model) -> None:
        """Train a compressed network in place: a cosine from `fine_tune_lrn_rate` to zero."""
        num_steps = self.fine_tune_steps()
        schedule = fine_tune_schedule(self.fine_tune_lrn_rate, num_steps)
        optimizer = self.fine_tune_optimizer(schedule, model)
        self.fit(FINE_TUNING, model, schedule=schedule, num_steps=num_steps, optimizer=optimizer)

    def fine_tune_optimizer(
        self, schedule: Schedule, model: keras.Model
    ) -> keras.optimizers.Optimizer:
        """Make the optimizer that `--optimizer_ft` names, for a network."""
        if self.context.run.optimizer_ft == "muon":
            momentum = getattr(self.helper.config, "momentum", 0.9)
            return Muon(schedule, momentum=momentum, kernels=convolution_kernels(model))
        return self.helper.build_optimizer(schedule)

    @property
    def fine_tune_lrn_rate(self) -> float:
        """The highest rate of `fine_tune`: the learner's own flag, else `--lrn_rate_ft`."""
        own = self.config.fine_tune_lrn_rate
        return self.context.run.lrn_rate_ft if own is None else own

    def fine_tune_steps(self) -> int:
        """Number of steps of `fine_tune`."""
        epochs = self.context.stage.num_epochs
        return self.helper.setup_lrn_rate(epochs)[1] if epochs != 0 else 0

    def fit(  # noqa: PLR0913  every learner's one door to training
        self,
        part: str,
        model: keras.Model,
        *,
        schedule: Schedule,
        num_steps: int,
        loss: LossComposer | None = None,
        optimizer: keras.optimizers.Optimizer | None = None,
        callbacks: Sequence[keras.callbacks.Callback] = (),
        saved: keras.Model | None = None,
        extra_variables: Sequence[keras.Variable] = (),
        keep_zeros: bool = True,
    ) -> FitResult:
        """Train a network in place, as one of the fits of the recipe.

        Each has a state of its own. In a run that was killed, fits that had ended are not repeated:
        the network gets the weights that they left; the one that was under way goes on from its
        last save. What the recipe does between them is done again, and must give the same: a fit
        is resumed only for the network that it was given then. Random numbers that it draws from
        Keras' global generator are the same.

        Args:
            part: the fit's name, a key of `seconds`; in a loop with the number: "stage_2".
            model: the network.
            schedule: learning rate, constant or by step.
            num_steps: steps (batches) to train.
            loss: what is minimized; None for `default_loss(model, saved)`.
            optimizer: follows the schedule by itself; None for the helper's.
            callbacks: see `FitJob`. Those of a fit that is restored are not called.
            saved: the plain network, where `model` has wrappers or heads around it; see `FitJob`.
            extra_variables: of callbacks and terms, saved and resumed with the network's.
            keep_zeros: weights that are exactly zero stay so.

        Returns:
            History and speed.

        Raises:
            ValueError: if `part` is no name, or was trained before.
            InputError: if a killed run was another one; see `utils.training.fit` for the rest.
        """
        run, label = self.context.run, self._label(part)
        place = self._states.begin(part, writes=self.context.workers.is_chief)
        plain = saved or model
        digest = network_digest(plain)
        compared = {**self._compared(part, schedule, num_steps, loss), PARTS: place.parts}
        composed = loss or self.default_loss(model, saved)
        model = self.teaching.with_regressors(model, composed)
        job = FitJob(
            make_train=self._training_batches,
            steps_per_epoch=self.helper.steps_per_epoch,
            num_steps=num_steps,
            optimizer=optimizer or self.helper.build_optimizer(schedule),
            loss=composed,
            state_path=place.path,
            saved=None if plain is model else plain,
            extra_variables=extra_variables,
            keep_zeros=keep_zeros,
            save_step=run.save_step,
            summ_step=run.summ_step,
            log_dir=curve_folder(self.context.log_dir, label),
            val_data=self.helper.build_dataset_val(),
            seed=run.seed,
            stage=label,
            callbacks=(*callbacks, self._refresher(num_steps)),
            advice=self._advice(part),
            fingerprint={**compared, GIVEN: self._given.pop(digest, digest)},
            resume=place.resume,
            extra=self._facts(place.parts),
            workers=self.context.workers,
        )
        result = fit(model, job)
        self.seconds[part] = result.seconds  # of all sessions of a resumed run
        self.history += [{"stage": label, **row} for row in result.history]
        if composed.uses_teacher and result.num_steps:
            inputs = next(iter(self._training_batches(0)))[0]
            self.teaching.spent(plain, inputs, num_steps=result.num_steps, seconds=result.seconds)
        # What the recipe draws next must not depend on whether this fit was made or restored.
        keras.utils.set_random_seed((run.seed + zlib.crc32(part.encode())) % 2**31)
        return result

    def _compared(
        self, part: str, schedule: Schedule, num_steps: int, loss: LossComposer | None
    ) -> dict[str, Any]:
        """Collect what a fit must share with the one that it goes on with, but its network."""
        own: dict[str, Any] = {}
        if part != _TRAINING:  # a longer training from scratch may go on from one that has ended
            own["steps"] = num_steps
        if part not in (_TRAINING, FINE_TUNING):  # whose rates are those of flags
            own["lrn_rates"] = _rates(schedule, num_steps)
        if loss is not None:
            own["terms"] = {term.name: _constant(term.weight) for term in loss.terms}
        return {**self.fingerprint(), **own}

    def _facts(self, parts: Sequence[str]) -> dict[str, Any]:
        """Collect what a resumed recipe would not find out again; see `saved_network`."""
        seconds = {name: value for name, value in self.seconds.items() if name not in parts}
        return {"layers": self.layers, "seconds": seconds, "notes": self.notes}

    def _refresher(self, num_steps: int) -> StatisticsRefresher:
        num_workers = self.context.workers.size
        return StatisticsRefresher(
            lambda: self._training_batches(0),
            num_batches=math.ceil(_NB_SMPLS_BN / self.helper.config.batch_size / num_workers),
            num_steps=num_steps,
        )

    def _advice(self, part: str) -> str:
        """Say which flag to lower, and to what, where it is known."""
        if part == _TRAINING:
            config = self.helper.config
            name, rate, usual = "lrn_rate_init", config.lrn_rate_init, type(config)().lrn_rate_init
        elif part == FINE_TUNING:
            name, rate, usual = "lrn_rate_ft", self.fine_tune_lrn_rate, RunConfig().lrn_rate_ft
            if rate != self.context.run.lrn_rate_ft:
                name = f"{self.config.PREFIX}{name}"
        else:
            return ""
        return f"Lower --{name}: it was {rate:g}, try --{name}={min(rate / 10, usual):g}."

    def _label(self, part: str) -> str:
        """Name a fit where it is shown: the only one of most recipes by its learner alone."""
        learner = self.context.stage.learner
        return learner if part in (_TRAINING, FINE_TUNING) else f"{learner}: {part}"

    def _training_batches(self, first_step: int) -> tf.data.Dataset:
        if self.context.holds_out:
            split = self.helper.build_dataset_train(True, first_step=first_step)
            return split[0]
        return self.helper.build_dataset_train(first_step=first_step)

    def default_loss(self, model: keras.Model, saved: keras.Model | None = None) -> LossComposer:
        """Compose the loss that `fit` has without another: helper's, distillation, hints.

        Args:
            model: the network that will be trained.
            saved: the plain network, where that is another; see `fit`.

        Returns:
            The loss; `.plus(term)` adds a learner's own term.
        """
        loss = self.teaching.loss(self.helper.calc_loss, model, saved, self.distillation_weight)
        self.notes += [note for note in self.teaching.remarks if note not in self.notes]
        return loss

    @property
    def distillation_weight(self) -> float:
        """Weight of the divergence from the teacher with its factor T^2."""
        return self.context.run.distillation.loss_w_dst / DOCUMENTED_TEMPERATURE**2


def _rates(schedule: Schedule, num_steps: int) -> list[float]:
    """Sample a schedule, whatever its class: two runs can be compared by that."""
    steps = [num_steps * quarter // 4 for quarter in range(5)]
    return [float(schedule(step)) if callable(schedule) else float(schedule) for step in steps]


def _constant(weight: Any) -> float | str:
    """Describe a term's weight, as JSON; one that changes by itself has no value to compare."""
    return float(weight) if isinstance(weight, (int, float)) else "changes"
