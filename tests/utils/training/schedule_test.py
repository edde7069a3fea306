"""Schedules at hand-computed steps, and that Keras saves them."""

from __future__ import annotations

import keras
import pytest

from utils.training import fine_tune_schedule
from utils.training.schedule import LaterSchedule


def test_fine_tuning_falls_to_zero() -> None:
    schedule = fine_tune_schedule(0.02, 100)
    assert [float(schedule(step)) for step in (0, 50, 100)] == pytest.approx([0.02, 0.01, 0.0])
    assert float(fine_tune_schedule(0.02, 0)(0)) == pytest.approx(0.02)


def test_fine_tuning_warms_up() -> None:
    schedule = fine_tune_schedule(0.02, 100, num_steps_warmup=10)
    rates = [float(schedule(step)) for step in (0, 5, 10, 55, 100)]
    assert rates == pytest.approx([0.0, 0.01, 0.02, 0.01, 0.0], abs=1e-7)


@pytest.mark.parametrize("num_steps_warmup", [-1, 100])
def test_fine_tuning_refuses(num_steps_warmup: int) -> None:
    with pytest.raises(
        ValueError, match=rf"in \[0, num_steps\)\. Received: {num_steps_warmup} of 100"
    ):
        fine_tune_schedule(0.1, 100, num_steps_warmup=num_steps_warmup)


def test_schedules_are_kerass_own() -> None:
    schedule = fine_tune_schedule(0.1, 10, num_steps_warmup=2)
    config = keras.optimizers.schedules.serialize(schedule)
    copy = keras.optimizers.schedules.deserialize(config)
    assert float(copy(7)) == float(schedule(7))


def test_a_later_part_goes_on_where_the_whole_is() -> None:
    whole = fine_tune_schedule(0.1, 10)
    later = LaterSchedule(whole, 4)
    config = keras.optimizers.schedules.serialize(later)
    for part in (later, keras.optimizers.schedules.deserialize(config)):
        assert [float(part(step)) for step in (0, 6)] == [float(whole(4)), float(whole(10))]
