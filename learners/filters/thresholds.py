"""The falling list of thresholds of soft pruning; known without TensorFlow, for flags."""

import itertools
from collections.abc import Sequence

from utils.errors import InputError

THRESHOLDS = (0.8, 0.7, 0.6, 0.55, 0.5)


def parse_thresholds(text: str, source: str) -> tuple[float, ...]:
    """Read numbers separated by commas.

    Args:
        text: the list.
        source: what gives it, for messages.

    Returns:
        The thresholds.

    Raises:
        InputError: see `check_thresholds`; also for what is no number.

    Example:
        >>> parse_thresholds("0.8, 0.5", "`sfp_thresholds`")
        (0.8, 0.5)
    """
    try:
        thresholds = tuple(float(part) for part in text.split(","))
    except ValueError:
        raise InputError(
            f"{source} must be numbers separated by commas, e.g. 0.8,0.7,0.6. Received: {text!r}."
        ) from None
    check_thresholds(thresholds, source)
    return thresholds


def check_thresholds(thresholds: Sequence[float], source: str = "`thresholds`") -> None:
    """Refuse a list that is empty, does not fall, or has a number outside (0, 1).

    Raises:
        InputError: says what it must be.
    """
    inside = all(0.0 < threshold < 1.0 for threshold in thresholds)
    falls = all(a > b for a, b in itertools.pairwise(thresholds))
    if not thresholds or not inside or not falls:
        raise InputError(
            f"{source} must be numbers in (0, 1), each smaller than the one before. Received: "
            f"{', '.join(f'{threshold:g}' for threshold in thresholds) or 'none'}."
        )
