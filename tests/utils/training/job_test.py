"""Jobs refuse what cannot be meant."""

from __future__ import annotations

from typing import Any

import keras
import pytest

from utils.errors import InputError
from utils.training import FitResult


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps_per_epoch": 0}, r"`steps_per_epoch` must be at least 1\. Received: 0"),
        ({"num_steps": -1}, r"`num_steps` must be at least 0\. Received: -1"),
        ({"save_step": 0}, "`save_step` must be at least 1"),
        ({"summ_step": 0}, "`summ_step` must be at least 1"),
        ({"optimizer": keras.optimizers.SGD(use_ema=True)}, "must have use_ema=False"),
    ],
)
def test_refusals(make_job: Any, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_job(**changes)


def test_the_last_epoch_may_be_a_part(make_job: Any) -> None:
    assert [make_job(num_steps=steps).num_epochs for steps in (0, 7, 8, 9)] == [0, 1, 1, 2]


def test_result_adds_up_its_epochs() -> None:
    rows = (
        {"seconds": 1.0, "images_per_second": 30.0},
        {"seconds": 2.0, "images_per_second": 60.0},
    )
    result = FitResult(history=rows, num_steps=2)
    assert (result.seconds, result.images_per_second) == (3.0, 40.0)
