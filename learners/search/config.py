"""Flags of a search, shared by the learners that have one: each puts its own prefix in front."""

import dataclasses
from typing import ClassVar

from learners.search.rewards import POLICIES, TYPES
from utils.flags import flag


@dataclasses.dataclass(frozen=True, kw_only=True)
class RolloutConfig:
    """How the choice for each layer is searched, whatever is chosen.

    Attributes:
        AGENT: who searches where `--agent` does not say, and candidates use the budget up.
    """

    AGENT: ClassVar[str] = "greedy"

    search: bool = flag(
        False, "Let an agent choose for each layer, within --budget, instead of one ratio for all."
    )
    nb_rlouts: int = flag(200, "Roll-outs: candidates that are tried.", lower=1, upper=100_000)
    nb_rlouts_min: int = flag(
        50,
        "Roll-outs before the search may end early, which it does once the best has not improved "
        "for half of nb_rlouts.",
        lower=1,
        upper=100_000,
    )
    reward_type: str = flag(
        "single-obj",
        "single-obj: every roll-out uses the budget up. multi-obj: the agent may stay below it, "
        "and the reward weighs score and cost (needs reward_policy=flops).",
        choices=TYPES,
    )
    reward_policy: str = flag(
        "accuracy",
        "accuracy: the reward is the accuracy. flops: -max(error, noise_tolerance) * ln(cost), "
        "the cost being the multiply-adds, or what the learner saves instead (weights, bits).",
        choices=POLICIES,
    )
    noise_tolerance: float = flag(
        0.15,
        "reward_policy=flops: a smaller error than this earns no more.",
        lower=0.0,
        upper=1.0,
    )
    nb_smpls_search: int = flag(
        1000, "Held-out training images that a roll-out is scored on.", lower=1, upper=1_000_000
    )
