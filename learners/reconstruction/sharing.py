"""Sharing a layer's total among its outputs, by what each would lose."""

import numpy as np
from scipy.optimize import isotonic_regression


def turns(errors: np.ndarray) -> np.ndarray:
    """Say which team of outputs gives its next block, step by step, until all gave all.

    The first n turns are the allocation of n blocks with the least total error, exactly so at the
    corners of the curves' lower convex hulls: each step of a team counts the slope of its hull, so
    that a dear step in front of cheap ones is seen together with them; steps go by their slopes.

    Args:
        errors: float64 [T, S + 1], the error of each team once s blocks are gone, e.g. of
            `Elimination.errors`, times the square of what one unit of each output counts.

    Returns:
        int [T * S], the teams; of equal slopes the lower team first. `np.bincount(turns[:n],
        minlength=T)` says how many blocks of each team are gone when n are.

    Example:
        >>> turns(np.array([[0.0, 1.0, 5.0], [0.0, 2.0, 2.5]]))
        array([0, 1, 1, 0])
    """
    rises = np.diff(errors, axis=1)
    slopes = np.array([isotonic_regression(row).x if row.size else row for row in rises])
    return np.argsort(slopes, axis=None, kind="stable") // max(rises.shape[1], 1)


def errors_by_turns(errors: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Add up the errors of all teams along their turns: the layer's own curve.

    Args:
        errors: float64 [T, S + 1].
        order: int [n], what `turns` gave, or its beginning.

    Returns:
        float64 [n + 1], the layer's error once 0, 1, ... n blocks are gone.

    Example:
        >>> errors = np.array([[0.0, 1.0, 5.0], [0.0, 2.0, 2.5]])
        >>> errors_by_turns(errors, turns(errors))
        array([0. , 1. , 3. , 3.5, 7.5])
    """
    rises = np.diff(errors, axis=1)
    by_team = np.argsort(order, kind="stable")  # the turns of each team, one team after the other
    counts = np.bincount(order, minlength=len(errors))
    steps = np.arange(order.size) - np.repeat(np.cumsum(counts) - counts, counts)
    taken = np.empty(order.size)
    taken[by_team] = rises[order[by_team], steps]
    return np.concatenate([[errors[:, 0].sum()], errors[:, 0].sum() + np.cumsum(taken)])
