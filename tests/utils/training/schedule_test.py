"""Schedules at hand-computed steps, and that Keras saves them."""

from __future__ import annotations

import keras
import pytest

from utils.training import fine_tune_schedule, piecewise_constant


def test_piecewise_constant_changes_with_the_epoch() -> None:
    schedule = piecewise_constant(0.2, 4, idxs_epoch=[1, 2.5], decay_rates=[1, 0.5, 0.1])
    rates = [float(schedule(step)) for step in (0, 3, 4, 9, 10, 99)]
    assert rates == pytest.approx([0.2, 0.2, 0.1, 0.1, 0.02, 0.02])


@pytest.mark.parametrize(
    ("idxs_epoch", "decay_rates", "message"),
    [
        ([1, 2], [1, 0.1], "one entry more than `idxs_epoch`. Received: 2 and 2"),
        ([2, 2], [1, 0.1, 0.01], r"must rise by a step or more\. Received: \[2, 2\]"),
    ],
)
def test_piecewise_constant_refuses(
    idxs_epoch: list[float], decay_rates: list[float], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        piecewise_constant(0.1, 10, idxs_epoch=idxs_epoch, decay_rates=decay_rates)


def test_fine_tuning_falls_to_zero() -> None:
    schedule = fine_tune_schedule(0.02, 100)
    assert [float(schedule(step)) for step in (0, 50, 100)] == pytest.approx([0.02, 0.01, 0.0])
    assert float(fine_tune_schedule(0.02, 0)(0)) == pytest.approx(0.02)


def test_fine_tuning_warms_up() -> None:
    schedule = fine_tune_schedule(0.02, 100, nb_steps_warmup=10)
    rates = [float(schedule(step)) for step in (0, 5, 10, 55, 100)]
    assert rates == pytest.approx([0.0, 0.01, 0.02, 0.01, 0.0], abs=1e-7)


@pytest.mark.parametrize("nb_steps_warmup", [-1, 100])
def test_fine_tuning_refuses(nb_steps_warmup: int) -> None:
    with pytest.raises(
        ValueError, match=rf"in \[0, nb_steps\)\. Received: {nb_steps_warmup} of 100"
    ):
        fine_tune_schedule(0.1, 100, nb_steps_warmup=nb_steps_warmup)


def test_schedules_are_kerass_own() -> None:
    for schedule in (
        fine_tune_schedule(0.1, 10, nb_steps_warmup=2),
        piecewise_constant(0.1, 10, idxs_epoch=[1], decay_rates=[1, 0.1]),
    ):
        config = keras.optimizers.schedules.serialize(schedule)
        copy = keras.optimizers.schedules.deserialize(config)
        assert float(copy(7)) == float(schedule(7))
