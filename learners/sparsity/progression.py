"""How far a ratio has come after a share of the pruning steps.

One signature, (ratio, share) -> ratio by then: `ratio` in [0, 1) is reached at share 1, at share 0
nothing is removed.
"""

from collections.abc import Callable


def linear(ratio: float, share: float) -> float:
    """Remove equal parts.

    Example:
        >>> [linear(0.9375, share) for share in (0.25, 0.5, 0.75, 1.0)]
        [0.234375, 0.46875, 0.703125, 0.9375]
    """
    return ratio * share


def cubic(ratio: float, share: float) -> float:
    """Remove much at first and little at last: s = s_f (1 - (1 - share)^3).

    Example:
        >>> [round(cubic(0.9375, share), 4) for share in (0.25, 0.5, 0.75, 1.0)]
        [0.542, 0.8203, 0.9229, 0.9375]

    Reference:
        Zhu & Gupta, "To Prune, or Not to Prune", 2017, arXiv:1710.01878, equation (1).
    """
    return ratio * (1.0 - (1.0 - share) ** 3)


def geometric(ratio: float, share: float) -> float:
    """Remove the same part of what is left each time: s = 1 - (1 - s_f)^share.

    Example:
        >>> [geometric(0.9375, share) for share in (0.25, 0.5, 0.75, 1.0)]
        [0.5, 0.75, 0.875, 0.9375]

    Reference:
        Han et al., "Learning both Weights and Connections for Efficient Neural Networks", NIPS
        2015, arXiv:1506.02626, prunes and trains again so; Frankle & Carbin, "The Lottery Ticket
        Hypothesis", ICLR 2019, arXiv:1803.03635, section 1, by the n-th root of what stays.
    """
    return 1.0 - (1.0 - ratio) ** share


PROGRESSIONS: dict[str, Callable[[float, float], float]] = {
    "cubic": cubic,
    "geometric": geometric,
    "linear": linear,
}
