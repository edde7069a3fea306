"""Budgets: what share of a network may stay, and the one uniform ratio that meets it."""

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np

from utils.errors import InputError

KINDS = ("flops",)
TOLERANCE = 0.02  # of the target, up or down
MAX_BISECTIONS = 40


@dataclasses.dataclass(frozen=True)
class Budget:
    """What may be kept.

    Attributes:
        kind: what is counted; `flops` = multiply-adds.
        share: the share of the uncompressed network's amount, in (0, 1].
    """

    kind: str
    share: float


def parse_budget(text: str) -> Budget:
    """Read a budget such as `flops:0.5`.

    Raises:
        InputError: for an unknown kind, or a share outside (0, 1].

    Example:
        >>> parse_budget("flops:0.5")
        Budget(kind='flops', share=0.5)
    """
    kind, _, amount = text.partition(":")
    try:
        share = float(amount)
    except ValueError:
        share = -1.0
    if kind not in KINDS or not 0.0 < share <= 1.0:
        raise InputError(
            "`budget` must be flops:SHARE with the share of multiply-adds kept in (0, 1], e.g. "
            f"flops:0.5. Received: {text!r}."
        )
    return Budget(kind, share)


def keep_count(size: int, ratio: float, round_to: int) -> int:
    """Say how many of `size` channels stay when the fraction `ratio` is removed.

    Args:
        size: channels now.
        ratio: fraction removed, in [0, 1).
        round_to: the count is the nearest multiple of this where that leaves between `round_to` and
            `size` channels; a group no larger than `round_to` is rounded to single channels.

    Returns:
        The count, at least 1.

    Example:
        >>> keep_count(64, 0.45, 1), keep_count(64, 0.45, 8), keep_count(6, 0.5, 8)
        (35, 32, 3)
    """
    wanted = (1.0 - ratio) * size
    if round_to > 1 and size > round_to:
        multiple = max(round(wanted / round_to), 1) * round_to
        return min(multiple, size)
    return min(max(round(wanted), 1), size)


def uniform_counts(
    sizes: Mapping[str, int],
    cost: Callable[[Mapping[str, int]], float],
    target: float,
    *,
    round_to: int = 1,
) -> dict[str, int]:
    """Find the one ratio, the same for every group, whose network costs `target`.

    The ratio is bisected. Counts are whole numbers, so the cost moves in steps; of the two networks
    on either side of the target the groups are then moved one after another from the larger
    counts to the smaller ones, and the closest network on that way is taken.

    Args:
        sizes: group name -> channels now.
        cost: counts of channels kept -> the network's cost; grows with every count.
        target: the cost to meet.
        round_to: counts are multiples of this where `keep_count` can.

    Returns:
        Group name -> channels kept.

    Raises:
        InputError: if the target lies outside what can be reached; gives the range.
    """

    def counts_at(ratio: float) -> dict[str, int]:
        return {name: keep_count(size, ratio, round_to) for name, size in sizes.items()}

    most, least = cost(sizes), cost(counts_at(1.0))
    if target > most * (1.0 + TOLERANCE) or target < least * (1.0 - TOLERANCE):
        raise InputError(
            f"The budget cannot be met: this network can keep between {least / most:.3f} and 1.000 "
            f"of its cost, {target / most:.3f} was asked for. Choose a share in that range, or "
            "prune more layers (--cpr_residual=joint, fewer --cpr_skip_*)."
        )
    low, high = 0.0, 1.0
    for _ in range(MAX_BISECTIONS):
        ratio = (low + high) / 2.0
        if cost(counts_at(ratio)) > target:
            low = ratio
        else:
            high = ratio
    return _closest_between(counts_at(low), counts_at(high), cost, target)


def _closest_between(
    larger: dict[str, int],
    smaller: dict[str, int],
    cost: Callable[[Mapping[str, int]], float],
    target: float,
) -> dict[str, int]:
    candidates = [dict(larger)]
    for name in larger:
        candidates.append({**candidates[-1], name: smaller[name]})
    gaps = [abs(cost(counts) - target) for counts in candidates]
    return candidates[int(np.argmin(gaps))]
