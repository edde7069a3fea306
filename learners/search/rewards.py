"""Rewards of a roll-out: from what its network scored and costs to one number, higher is better."""

import dataclasses
import math
from typing import TYPE_CHECKING

from utils.errors import InputError

if TYPE_CHECKING:  # the flags' configs read this module before TensorFlow is imported
    from utils.training.metrics import Scores

POLICIES = ("accuracy", "flops")
TYPES = ("single-obj", "multi-obj")


@dataclasses.dataclass(frozen=True)
class Score:
    """What a network scored on the held-out images.

    Attributes:
        accuracy: the deciding metric where it is to be large, as a rule the fraction of the images
            that are right; None where it is to be small.
        loss: mean loss, without weight decay; the deciding metric where it is to be small.
    """

    accuracy: float | None
    loss: float

    @classmethod
    def of(cls, scores: "Scores") -> "Score":
        """Take the figures that a search goes by out of a network's scores."""
        if scores.deciding.higher_is_better:
            return cls(scores.value, scores["loss"])
        return cls(None, scores.value)

    @property
    def value(self) -> float:
        """What is to be made large: the accuracy, or minus the loss where there is none."""
        return -self.loss if self.accuracy is None else self.accuracy


def refuse_blind(whole: "Scores", policy: str) -> None:
    """Refuse a deciding metric by which no roll-out could be told from another.

    Args:
        whole: scores of the whole network on the images of the search.
        policy: `accuracy` or `flops`.

    Raises:
        InputError: if the metric is at its worst for the whole network already, or the policy
            needs a fraction and it is none.
    """
    deciding, value = whole.deciding, whole.value
    if deciding.is_blind(value):
        others = ", ".join(name for name in whole if name != deciding.name)
        raise InputError(
            f"`metric`: {deciding.name} of the whole network is {value:g} on the images of the "
            f"search, so it tells no roll-out from another. Name another with --metric: {others}."
        )
    if policy == "flops" and deciding.higher_is_better and not deciding.is_share:
        raise InputError(
            f"`metric`: reward_policy=flops needs a fraction in [0, 1] or an error to make small. "
            f"Received: {deciding.name}. Give reward_policy=accuracy, or another --metric."
        )


def reward(score: Score, cost: float, *, policy: str, noise_tolerance: float) -> float:
    """Turn a roll-out's score and cost into its reward.

    `accuracy`: the accuracy alone, `R = accuracy`. The cost stands still, because every roll-out
    uses the budget up. `flops`: the documents' cp_reward_policy, after AMC's equation (4),

        R = -max(error, noise_tolerance) * ln(cost),   error = 1 - accuracy,

    for roll-outs whose cost is free below the budget (multi-obj): a network with half the error is
    worth as much as one with the square root of the cost. Below `noise_tolerance` a smaller error
    earns nothing any more and only the cost counts, so that noise in the accuracy of an almost
    perfect network is not taken for progress.

    Args:
        score: of the network.
        cost: its multiply-adds, or what else the first kind of the quantity's budgets counts.
        policy: `accuracy` or `flops`.
        noise_tolerance: the error that is as good as none.

    Returns:
        The reward; NaN where the score is not finite.

    Raises:
        ValueError: an unknown policy.

    Example:
        >>> reward(Score(0.9, 0.3), 1e6, policy="accuracy", noise_tolerance=0.15)
        0.9
        >>> round(reward(Score(0.9, 0.3), 1e6, policy="flops", noise_tolerance=0.15), 4)
        -2.0723

    Reference:
        He et al., "AMC", ECCV 2018, arXiv:1802.03494, section 3.4: `R_FLOPs = -Error * log(FLOPs)`.

    Departs from the paper: the floor under the error, which is the documents'; without classes the
    loss stands for the error; costs of other kinds than multiply-adds.
    """
    if policy not in POLICIES:
        raise ValueError(f"`policy` must be one of {', '.join(POLICIES)}. Received: {policy!r}.")
    if not math.isfinite(score.value):
        return math.nan
    if policy == "accuracy":
        return score.value
    error = score.loss if score.accuracy is None else 1.0 - score.accuracy
    return -max(error, noise_tolerance) * math.log(max(cost, 1.0))
