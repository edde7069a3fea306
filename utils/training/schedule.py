"""Learning-rate schedules: Keras' own classes, and what parts of one run have of them."""

from __future__ import annotations

from typing import Any

import keras


def fine_tune_schedule(
    lrn_rate: float, num_steps: int, *, num_steps_warmup: int = 0
) -> keras.optimizers.schedules.LearningRateSchedule:
    """Fall from a learning rate to 0 along half a cosine, after an optional linear warm-up.

    Args:
        lrn_rate: the highest learning rate.
        num_steps: steps of the whole run.
        num_steps_warmup: the first of them, which rise linearly from 0.

    Returns:
        Schedule over steps.

    Raises:
        ValueError: if the warm-up is negative or takes the whole run.

    Example:
        >>> schedule = fine_tune_schedule(0.01, 120, num_steps_warmup=20)
        >>> [round(float(schedule(step)), 5) for step in (0, 10, 20, 70, 120)]
        [0.0, 0.005, 0.01, 0.005, 0.0]

    Reference:
        Loshchilov & Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", 2017,
        arXiv:1608.03983 (one period, no restart).
    """
    if not 0 <= num_steps_warmup < max(num_steps, 1):
        raise ValueError(
            "`num_steps_warmup` must be in [0, num_steps). Received: "
            f"{num_steps_warmup} of {num_steps}."
        )
    decay_steps = max(num_steps - num_steps_warmup, 1)
    if not num_steps_warmup:
        return keras.optimizers.schedules.CosineDecay(lrn_rate, decay_steps)
    return keras.optimizers.schedules.CosineDecay(
        0.0, decay_steps, warmup_target=lrn_rate, warmup_steps=num_steps_warmup
    )


@keras.saving.register_keras_serializable("Flowpress")
class LaterSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule from a later step on: one that several fits in a row share.

    Args:
        schedule: the whole.
        first_step: the step of it that is the first here, >= 0.

    Example:
        >>> later = LaterSchedule(fine_tune_schedule(0.01, 100), 50)
        >>> [round(float(later(step)), 5) for step in (0, 50)]
        [0.005, 0.0]
    """

    def __init__(
        self, schedule: keras.optimizers.schedules.LearningRateSchedule, first_step: int
    ) -> None:
        super().__init__()
        self.schedule, self.first_step = schedule, first_step

    def __call__(self, step: Any) -> Any:
        """Give the rate of a step."""
        return self.schedule(step + self.first_step)

    def get_config(self) -> dict[str, Any]:
        """Describe the schedule."""
        whole = keras.saving.serialize_keras_object(self.schedule)
        return {"schedule": whole, "first_step": self.first_step}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> LaterSchedule:
        """Make the schedule from its description."""
        whole = keras.saving.deserialize_keras_object(config["schedule"])
        return cls(whole, config["first_step"])
