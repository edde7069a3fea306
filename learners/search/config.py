"""Flags of a search, shared by the learners that have one: each puts its own prefix in front."""

import dataclasses

from learners.search.rewards import POLICIES, TYPES
from utils.flags import flag

AGENTS = ("greedy", "ddpg", "tpe", "cma-es", "evolution", "random")
DEFAULT_AGENT = "greedy"
MULTI_OBJ_AGENT = "evolution"  # `greedy` takes what the budget allows and never less


def default_agent(reward_type: str) -> str:
    """Say who searches where `--agent` does not."""
    return MULTI_OBJ_AGENT if reward_type == "multi-obj" else DEFAULT_AGENT


@dataclasses.dataclass(frozen=True, kw_only=True)
class SearchConfig:
    """How the choice for each layer is searched."""

    search: bool = flag(
        False, "Let an agent choose for each layer, within --budget, instead of one ratio for all."
    )
    nb_rlouts: int = flag(200, "Roll-outs: candidates that are tried.", lower=1)
    nb_rlouts_min: int = flag(
        50,
        "Roll-outs before the search may end early, which it does once the best has not improved "
        "for half of nb_rlouts.",
        lower=1,
    )
    reward_type: str = flag(
        "single-obj",
        "single-obj: every roll-out uses the budget up. multi-obj: the agent may stay below it, "
        "and the reward weighs score and cost (needs reward_policy=flops).",
        choices=TYPES,
    )
    reward_policy: str = flag(
        "accuracy",
        "accuracy: the reward is the accuracy. flops: -max(error, noise_tolerance) * "
        "ln(multiply-adds).",
        choices=POLICIES,
    )
    noise_tolerance: float = flag(
        0.15,
        "reward_policy=flops: a smaller error than this earns no more.",
        lower=0.0,
        upper=1.0,
    )
    nb_smpls_search: int = flag(
        1000, "Held-out training images that a roll-out is scored on.", lower=1
    )
    nb_smpls_bn: int = flag(
        250,
        "Training images from which each roll-out takes its batch-norm statistics anew; 0 leaves "
        "them to the offsets that least squares fits.",
        lower=0,
        upper=250,
    )
    nb_iters_tune: int = flag(
        0,
        "Training steps of the whole network in each roll-out before it is scored; undone after. "
        "Layer by layer every roll-out is tuned by least squares, in closed form.",
        lower=0,
    )
    latency_step: int = flag(
        16,
        "With a latency budget counts are multiples of this many channels, where processors have "
        "their steps; of a quarter of the group where it is smaller than four steps.",
        unit="channels",
        lower=1,
    )
