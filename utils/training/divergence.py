"""Training that runs away although its numbers stay finite."""

from __future__ import annotations

from collections.abc import Mapping

import keras

from utils.training.callbacks import Recorder

_FACTOR = 1e3
_FEWEST_STEPS = 20


class DivergedError(Exception):
    """The loss rose, and stayed, far above what it was at the start.

    Attributes:
        loss: the last step's.
        start: the first step's.
        step: steps done when it was found.
    """

    def __init__(self, loss: float, start: float, step: int) -> None:
        super().__init__(f"loss {loss:g} at step {step}, {start:g} at the start")
        self.loss = loss
        self.start = start
        self.step = step


class DivergenceWatch(keras.callbacks.Callback):
    """Stops a run whose loss has run away.

    A step is *adrift* when its loss is more than a thousand times what the first step's was, or a
    thousand where that was below one: some good runs begin at a loss of almost nothing, or have
    single steps that are far off. The run is stopped once an epoch of steps on end (at least 20) is
    adrift, and at its end if the last epoch's mean and the last step are.

    Args:
        recorder: counts the steps.
        steps_per_epoch: steps of an epoch.
        start: loss of the first step, if earlier sessions made it.

    Attributes:
        start: loss of the run's first step; None before it.
        is_adrift: whether the last step was; what it left must not replace a good state.
    """

    def __init__(self, recorder: Recorder, steps_per_epoch: int, start: float | None) -> None:
        super().__init__()
        self._recorder = recorder
        self._longest = max(steps_per_epoch, _FEWEST_STEPS)
        self.start = start
        self._before: tuple[float, int] | None = None  # sum of losses in the epoch, images
        self._loss = 0.0  # of the last step
        self._steps_adrift = 0

    @property
    def is_adrift(self) -> bool:
        """Whether the last step's loss was far above the start."""
        return self._steps_adrift > 0

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Begin the sum anew, as Keras does."""
        self._before = None

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        """Look at the step's loss; Keras tells the epoch's mean so far."""
        mean, images = (logs or {}).get("loss", 0.0), self.model.num_images_seen()
        total, since = self._before or (0.0, 0)
        self._before = mean * images, images
        # Of an epoch that an earlier session began, the first step here has the mean for its loss.
        self._loss = (mean * images - total) / max(images - since, 1)
        if self.start is None:
            self.start = self._loss
        self._steps_adrift = self._steps_adrift + 1 if self._is_far(self._loss) else 0
        if self._steps_adrift >= self._longest:
            self._stop()

    def check_end(self) -> None:
        """Look back at a run that has made its last step.

        Raises:
            DivergedError: if it ended adrift.
        """
        if self.is_adrift and self._is_far(self._recorder.history[-1]["loss"]):
            self._stop()

    def _is_far(self, loss: float) -> bool:
        return self.start is not None and loss > _FACTOR * max(self.start, 1.0)

    def _stop(self) -> None:
        raise DivergedError(self._loss, float(self.start or 0.0), self._recorder.step)
