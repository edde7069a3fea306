"""Sharing a total out by what each part would lose: a layer's among its outputs, or a network's."""

from collections.abc import Sequence

import numpy as np
from scipy.optimize import isotonic_regression


def turns(curves: Sequence[np.ndarray]) -> np.ndarray:
    """Say which part gives its next block, step by step, until all gave all.

    The first n turns are the allocation of n blocks with the least total error, exactly so at the
    corners of the curves' lower convex hulls: each step counts the slope of its curve's hull, so
    that a dear step in front of cheap ones is seen together with them; steps go by their slopes.

    Args:
        curves: for each part float64 [S + 1], its error once 0, 1, ... S blocks are gone: the rows
            of `Elimination.errors` times the square of what one unit of an output counts, or the
            relative errors of several layers. They may differ in length.

    Returns:
        int [sum of S], the parts; of equal slopes the first part goes first. How many blocks of
        each are gone when n are says `np.bincount(turns[:n], minlength=len(curves))`.

    Example:
        >>> turns([np.array([0.0, 1.0, 5.0]), np.array([0.0, 2.0, 2.5, 3.0])])
        array([0, 1, 1, 1, 0])
    """
    slopes = [_hull_slopes(np.diff(curve)) for curve in curves]
    parts = np.repeat(np.arange(len(slopes)), [each.size for each in slopes])
    return parts[np.argsort(np.concatenate(slopes), kind="stable")]


def errors_by_turns(curves: Sequence[np.ndarray], order: np.ndarray) -> np.ndarray:
    """Add up the errors of all parts along their turns: a curve for all of them together.

    Args:
        curves: for each part float64 [S + 1], see `turns`.
        order: int [n], what `turns` gave, or its beginning.

    Returns:
        float64 [n + 1], the total error once 0, 1, ... n blocks are gone.

    Example:
        >>> curves = [np.array([0.0, 1.0, 5.0]), np.array([0.0, 2.0, 2.5])]
        >>> errors_by_turns(curves, turns(curves))
        array([0. , 1. , 3. , 3.5, 7.5])
    """
    rises = np.empty(order.size)
    for part, curve in enumerate(curves):
        own = np.flatnonzero(order == part)
        rises[own] = np.diff(curve)[: own.size]
    start = sum(float(curve[0]) for curve in curves)
    return np.concatenate([[start], start + np.cumsum(rises)])


def _hull_slopes(rises: np.ndarray) -> np.ndarray:
    """Slopes of the lower convex hull of a curve with these rises, float64 [S]."""
    return isotonic_regression(rises).x if rises.size else rises
