"""Flags of budgets and searches for channel counts, beyond those that every search has."""

import dataclasses

from utils.flags import flag


@dataclasses.dataclass(frozen=True, kw_only=True)
class LatencyConfig:
    """Which counts there are with a latency budget."""

    latency_step: int = flag(
        16,
        "With a latency budget counts are multiples of this many channels, where processors have "
        "their steps; of a quarter of the group where it is smaller than four steps.",
        unit="channels",
        lower=1,
        upper=4_096,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class ChannelSearchConfig(LatencyConfig):
    """How candidates are made ready to be scored, and which there are."""

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
        upper=1_000_000,
    )
