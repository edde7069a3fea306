"""Training, once for all learners: Keras' `fit`, resumable to the bit."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from utils.errors import InputError
from utils.files import check_writable
from utils.multi_gpu_wrapper import MultiGpuWrapper
from utils.shards import shard
from utils.stopping import StopRequests
from utils.summaries import steps_between
from utils.training.agreement import choices_digest, refuse_equal_batches
from utils.training.averaging import SharedStop, moved_variables
from utils.training.callbacks import (
    MetricRestorer,
    NotFiniteError,
    Recorder,
    SegmentedCallbacks,
    StateSaver,
    StopAskedError,
    Stopper,
    Summaries,
)
from utils.training.divergence import DivergedError, DivergenceWatch
from utils.training.job import FitJob, FitResult
from utils.training.progress import ProgressLine, notice
from utils.training.reproducible import fixed_order
from utils.training.state import (
    TrainingState,
    assign_variables,
    check_fingerprint,
    read_state,
    read_variables,
    save_state,
)
from utils.training.trainee import Trainee
from utils.training.wrapped_optimizer import optimizer_name, with_loss_scale
from utils.training.zeros import MaskedOptimizer, sparse_kernels


def fit(model: keras.Model, job: FitJob) -> FitResult:
    """Train a model, or carry on where an earlier call with the same job was stopped.

    With several workers (`job.workers`) every one calls it, each with batches of its own; after
    every step all have the same weights (`averaging.py`), and worker 0 saves.

    The state is saved before the first step, every `job.save_step` steps, after the epochs (not
    so often that it would take more than a twentieth of the time) and at the end. A run that
    was killed at any moment continues from its last save and ends with the same bits. A run that
    had ended is not repeated: its weights and its history are given back.

    Args:
        model: functional model, trained in place.
        job: what to do.

    Returns:
        History and speed.

    Raises:
        ValueError: if the network to save does not share its variables with the model.
        InputError: if the state's path cannot be written, it holds another run, or training
            diverges (see `DivergenceWatch`; a loss or weights of NaN or infinity); the model then
            has the last good weights.
        Interrupted, Terminated: after SIGINT or SIGTERM, once the state is saved and a line says
            how to go on. A second signal ends the program at once.
    """
    check_writable(job.state_path)
    saved = _matching_state(job)
    return _Run(model, job, saved).execute()


def _fingerprint(job: FitJob) -> dict[str, Any]:
    """Everything that must be equal for a run to be resumed, as JSON gives it back."""
    own = {
        "seed": job.seed,
        "steps_per_epoch": job.steps_per_epoch,
        "optimizer": optimizer_name(job.optimizer),
    }
    if job.workers.size > 1:
        own["num_workers"] = job.workers.size
    return json.loads(json.dumps({**own, **job.fingerprint}))


def _matching_state(job: FitJob) -> TrainingState | None:
    saved = read_state(job.state_path) if job.resume else None
    if saved is not None:
        check_fingerprint(job.state_path, saved.fingerprint, _fingerprint(job))
        if saved.step > job.num_steps:
            raise InputError(
                f"{job.state_path} holds a run that is {saved.step} steps long already; "
                f"{job.num_steps} were asked for. Ask for at least as many, or start anew with "
                "--resume=False or another --out_dir."
            )
    return saved


def _masked_at_the_start(model: keras.Model, job: FitJob) -> tuple[int, ...]:
    return sparse_kernels(model.trainable_variables) if job.keep_zeros else ()


def _variables_beside(
    plain: keras.Model, model: keras.Model, further: Sequence[keras.Variable]
) -> list[keras.Variable]:
    """List what is trained or changed besides the plain network's variables, each once.

    Raises:
        ValueError: if a variable of the plain network is not the model's, and would stay as it is.
    """
    given = {id(variable) for variable in model.variables}
    for variable in plain.trainable_variables:
        if id(variable) not in given:
            raise ValueError(
                "`saved` must share its variables with the model that is trained. Received: "
                f"{variable.path!r} of {plain.name!r} is not among those of {model.name!r}."
            )
    own = {id(variable) for variable in plain.variables}
    beside = {id(variable): variable for variable in (*model.variables, *further)}
    return [variable for key, variable in beside.items() if key not in own]


class _Run:
    """One session of a run."""

    def __init__(self, model: keras.Model, job: FitJob, saved: TrainingState | None) -> None:
        self._model = model
        self._job = job
        self._saved = saved
        self._plain = model if job.saved is None else job.saved
        self._extras = _variables_beside(self._plain, model, job.extra_variables)
        # As they were when the run began: by now, others may be zero too.
        self._masked = saved.masked if saved else _masked_at_the_start(model, job)
        optimizer = job.optimizer
        if self._masked:
            optimizer = MaskedOptimizer(optimizer, self._masked)
        self._optimizer = job.workers.distributed_optimizer(with_loss_scale(optimizer))
        self._recorder = Recorder(
            saved.step if saved else 0,
            saved.history if saved else (),
            job.workers.mean_metrics,
            saved.epoch_seconds if saved else 0.0,
        )
        self._watch = DivergenceWatch(
            self._recorder, job.steps_per_epoch, saved.start_loss if saved else None
        )
        self._stop = StopRequests()
        self._asked = SharedStop(self._stop, self._optimizer)
        self._last_save = self._recorder.step
        self._first_rate = 0.0
        self._trainee: Trainee | None = None

    def execute(self) -> FitResult:
        """Restore, train, report."""
        if self._is_done():
            self._begin("already done, taken")
            return self._result()
        with self._stop:
            keras.utils.set_random_seed(self._job.seed)
            self._begin(f"resumed at step {self._recorder.step}")
            self._start_alike()
            if self._job.num_steps:
                self._train()
        if self._asked.signal is not None:
            self._say_how_to_go_on(self._asked.signal.name)
            self._asked.raise_stop()
        return self._result()

    def _start_alike(self) -> None:
        """Let all workers begin with the same variables, where they came to the same network."""
        workers, stage = self._job.workers, self._job.stage
        variables = [*self._plain.variables, *self._extras, *self._optimizer.variables]
        if workers.size > 1:
            digest = f"{choices_digest(variables)}, step {self._recorder.step}"
            workers.agree(digest, f"what {stage} trains (shapes and zeros)")
        workers.broadcast(variables)

    def _begin(self, said: str) -> None:
        """Take up the saved state and say so, or save what training starts from."""
        self._optimizer.build(self._model.trainable_variables)
        if self._saved is None:
            self._save_first()
            return
        self._restore_from(self._saved)
        self._restore(self._optimizer.variables, self._saved.optimizer)
        self._notice(f"{said} from {self._job.state_path}")

    def _notice(self, text: str) -> None:
        if self._job.workers.is_chief and not self._job.quiet:
            notice(f"{self._job.stage}: {text}")

    def _is_done(self) -> bool:
        saved = self._saved
        return saved is not None and (
            saved.step >= self._job.num_steps
            or (saved.finished and saved.num_steps >= self._job.num_steps)
        )

    def _restore(self, variables: Sequence[Any], values: Sequence[np.ndarray]) -> None:
        assign_variables(variables, values, self._job.state_path)

    def _restore_from(self, state: TrainingState) -> None:
        self._restore(self._plain.variables, state.network)
        self._restore(self._extras, state.extra_variables)

    def _result(self) -> FitResult:
        return FitResult(
            history=tuple(self._recorder.history),
            num_steps=self._recorder.step,
            resumed_from=self._saved.step if self._saved else None,
        )

    def _train(self) -> None:
        dataset = self._job.make_train(self._recorder.step)
        self._trainee = Trainee(
            self._model, self._job.loss, dataset.element_spec, plain=self._job.saved
        )
        self._compile(self._trainee, dataset)
        self._first_rate = float(self._optimizer.learning_rate)
        callbacks = SegmentedCallbacks(self._callbacks(), add_history=True, model=self._trainee)
        try:
            with fixed_order(), callbacks.run():
                self._fit_segments(self._trainee, dataset, callbacks)
            self._watch.check_end()
            self._save(finished=True, mid_epoch=False)
        except NotFiniteError as error:
            self._give_up(error, f"{error.what} became NaN or infinite at step {error.step}")
        except DivergedError as error:
            self._give_up(
                error,
                f"training diverged: the loss was {error.start:.4g} at the first step and "
                f"{error.loss:.4g} at step {error.step}",
            )
        except StopAskedError:
            pass

    def _compile(self, trainee: Trainee, dataset: tf.data.Dataset) -> None:
        workers = self._job.workers
        if workers.size == 1:
            trainee.compile(optimizer=self._optimizer, auto_scale_loss=False)
            return
        refuse_equal_batches(workers, next(iter(dataset)), self._job.stage)
        # XLA knows no Horovod.
        trainee.compile(optimizer=self._optimizer, auto_scale_loss=False, jit_compile=False)
        metrics = [variable for metric in trainee.metrics for variable in metric.variables]
        self._optimizer.beside.followers = moved_variables(
            [*self._model.variables, *self._extras, *metrics]
        )

    def _fit_segments(
        self, trainee: Trainee, dataset: tf.data.Dataset, callbacks: SegmentedCallbacks
    ) -> None:
        val = None if self._job.val_data is None else shard(self._job.val_data)
        trainee.validated_by = MultiGpuWrapper() if val is None else val.workers
        for number, (first_epoch, last_epoch, steps) in enumerate(self._segments()):
            if number:
                dataset = self._job.make_train(self._recorder.step)
            trainee.fit(
                dataset,
                initial_epoch=first_epoch,
                epochs=last_epoch,
                steps_per_epoch=steps,
                shuffle=False,
                validation_data=None if val is None else val.batches,
                callbacks=callbacks,
                verbose=0,
            )
            if trainee.stop_training:
                return

    def _segments(self) -> Iterator[tuple[int, int, int]]:
        """Yield (first epoch, last epoch, steps of each) of equally long epochs, counted from 0."""
        length = self._job.steps_per_epoch
        epoch, done = divmod(self._recorder.step, length)
        if done:
            yield epoch, epoch + 1, min(length - done, self._job.num_steps - self._recorder.step)
            epoch += 1
        last, rest = divmod(self._job.num_steps, length)
        if last > epoch:
            yield epoch, last, length
        if rest and last >= epoch:
            yield last, last + 1, rest

    def _callbacks(self) -> list[keras.callbacks.Callback]:
        """List them in the order of their calls: saving after those that may change weights."""
        job, chief = self._job, self._job.workers.is_chief
        callbacks = [self._recorder, self._watch, *job.callbacks]
        if self._saved is not None and self._saved.metrics:
            callbacks.append(MetricRestorer(self._restore_metrics))
        if chief and job.log_dir is not None:
            summ_step = steps_between(job.num_steps, job.summ_step)
            callbacks.append(Summaries(self._recorder, job.log_dir, summ_step, job.num_steps))
        if chief and not job.quiet:
            callbacks.append(
                ProgressLine(
                    self._recorder,
                    stage=job.stage,
                    num_epochs=job.num_epochs,
                    num_steps=job.num_steps,
                )
            )
        if chief:
            callbacks.append(
                StateSaver(
                    self._recorder,
                    self._save,
                    save_step=job.save_step,
                    steps_per_epoch=job.steps_per_epoch,
                    num_steps=job.num_steps,
                )
            )
        callbacks.append(
            Stopper(
                self._recorder,
                self._asked,
                self._save,
                steps_per_epoch=job.steps_per_epoch,
                num_steps=job.num_steps,
            )
        )
        return callbacks

    def _metric_variables(self) -> list[Any]:
        metrics = self._trainee.metrics if self._trainee is not None else []
        return [variable for metric in metrics for variable in metric.variables]

    def _restore_metrics(self) -> None:
        if self._saved is not None:
            self._restore(self._metric_variables(), self._saved.metrics)

    def _save_first(self) -> None:
        """Save what training starts from: the last good model until there is a better one."""
        try:
            self._save(finished=self._job.num_steps == 0, mid_epoch=False)
        except NotFiniteError as error:
            raise InputError(
                f"the network {self._plain.name!r} holds NaN or infinite weights before training. "
                "Give a model with finite weights."
            ) from error

    def _save(self, *, finished: bool = False, mid_epoch: bool = False) -> None:
        if not self._job.workers.is_chief or (self._watch.is_adrift and not finished):
            return
        state = TrainingState(
            step=self._recorder.step,
            num_steps=self._job.num_steps,
            finished=finished,
            fingerprint=_fingerprint(self._job),
            history=tuple(self._recorder.history),
            network=read_variables(self._plain.variables),
            extra_variables=read_variables(self._extras),
            masked=self._masked,
            start_loss=self._watch.start,
            optimizer=read_variables(self._optimizer.variables),
            metrics=read_variables(self._metric_variables()) if mid_epoch else (),
            epoch_seconds=self._recorder.epoch_seconds if mid_epoch else 0.0,
            extra=self._job.extra,
        )
        # A finite loss may have had an infinite gradient: such weights must not replace good ones.
        if not state.is_finite:
            raise NotFiniteError("weights", self._recorder.step)
        save_state(self._job.state_path, self._plain, state)
        self._last_save = state.step

    def _say_how_to_go_on(self, cause: str) -> None:
        if self._job.workers.is_chief:
            notice(
                f"{self._job.stage}: stopped by {cause} at step {self._recorder.step} of "
                f"{self._job.num_steps}, step {self._last_save} is saved in "
                f"{self._job.state_path}. The same command goes on from there."
            )

    def _give_up(self, error: Exception, what: str) -> None:
        last_good = read_state(self._job.state_path)
        if last_good is None:
            raise InputError(f"{self._job.state_path} vanished during training.") from error
        rate = max(self._first_rate, float(self._optimizer.learning_rate))
        self._restore_from(last_good)
        advice = self._job.advice or (
            "Lower --lrn_rate_ft (fine-tuning) or --lrn_rate_init (training from scratch): the "
            f"rate was {rate:.3g}, try {rate / 10:.3g}."
        )
        raise InputError(
            f"{what}; the last good model, of step {last_good.step}, is in {self._job.state_path}. "
            f"{advice}"
        ) from error
