"""Looking for the smallest size that is good enough: which size is tried next.

Sizes are bisected on a logarithmic scale between the largest that lost too much and the smallest
that did not; before there is such a pair, steps lead up or down.
"""

import dataclasses
import math
from collections.abc import Sequence

STEP_DOWN, STEP_UP = 0.7, 1.4
NEAR = 1.04  # ratio of two sizes that are told apart
_INNER = 0.25  # of the logarithmic distance, that a guess stays away from either end


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tried:
    """A size that was tried.

    Attributes:
        size: what was asked for.
        drop: what was lost.
    """

    size: float
    drop: float


def next_size(
    tried: Sequence[Tried], max_drop: float, *, first: float, least: float, most: float
) -> float | None:
    """Say which size to try next.

    Args:
        tried: what is known.
        max_drop: what may be lost.
        first: the size to begin with.
        least: the smallest that there is.
        most: the largest that is wanted.

    Returns:
        The size, in [least, most]; None where nothing is to be gained.

    Example:
        >>> one = Tried(size=100.0, drop=2.0)
        >>> next_size([one], 1.0, first=100.0, least=10.0, most=500.0)
        140.0
        >>> other = Tried(size=200.0, drop=0.0)
        >>> round(next_size([one, other], 1.0, first=100.0, least=10.0, most=500.0))
        141
    """
    if not tried:
        return min(max(first, least), most)
    inside = [each.size for each in tried if each.drop <= max_drop]
    best = min(inside, default=math.inf)
    outside = [each for each in tried if each.drop > max_drop and each.size < best]
    worst = max(outside, key=lambda each: each.size, default=None)
    if not inside:
        size = max(each.size for each in tried)
        return None if size >= most else min(size * STEP_UP, most)
    if worst is None:
        return None if best <= least * NEAR else max(best * STEP_DOWN, least)
    if best <= worst.size * NEAR:
        return None
    good = max((each for each in tried if each.size == best), key=lambda each: each.drop)
    return _between(worst, good, max_drop)


def _between(worst: Tried, good: Tried, max_drop: float) -> float:
    """Guess where the drop is the one that is allowed, as if it were linear in the logarithm."""
    span = worst.drop - good.drop
    place = 0.5 if span <= 0 else (worst.drop - max_drop) / span
    place = min(max(place, _INNER), 1.0 - _INNER)
    return worst.size ** (1.0 - place) * good.size**place
