"""What a weight is worth: the first of the four axes (score, schedule, allocate, mask).

All functions here have one signature, (weights, gradients) -> scores, so that a criterion is a row
of `SCORES`. The lowest scores go first; a weight that is zero scores zero.
"""

import dataclasses
from collections.abc import Callable

import numpy as np


def magnitude(weights: np.ndarray, gradients: np.ndarray | None = None) -> np.ndarray:
    """Score weights by their absolute values.

    Args:
        weights: float array of any shape.
        gradients: not looked at.

    Returns:
        |w|, shaped and typed like `weights`.

    Example:
        >>> magnitude(np.array([0.5, -2.0]))
        array([0.5, 2. ])

    Reference:
        Han et al., "Learning both Weights and Connections for Efficient Neural Networks", NIPS
        2015, arXiv:1506.02626; Zhu & Gupta, 2017, arXiv:1710.01878.
    """
    del gradients
    return np.abs(weights)


def weight_times_gradient(weights: np.ndarray, gradients: np.ndarray | None = None) -> np.ndarray:
    """Score weights by how much the loss would change without them, to first order.

    Args:
        weights: float array of any shape.
        gradients: float array of that shape, the loss' mean gradient.

    Returns:
        |w * g|.

    Raises:
        ValueError: without gradients.

    Example:
        >>> weight_times_gradient(np.array([0.5, -2.0]), np.array([4.0, 0.25]))
        array([2. , 0.5])

    Reference:
        Mozer & Smolensky, "Skeletonization", NIPS 1988; Lee, Ajanthan & Torr, "SNIP", ICLR 2019,
        arXiv:1810.02340, equation (3).
    """
    if gradients is None:
        raise ValueError("weight x gradient needs `gradients`. Received: None.")
    return np.abs(weights * gradients)


@dataclasses.dataclass(frozen=True)
class Criterion:
    """A row of `SCORES`.

    Attributes:
        score: (weights, gradients) -> scores.
        needs_gradients: whether it looks at them.
    """

    score: Callable[[np.ndarray, np.ndarray | None], np.ndarray]
    needs_gradients: bool = False


SCORES: dict[str, Criterion] = {
    "magnitude": Criterion(magnitude),
    "gradient": Criterion(weight_times_gradient, needs_gradients=True),
}
