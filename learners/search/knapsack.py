"""The exact answer of an additive table: one choice per layer, least error within a budget.

    minimise  sum_l e_l(i_l)   subject to   sum_l c_l(i_l) <= budget

by a dynamic programme over a bucketed budget: `D_l(b)`, the least error of the first l layers at a
cost of at most b buckets, is

    D_l(b) = min_i D_(l-1)(b - c_l(i)) + e_l(i).

Reference:
    Frantar & Alistarh, "SPDY: Accurate Pruning with Speedup Guarantees", ICML 2022,
    arXiv:2201.13096, section 3.1 and algorithm 1.

Departs from the paper: where all costs are multiples of a unit and the budget has no more units
than buckets (multiply-adds a layer per unit, say), a bucket is a unit and the answer exact.
"""

from collections.abc import Sequence

import numpy as np

NUM_BUCKETS = 10_000
_SLACK = 1e-9  # what rounding errors of floating point may take a cost for
_LARGEST = 2.0**53  # whole numbers below it are exact


def least_error(
    errors: Sequence[np.ndarray],
    costs: Sequence[np.ndarray],
    budget: float,
    *,
    num_buckets: int = NUM_BUCKETS,
) -> np.ndarray:
    """Choose for every layer so that the sum of errors is least within a budget.

    Costs are rounded up to buckets, so the answer is always within the budget; it is at least as
    good as the best one for a budget smaller by one bucket per layer, and the best one of all where
    buckets are units (see the module).

    Args:
        errors: per layer float [choices].
        costs: per layer float [choices], finite.
        budget: what the choices may cost together.
        num_buckets: how finely what may be spent beyond the least possible is divided.

    Returns:
        int [layers], which choice of each; the cheapest of every layer where none is within.

    Raises:
        ValueError: tables of different sizes, or numbers that are not finite.

    Example:
        >>> errors = [np.array([9.0, 1.0, 0.0]), np.array([2.0, 1.0, 0.0])]
        >>> costs = [np.array([1.0, 2.0, 3.0])] * 2
        >>> least_error(errors, costs, 4.0), least_error(errors, costs, 5.0)
        (array([1, 1]), array([1, 2]))
    """
    _check(errors, costs)
    least = [float(column.min()) for column in costs]
    room = budget - sum(least)
    if room < 0.0:
        return np.array([_cheapest(e, c) for e, c in zip(errors, costs, strict=True)], dtype=int)
    weights, capacity = _weights(
        [c - low for c, low in zip(costs, least, strict=True)], room, num_buckets
    )
    best = np.zeros(capacity + 1)
    picks = []
    for column, weight in zip(errors, weights, strict=True):
        best, pick = _with_layer(best, column, weight)
        picks.append(pick)
    left, chosen = capacity, []
    for pick, weight in zip(reversed(picks), reversed(weights), strict=True):
        chosen.append(int(pick[left]))
        left -= int(weight[chosen[-1]])
    return np.array(chosen[::-1], dtype=int)


def _check(errors: Sequence[np.ndarray], costs: Sequence[np.ndarray]) -> None:
    for number, (column, cost) in enumerate(zip(errors, costs, strict=True)):
        if column.shape != cost.shape or not column.size:
            raise ValueError(
                f"errors and costs must be of the same choices. Received: shapes {column.shape} "
                f"and {cost.shape} for layer {number}."
            )
        if not (np.isfinite(column).all() and np.isfinite(cost).all()):
            raise ValueError(f"errors and costs must be finite. Received: others, layer {number}.")


def _cheapest(errors: np.ndarray, costs: np.ndarray) -> int:
    return int(np.lexsort((errors, costs))[0])


def _weights(
    costs: Sequence[np.ndarray], room: float, num_buckets: int
) -> tuple[list[np.ndarray], int]:
    """Count costs >= 0 in buckets: int per choice, and how many buckets there are."""
    unit = _common_unit(costs)
    if unit and room / unit < num_buckets + 1:
        return [np.rint(column / unit).astype(int) for column in costs], int(room / unit + _SLACK)
    size = room / num_buckets
    if size <= 0.0:
        return [np.where(column > 0.0, 1, 0) for column in costs], 0
    most = num_buckets + 1.0  # what costs more than there is cannot be had, however much more
    counts = [np.minimum(np.ceil(column / size - _SLACK), most) for column in costs]
    return [column.astype(int) for column in counts], num_buckets


def _common_unit(costs: Sequence[np.ndarray]) -> int:
    """Find the greatest common divisor of whole numbers; 0 where there are others, or only 0."""
    together = np.concatenate(costs)
    whole = np.rint(together)
    if together.max() >= _LARGEST or np.abs(together - whole).max() > _SLACK * together.max():
        return 0
    return int(np.gcd.reduce(whole.astype(np.int64)))


def _with_layer(
    best: np.ndarray, errors: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Add a layer: the least error for every budget, and the choice that has it."""
    found = np.full(best.size, np.inf)
    pick = np.zeros(best.size, dtype=np.int32)
    for number in range(errors.size - 1, -1, -1):  # of equals the larger choice
        weight = int(weights[number])
        if weight >= best.size:
            continue
        candidate = best[: best.size - weight] + errors[number]
        better = candidate < found[weight:]
        found[weight:][better] = candidate[better]
        pick[weight:][better] = number
    return found, pick
