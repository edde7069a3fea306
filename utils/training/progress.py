"""The progress line: a bar on a terminal, a line of text every few seconds elsewhere."""

from __future__ import annotations

import time
from collections.abc import Mapping

import keras
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from utils.command import notes
from utils.training.callbacks import Recorder

_BAR_INTERVAL = 0.5
_LINE_INTERVAL = 5.0


def notice(text: str) -> None:
    """Show a line beside the progress, on standard error."""
    notes.print(text, markup=False)


class ProgressLine(keras.callbacks.Callback):
    """Shows stage, epoch, step, images per second, time left, loss and accuracy.

    Args:
        recorder: counts the steps.
        stage: name of what is running.
        num_epochs: epochs of the whole run.
        num_steps: steps of the whole run.
        console: where to; standard error by default, so that results can be piped.
    """

    def __init__(
        self,
        recorder: Recorder,
        *,
        stage: str,
        num_epochs: int,
        num_steps: int,
        console: Console | None = None,
    ) -> None:
        super().__init__()
        self._recorder = recorder
        self._stage = stage
        self._num_epochs = num_epochs
        self._num_steps = num_steps
        self._console = console or Console(stderr=True, emoji=False)
        self._interval = _BAR_INTERVAL if self._console.is_terminal else _LINE_INTERVAL
        self._bar: Progress | None = None
        self._epoch = 0
        # Step, time and images when this epoch's second step began: the first one traces the graph.
        self._start: tuple[int, float, int] | None = None
        self._shown_at = 0.0

    def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:
        """Open the bar; drawn only when something is new: no thread takes time from training."""
        self._shown_at = time.perf_counter()
        if self._console.is_terminal:
            self._bar = Progress(
                BarColumn(bar_width=20),
                TextColumn("{task.description}", markup=False),
                console=self._console,
                auto_refresh=False,
            )
            self._bar.add_task(self._stage, total=self._num_steps, completed=self._recorder.step)
            self._bar.start()

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Measure the speed anew: validation and saving lie between two epochs."""
        self._epoch = epoch + 1
        self._start = None

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        """Show the line if it is time."""
        now = time.perf_counter()
        if self._start is None:
            self._start = (self._recorder.step, now, self.model.num_images_seen())
        elif now - self._shown_at >= self._interval:
            self._shown_at = now
            self._show(self._text(logs or {}, now))

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Show the epoch's result."""
        row = self._recorder.history[-1]
        parts = [self._position(), f"{row['images_per_second']:,.0f} images/s"]
        parts += [f"{row['seconds']:.1f} s", *_scores(row)]
        self._show(", ".join(parts), keep=True)

    def on_train_end(self, logs: Mapping[str, float] | None = None) -> None:
        """Close the bar."""
        if self._bar is not None:
            self._bar.stop()

    def _position(self) -> str:
        return (
            f"{self._stage}: epoch {self._epoch}/{self._num_epochs}, "
            f"step {self._recorder.step}/{self._num_steps}"
        )

    def _text(self, logs: Mapping[str, float], now: float) -> str:
        parts = [self._position()]
        step, since, images = self._start or (self._recorder.step, now, 0)
        if self._recorder.step > step:
            seconds = now - since
            left = (self._num_steps - self._recorder.step) * seconds / (self._recorder.step - step)
            rate = (self.model.num_images_seen() - images) / seconds
            parts += [f"{rate:,.0f} images/s", f"{_duration(left)} left"]
        return ", ".join([*parts, *_scores(logs)])

    def _show(self, text: str, keep: bool = False) -> None:
        if self._bar is None:
            self._console.print(text, markup=False, highlight=False, soft_wrap=True)
            return
        if keep:
            self._bar.console.print(text, markup=False, highlight=False, soft_wrap=True)
        self._bar.update(
            self._bar.task_ids[0], completed=self._recorder.step, description=text, refresh=True
        )


def _scores(values: Mapping[str, float]) -> list[str]:
    """Loss as a number, accuracies in percent; what else a loss reports is in TensorBoard."""
    texts = []
    for name in ("loss", "accuracy", "val_loss", "val_accuracy"):
        if name in values:
            form = ".2%" if name.endswith("accuracy") else ".4f"
            texts.append(f"{name} {values[name]:{form}}")
    return texts


def _duration(seconds: float) -> str:
    """Write a duration as people do.

    Example:
        >>> _duration(42.4), _duration(62), _duration(3720)
        ('42 s', '1 min 02 s', '1 h 02 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
