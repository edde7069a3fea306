"""What happens around the steps of a run: count, record, save, guard, write scalars."""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import keras

from utils.summaries import ScalarWriter

_SAVE_INTERVAL = 20  # in durations of a save


class NotFiniteError(Exception):
    """Loss or weights became NaN or infinite.

    Attributes:
        what: "loss" or "weights".
        step: steps done when it was found, the bad one included.
    """

    def __init__(self, what: str, step: int) -> None:
        super().__init__(f"{what} at step {step}")
        self.what = what
        self.step = step


class Recorder(keras.callbacks.Callback):
    """Counts the steps, stops at a loss that is not finite, writes a history row per epoch.

    Runs before all other callbacks; they read `step` and `history` here.

    Args:
        step: steps done in earlier sessions.
        history: their rows.
        mean_metrics: averages metrics over the workers.
        seconds: what earlier sessions spent on the epoch that this one goes on with.
    """

    def __init__(
        self,
        step: int,
        history: Sequence[Mapping[str, float]],
        mean_metrics: Callable[[Mapping[str, float]], dict[str, float]],
        seconds: float = 0.0,
    ) -> None:
        super().__init__()
        self.step = step
        self.history = list(history)
        self._mean_metrics = mean_metrics
        self._earlier = seconds
        self._clock = _Clock()

    @property
    def epoch_seconds(self) -> float:
        """Seconds spent on the current epoch so far, in all sessions."""
        return self._earlier + time.perf_counter() - self._clock.begin

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Start the clock."""
        self._clock = _Clock()

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        """Count the step."""
        self.step += 1
        # `loss` is the epoch's running mean: one value that is not finite spoils it at that step.
        if not math.isfinite((logs or {}).get("loss", 0.0)):
            raise NotFiniteError("loss", self.step)
        self._clock.tick(self.model.num_images_seen)

    def on_test_begin(self, logs: Mapping[str, float] | None = None) -> None:
        """Read the number of images before validation sets it back."""
        self._clock.stop(self.model.num_images_seen())

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Write the row."""
        self._clock.stop(self.model.num_images_seen())
        self.history.append(
            {
                "epoch": epoch + 1,
                "step": self.step,
                **self._mean_metrics(logs or {}),
                "lrn_rate": float(self.model.optimizer.learning_rate),
                "seconds": self.epoch_seconds,
                "images_per_second": self._clock.rate,
            }
        )
        self._earlier = 0.0


class _Clock:
    """Images per second of an epoch, without its first step (tracing, filling of the pipeline)."""

    def __init__(self) -> None:
        self.begin = time.perf_counter()
        self.rate = 0.0
        self._first: tuple[float, int] | None = None
        self._last = self.begin
        self._stopped = False

    def tick(self, num_images: Callable[[], int]) -> None:
        """Note the end of a step."""
        self._last = time.perf_counter()
        if self._first is None:
            self._first = (self._last, num_images())

    def stop(self, num_images: int) -> None:
        """Compute the rate; only the first call counts."""
        if self._stopped:
            return
        self._stopped = True
        since, before = self._first or (self.begin, 0)
        if num_images <= before:  # one step only
            since, before = self.begin, 0
        self.rate = (num_images - before) / max(self._last - since, 1e-9)


class StateSaver(keras.callbacks.Callback):
    """Saves every `save_step` steps and at the end of each epoch but the run's last.

    Epochs of a second would spend more time on saving than a kill can cost: the end of an epoch is
    not saved while that would bring saving above a twentieth of the time. What ends a run is saved
    by its owner, when all callbacks have had their last call.

    Args:
        recorder: counts the steps.
        save: called with `mid_epoch`.
        save_step: steps between two saves.
        steps_per_epoch: an epoch's last step is saved with the epoch.
        num_steps: steps of the whole run.
    """

    def __init__(
        self,
        recorder: Recorder,
        save: Callable[..., None],
        *,
        save_step: int,
        steps_per_epoch: int,
        num_steps: int,
    ) -> None:
        super().__init__()
        self._recorder = recorder
        self._save = save
        self._save_step = save_step
        self._steps_per_epoch = steps_per_epoch
        self._num_steps = num_steps
        self._next_save = 0.0

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        """Save inside an epoch."""
        step = self._recorder.step
        ends_epoch = step % self._steps_per_epoch == 0 or step >= self._num_steps
        if step % self._save_step == 0 and not ends_epoch:
            self._timed_save(mid_epoch=True)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Save with the epoch's row."""
        ends_run = self._recorder.step >= self._num_steps or self.model.stop_training
        if not ends_run and time.perf_counter() >= self._next_save:
            self._timed_save()

    def _timed_save(self, mid_epoch: bool = False) -> None:
        begin = time.perf_counter()
        self._save(mid_epoch=mid_epoch)
        end = time.perf_counter()
        self._next_save = end + _SAVE_INTERVAL * (end - begin)


class StopAskedError(Exception):
    """The run is to stop; its state is saved, unless what the last steps left is no good."""


class Stopper(keras.callbacks.Callback):
    """Saves and ends the run where the user asks for it, at the end of a step.

    Called last: what other callbacks do after the step is saved as well. A run that has made its
    last step is left to end by itself.

    Args:
        recorder: counts the steps.
        is_asked: tells whether the run is to stop.
        save: called with `mid_epoch`.
        steps_per_epoch: after an epoch's last step it waits for the epoch's row.
        num_steps: steps of the whole run.
    """

    def __init__(
        self,
        recorder: Recorder,
        is_asked: Callable[[], bool],
        save: Callable[..., None],
        *,
        steps_per_epoch: int,
        num_steps: int,
    ) -> None:
        super().__init__()
        self._recorder = recorder
        self._is_asked = is_asked
        self._save = save
        self._steps_per_epoch = steps_per_epoch
        self._num_steps = num_steps

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        """Stop inside an epoch."""
        if self._recorder.step % self._steps_per_epoch:
            self._stop_if_asked(mid_epoch=True)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Stop behind an epoch."""
        self._stop_if_asked(mid_epoch=False)

    def _stop_if_asked(self, *, mid_epoch: bool) -> None:
        if self._is_asked() and self._recorder.step < self._num_steps:
            self._save(mid_epoch=mid_epoch)
            raise StopAskedError


class MetricRestorer(keras.callbacks.Callback):
    """Gives the first epoch of a session the sums that its saved part had reached.

    Keras sets them to zero before `on_epoch_begin`.

    Args:
        restore: assigns the saved sums.
    """

    def __init__(self, restore: Callable[[], None]) -> None:
        super().__init__()
        self._restore: Callable[[], None] | None = restore

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Restore once."""
        if self._restore is not None:
            self._restore()
            self._restore = None


class Summaries(keras.callbacks.Callback):
    """Writes TensorBoard scalars: every `summ_step` steps, and the validation's per epoch.

    Args:
        recorder: counts the steps.
        log_dir: gets the folders `train` and, where something is validated, `validation`.
        summ_step: steps between two scalars.
        num_steps: of the run; the last is written, too.
    """

    def __init__(
        self,
        recorder: Recorder,
        log_dir: str | os.PathLike[str],
        summ_step: int,
        num_steps: int,
    ) -> None:
        super().__init__()
        self._recorder = recorder
        self._summ_step = summ_step
        self._num_steps = num_steps
        self._train = ScalarWriter(os.path.join(log_dir, "train"))
        self._validation = ScalarWriter(os.path.join(log_dir, "validation"))

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        """Write the running means of the epoch and the learning rate."""
        step = self._recorder.step
        if step % self._summ_step == 0 or step == self._num_steps:
            lrn_rate = float(self.model.optimizer.learning_rate)
            self._train.write(step, {**(logs or {}), "lrn_rate": lrn_rate})

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Write the validation's results and the speed."""
        row = self._recorder.history[-1]
        self._train.write(self._recorder.step, {"images_per_second": row["images_per_second"]})
        scores = {name[4:]: value for name, value in row.items() if name.startswith("val_")}
        self._validation.write(self._recorder.step, scores)

    def on_train_end(self, logs: Mapping[str, float] | None = None) -> None:
        """Close the files."""
        self._train.close()
        self._validation.close()


class SegmentedCallbacks(keras.callbacks.CallbackList):
    """One training run for its callbacks, although Keras' `fit` is called once per segment.

    A run that resumes inside an epoch, or ends inside one, has epochs of several lengths, which one
    call of `fit` cannot have. `run` takes the place of Keras' calls.
    """

    def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:
        """Do nothing: a segment begins, not the run."""

    def on_train_end(self, logs: Mapping[str, float] | None = None) -> None:
        """Do nothing: a segment ends, not the run."""

    @contextlib.contextmanager
    def run(self) -> Iterator[None]:
        """Tell the callbacks when the run begins and ends, also when it fails."""
        super().on_train_begin()
        try:
            yield
        finally:
            super().on_train_end()
