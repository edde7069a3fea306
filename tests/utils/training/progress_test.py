"""The progress line, as text and on a terminal."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from tests.utils.training.conftest import network, optimizer
from utils.training import fit, progress
from utils.training.progress import ProgressLine


class _Recorder:
    step = 0
    history: tuple[Any, ...] = ()


class _Model:
    images = 0

    def num_images_seen(self) -> int:
        return self.images


class _Time:
    now = 100.0

    def perf_counter(self) -> float:
        return self.now


def _run(monkeypatch: pytest.MonkeyPatch, console: Console) -> None:
    """Train 6 steps of 32 images in 3 s each."""
    time, recorder, model = _Time(), _Recorder(), _Model()
    monkeypatch.setattr(progress, "time", time)
    line = ProgressLine(
        recorder, stage="fine-tuning", num_epochs=4, num_steps=1206, console=console
    )
    line.set_model(model)
    line.on_train_begin()
    line.on_epoch_begin(0)
    for _ in range(6):
        time.now += 3.0
        recorder.step += 1
        model.images += 32
        line.on_train_batch_end(0, {"loss": 1.23456, "accuracy": 0.5, "distillation": 2.0})
    recorder.history = (
        {"images_per_second": 1234.5, "seconds": 18.0, "loss": 1.0, "val_accuracy": 0.625},
    )
    line.on_epoch_end(0)
    line.on_train_end()


def test_a_plain_line_every_few_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    _run(monkeypatch, Console(file=stream, force_terminal=False, width=60))
    assert stream.getvalue().splitlines() == [
        "fine-tuning: epoch 1/4, step 2/1206, 11 images/s, 1 h 00 min left, loss 1.2346, "
        "accuracy 50.00%",
        "fine-tuning: epoch 1/4, step 4/1206, 11 images/s, 1 h 00 min left, loss 1.2346, "
        "accuracy 50.00%",
        "fine-tuning: epoch 1/4, step 6/1206, 11 images/s, 1 h 00 min left, loss 1.2346, "
        "accuracy 50.00%",
        "fine-tuning: epoch 1/4, step 6/1206, 1,234 images/s, 18.0 s, loss 1.0000, "
        "val_accuracy 62.50%",
    ]


def test_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    _run(monkeypatch, Console(file=stream, force_terminal=True, width=120))
    assert "\x1b[" in stream.getvalue()
    assert "━" in stream.getvalue()
    assert "fine-tuning: epoch 1/4, step 6/1206" in stream.getvalue()


def test_fit_is_quiet_or_says_that_it_resumes(
    make_job: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    fit(network(), make_job(num_steps=8))
    assert capsys.readouterr().err == ""
    fit(network(), make_job(num_steps=8, quiet=False, stage="pruning"))
    assert "pruning: already done, taken from" in capsys.readouterr().err
    fit(network(), make_job(num_steps=16, quiet=False, optimizer=optimizer()))
    error = capsys.readouterr().err
    assert "training: resumed at step 8 from" in error
    assert "training: epoch 2/2, step 16/16" in error
