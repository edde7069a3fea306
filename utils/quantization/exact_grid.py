"""The step of a grid, found from the numbers that lie on it, so that they come back bit by bit."""

from __future__ import annotations

import numpy as np

MAX_LEVEL = 255
"""Largest multiple of the step: 8 bits, all on one side of zero."""

_FIRST = 8  # numbers that a step is tried on first


def exact_step(values: np.ndarray, *, single: bool = False) -> tuple[float, np.ndarray] | None:
    """Find the coarsest step of which float32 numbers are rounded multiples.

    A number is `float32(step * level)`, the product in double precision. Every number bounds the
    step to an interval of width 2^-24; what all intervals share will do. A float32 in it is
    preferred: with one, the product in single precision is the same.

    Args:
        values: float32, finite, not zero; any order, repeated or not.
        single: allow only steps that are float32, perhaps a finer one.

    Returns:
        The step, positive, and the levels, int64 like `values`; None where there is none with
        levels up to `MAX_LEVEL`.

    Example:
        >>> step, levels = exact_step(np.float32(0.1) * np.array([-3, 2, 7], np.float32))
        >>> float(step), levels
        (0.10000000149011612, array([-3,  2,  7]))
    """
    if not values.size:
        return 1.0, np.zeros(0, np.int64)
    sizes = np.unique(np.abs(values))
    exact = sizes.astype(np.float64)
    # The smallest number is level 1, 2, … of the grid; the largest must not pass MAX_LEVEL.
    most = int(MAX_LEVEL * exact[0] / exact[-1] * (1 + 1e-6))
    if most < 1:
        return None
    half = np.spacing(sizes).astype(np.float64) / 2
    parts = np.arange(1, most + 1)
    for some in (slice(None, None, 1 + sizes.size // _FIRST), slice(None)):  # most parts fail soon
        multiples = np.rint(exact[some] * parts[:, None] / exact[0])
        low = ((exact[some] - half[some]) / multiples).max(1)
        high = ((exact[some] + half[some]) / multiples).min(1)
        fits = low <= high
        parts, multiples, low, high = parts[fits], multiples[fits], low[fits], high[fits]
    for row in range(parts.size):
        step = _within(low[row], high[row], sizes, multiples[row], single)
        if step is not None:
            levels = np.rint(values.astype(np.float64) / step).astype(np.int64)
            return step, levels
    return None


def _within(
    low: float, high: float, sizes: np.ndarray, levels: np.ndarray, single: bool
) -> float | None:
    """Choose a step of an interval that gives the numbers; ends of it may miss by rounding."""
    middle = (low + high) / 2
    near = np.float32(middle)
    both = (np.nextafter(near, np.float32(0)), np.nextafter(near, np.float32(np.inf)))
    for step in (*map(float, (near, *both)), *([] if single else [middle])):
        if np.array_equal((step * levels).astype(np.float32), sizes):
            return step
    return None
