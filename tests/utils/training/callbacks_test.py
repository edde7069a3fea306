"""When states are saved, and how fast an epoch was."""

from __future__ import annotations

from typing import Any

import keras
import pytest

from utils.training import callbacks
from utils.training.callbacks import NotFiniteError, Recorder, SegmentedCallbacks, StateSaver


class _Model:
    """What callbacks read of the model."""

    stop_training = False
    images = 0
    optimizer = keras.optimizers.SGD(0.5)

    def num_images_seen(self) -> int:
        return self.images


class _Time:
    """A clock that the test moves."""

    now = 100.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture(name="time")
def _time(monkeypatch: pytest.MonkeyPatch) -> _Time:
    time = _Time()
    monkeypatch.setattr(callbacks, "time", time)
    return time


def _recorder(model: _Model) -> Recorder:
    recorder = Recorder(0, (), dict)
    recorder.set_model(model)
    return recorder


def test_speed_leaves_out_the_first_step(time: _Time) -> None:
    model = _Model()
    recorder = _recorder(model)
    recorder.on_epoch_begin(0)
    for seconds in (30.0, 1.0, 1.0):
        time.now += seconds
        model.images += 8
        recorder.on_train_batch_end(0, {"loss": 1.0})
    recorder.on_test_begin()
    time.now += 8.0
    model.images = 999  # of the validation data
    recorder.on_epoch_end(0, {"loss": 1.0, "val_loss": 2.0})
    assert recorder.history == [
        {
            "epoch": 1,
            "step": 3,
            "loss": 1.0,
            "val_loss": 2.0,
            "lrn_rate": 0.5,
            "seconds": 40.0,
            "images_per_second": 8.0,
        }
    ]


def test_seconds_of_an_epoch_that_was_killed_are_kept(time: _Time) -> None:
    recorder = Recorder(5, (), dict, seconds=100.0)
    model = _Model()
    recorder.set_model(model)
    for epoch in range(2):
        recorder.on_epoch_begin(epoch)
        time.now += 7.0
        model.images += 8
        recorder.on_train_batch_end(0, {"loss": 1.0})
        if not epoch:
            assert recorder.epoch_seconds == 107.0
        recorder.on_epoch_end(epoch, {"loss": 1.0})
    assert [row["seconds"] for row in recorder.history] == [107.0, 7.0]


def test_speed_of_a_single_step(time: _Time) -> None:
    model = _Model()
    recorder = _recorder(model)
    recorder.on_epoch_begin(0)
    time.now += 2.0
    model.images = 8
    recorder.on_train_batch_end(0, {"loss": 1.0})
    recorder.on_epoch_end(0, {"loss": 1.0})
    assert recorder.history[0]["images_per_second"] == 4.0


def test_recorder_stops_at_a_loss_that_is_not_finite() -> None:
    recorder = _recorder(_Model())
    recorder.on_train_batch_end(0, {"loss": 1.0})
    with pytest.raises(NotFiniteError, match="loss at step 2"):
        recorder.on_train_batch_end(1, {"loss": float("nan")})


def _saves(time: _Time, *, step_seconds: float, save_seconds: float, save_step: int) -> list[Any]:
    """Run 12 steps in epochs of 4; collect the steps at which was saved."""
    model, saves = _Model(), []
    recorder = _recorder(model)

    def save(mid_epoch: bool = False) -> None:
        time.now += save_seconds
        saves.append((recorder.step, mid_epoch))

    saver = StateSaver(recorder, save, save_step=save_step, steps_per_epoch=4, num_steps=12)
    saver.set_model(model)
    for epoch in range(3):
        recorder.on_epoch_begin(epoch)
        for batch in range(4):
            time.now += step_seconds
            recorder.on_train_batch_end(batch, {"loss": 1.0})
            saver.on_train_batch_end(batch)
        recorder.on_epoch_end(epoch, {"loss": 1.0})
        saver.on_epoch_end(epoch)
    return saves


def test_saves_inside_and_at_the_end_of_epochs(time: _Time) -> None:
    saves = _saves(time, step_seconds=10.0, save_seconds=0.1, save_step=3)
    assert saves == [(3, True), (4, False), (6, True), (8, False), (9, True)]


def test_short_epochs_are_not_all_saved(time: _Time) -> None:
    assert _saves(time, step_seconds=0.1, save_seconds=1.0, save_step=100) == [(4, False)]


def test_save_step_always_saves(time: _Time) -> None:
    saves = _saves(time, step_seconds=0.1, save_seconds=1.0, save_step=3)
    assert saves == [(3, True), (6, True), (9, True)]


def test_segments_are_one_run() -> None:
    calls = []

    class Spy(keras.callbacks.Callback):
        def on_train_begin(self, logs: Any = None) -> None:
            calls.append("begin")

        def on_train_end(self, logs: Any = None) -> None:
            calls.append("end")

    segmented = SegmentedCallbacks([Spy()])
    with pytest.raises(KeyboardInterrupt), segmented.run():
        segmented.on_train_begin()
        segmented.on_train_end()
        assert calls == ["begin"]
        raise KeyboardInterrupt
    assert calls == ["begin", "end"]
