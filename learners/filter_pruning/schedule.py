"""The learning rate of one part of a training that is cut into parts."""

from typing import Any

import keras
from keras import ops

from learners.filter_pruning.recipe import Rates
from utils.training import fine_tune_schedule


class PartRate(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule from a step on: what a later part of a training sees of the whole one's.

    Args:
        whole: the schedule of the whole training.
        first_step: where the part begins.
    """

    def __init__(
        self, whole: keras.optimizers.schedules.LearningRateSchedule, first_step: int
    ) -> None:
        self.whole, self.first_step = whole, first_step

    def __call__(self, step: Any) -> Any:
        """Give the rate of a step of the part."""
        return self.whole(step + self.first_step)

    def get_config(self) -> dict[str, Any]:
        """Describe it."""
        return {"whole": self.whole, "first_step": self.first_step}


class StagedRate(keras.optimizers.schedules.LearningRateSchedule):
    """A linear warm-up, then a rate times the multiplier of each stage.

    Args:
        lrn_rate: the rate that the multipliers belong to.
        rates: warm-up and stages.
        steps_per_epoch: steps of an epoch.

    Example:
        >>> staged = StagedRate(0.1, Rates(1.0, ((1.0, 1.0), (3.0, 0.1))), steps_per_epoch=10)
        >>> [round(float(staged(step)), 4) for step in (0, 5, 10, 29, 30)]
        [0.0, 0.05, 0.1, 0.1, 0.01]
    """

    def __init__(self, lrn_rate: float, rates: Rates, steps_per_epoch: int) -> None:
        self.lrn_rate, self.rates, self.steps_per_epoch = lrn_rate, rates, steps_per_epoch

    def __call__(self, step: Any) -> Any:
        """Give the rate of a step."""
        epoch = ops.cast(step, "float32") / self.steps_per_epoch
        factor = ops.ones_like(epoch)
        for start, multiplier in self.rates.stages:
            factor = ops.where(epoch >= start, multiplier, factor)
        if self.rates.warmup_epochs:
            factor = factor * ops.minimum(epoch / self.rates.warmup_epochs, 1.0)
        return self.lrn_rate * factor

    def get_config(self) -> dict[str, Any]:
        """Describe it."""
        return {
            "lrn_rate": self.lrn_rate,
            "rates": self.rates,
            "steps_per_epoch": self.steps_per_epoch,
        }


def part_rate(
    rates: Rates | None,
    lrn_rate: float,
    *,
    num_steps: int,
    steps_per_epoch: int,
    first_step: int,
) -> keras.optimizers.schedules.LearningRateSchedule:
    """Make the learning rate of a part of a training.

    Args:
        rates: the document's; None for a cosine to zero over the whole training.
        lrn_rate: the highest rate, or the one that multipliers belong to.
        num_steps: of the whole training.
        steps_per_epoch: steps of an epoch.
        first_step: where the part begins.

    Returns:
        A schedule over the part's own steps.
    """
    whole = (
        fine_tune_schedule(lrn_rate, num_steps)
        if rates is None
        else StagedRate(lrn_rate, rates, steps_per_epoch)
    )
    return PartRate(whole, first_step) if first_step else whole
