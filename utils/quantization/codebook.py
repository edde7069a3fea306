"""Codebooks: a few levels, fitted to the weights of a group, that stand in for all of them.

Weights of any shape come with `ids`, the group of each (`groups.Grouping`). A group has a codebook
of its own and nothing to do with the others:

    fit_codebook(values, ids, 4)  ->  levels [G, 16]
    nearest(values, ids, levels)  ->  codes, shaped like the weights
    levels[ids, codes]            ->  values again, each at a level

Invariants: levels ascend; a value at a level is given it again; no level is nearer to a value than
the one it is given; with `keep_zero` 0.0 is a level, exactly.

`cluster_sums` is also the gradient of a codebook. As w_i = c_k for all i in cluster k,

    dL/dc_k = sum over i in cluster k of dL/dw_i.                                             (1)

Reference:
    Han, Mao & Dally, "Deep Compression", ICLR 2016, arXiv:1510.00149, section 3 (k-means, linear
    initialization, and (1) as equation 3); Wang & Song, "Ckmeans.1d.dp: Optimal k-means Clustering
    in One Dimension by Dynamic Programming", The R Journal 3(2), 2011.

Departs from the papers: k-means begins with the exact answer for at most `MAX_CELLS` cells of
neighboring values instead of levels drawn or spread over the range, and is weighted.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

MIN_BITS, MAX_BITS = 1, 8
MODES = ("weights", "clusters", "both")  # what training changes, see `learned_codebook.py`
MAX_CELLS = 256  # cells that the dynamic programme divides: O(levels x cells^2) for each group
MAX_EXACT_LEVELS = 32  # more of them begin at equal parts of `_measure`
MAX_PASSES = 100  # of Lloyd's algorithm


def fit_codebook(
    values: np.ndarray,
    ids: np.ndarray,
    num_bits: int,
    *,
    style: str = "kmeans",
    weights: np.ndarray | None = None,
    keep_zero: bool = False,
) -> np.ndarray:
    """Fit one codebook to each group.

    Args:
        values: float, any shape, finite.
        ids: int, of that shape: the group of each value, in [0, G).
        num_bits: in [1, 8]; a codebook has `2 ** num_bits` levels.
        style: a row of `STYLES`: `quantile` (as many values at each level), `uniform` (equal steps
            from the least value to the largest), `kmeans` (least squared error).
        weights: float, of that shape, >= 0: what a squared error of each value counts; values
            that count 0 are left out. None = 1 for all.
        keep_zero: 0 is one of the levels: what was pruned stays exactly zero.

    Returns:
        Levels, float64 [G, 2 ** num_bits], ascending. Where a group has fewer different values than
        that, these alone (and 0, where it is to be kept), the last repeated; zeros for a group
        without values.

    Raises:
        ValueError: if an argument is out of range, or the arrays do not fit each other.

    Example:
        >>> values = np.array([0.0, 0.1, 0.2, 3.9, 4.0, 4.1])
        >>> fit_codebook(values, np.zeros(6, int), 1).round(3)
        array([[0.1, 4. ]])
        >>> fit_codebook(np.array([1.0, 1.0, 2.0]), np.array([0, 0, 1]), 2, keep_zero=True)
        array([[0., 1., 1., 1.],
               [0., 2., 2., 2.]])
    """
    if not MIN_BITS <= num_bits <= MAX_BITS:
        raise ValueError(f"`num_bits` must be in [{MIN_BITS}, {MAX_BITS}]. Received: {num_bits}.")
    if style not in STYLES:
        raise ValueError(f"`style` must be one of {', '.join(STYLES)}. Received: {style!r}.")
    values, ids, masses = _checked(values, ids, weights)
    num_levels, num_groups = 2**num_bits, int(ids.max(initial=-1)) + 1
    order = np.argsort(ids, kind="stable")
    ends = np.cumsum(np.bincount(ids, minlength=num_groups))[:-1]
    levels = np.zeros((num_groups, num_levels))
    for group, members in enumerate(np.split(order, ends)):
        found, mass = _merged(values[members], masses[members])
        if not found.size:
            continue
        different = np.union1d(found, [0.0]) if keep_zero else found
        if different.size <= num_levels:
            levels[group, : different.size] = different
            levels[group, different.size :] = different[-1]
        else:
            levels[group] = STYLES[style](found, mass, num_levels, keep_zero)
    return levels


def nearest(values: Any, ids: Any, levels: Any, xp: Any = np) -> Any:
    """Find the level nearest to each value.

    Args:
        values: float, any shape.
        ids: int, broadcast to that shape: the group of each, in [0, G).
        levels: float [G, L], ascending.
        xp: `numpy` or `keras.ops`: the same function looks once, and in every training step.

    Returns:
        Codes, int32 like `values`, in [0, L). Half-way between two levels it is the lower one.

    Example:
        >>> nearest(np.array([-5.0, 0.4, 0.5, 0.6]), np.zeros(4, int), np.array([[0.0, 1.0]]))
        array([0, 0, 0, 1], dtype=int32)
    """
    return above(values, ids, middles(levels), xp)


def middles(levels: Any) -> Any:
    """Give the middles between neighboring levels, [G, L - 1]."""
    return (levels[:, :-1] + levels[:, 1:]) / 2.0


def above(values: Any, ids: Any, limits: Any, xp: Any = np) -> Any:
    """Count the limits below each value, by bisection.

    Args:
        values: float, any shape.
        ids: int, broadcast to that shape: the group of each, in [0, G).
        limits: float [G, L - 1], ascending: with `middles`, the count is the code.
        xp: see `nearest`.

    Returns:
        int32 like `values`, in [0, L).
    """
    last = limits.shape[1]
    codes, first = xp.zeros_like(values, dtype="int32"), ids * last
    limits = xp.reshape(limits, [-1])
    for bit in reversed(range(last.bit_length())):  # codes are built from their highest bit on
        tried = codes + 2**bit
        is_above = values > xp.take(limits, first + xp.minimum(tried, last) - 1)
        codes = xp.where(xp.logical_and(tried <= last, is_above), tried, codes)
    return codes


def cluster_sums(
    values: np.ndarray, ids: np.ndarray, codes: np.ndarray, shape: tuple[int, int]
) -> np.ndarray:
    """Sum up what belongs to each level: of the kernel's gradient, that of the codebook, (1).

    Args:
        values: float, any shape.
        ids: int, of that shape, in [0, G).
        codes: int, of that shape, in [0, L).
        shape: (G, L).

    Returns:
        float64 [G, L]; 0 for a level that no value has.

    Example:
        >>> values, codes = np.array([1.0, 2.0, 4.0]), np.array([0, 2, 0])
        >>> cluster_sums(values, np.zeros(3, int), codes, (1, 3))
        array([[5., 0., 2.]])
    """
    places = np.ravel(ids) * shape[1] + np.ravel(codes)
    return np.bincount(places, np.ravel(values), minlength=shape[0] * shape[1]).reshape(shape)


def _checked(
    values: np.ndarray, ids: np.ndarray, weights: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Check the arrays of a fit and give them flat."""
    values, ids = np.asarray(values, np.float64), np.asarray(ids)
    if not np.isfinite(values).all():
        raise ValueError("`values` must be finite.")
    if ids.shape != values.shape or ids.min(initial=0) < 0:
        raise ValueError(f"`ids` must be {values.shape}, >= 0. Received: {ids.shape}.")
    masses = np.ones(values.shape) if weights is None else np.asarray(weights, np.float64)
    if masses.shape != values.shape or not (np.isfinite(masses) & (masses >= 0)).all():
        raise ValueError(f"`weights` must be {values.shape}, >= 0. Received: {masses.shape}.")
    return values.ravel(), ids.ravel(), masses.ravel()


def _merged(values: np.ndarray, mass: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sort values [n] and merge equal ones; those without mass are left out."""
    there = mass > 0
    different, places = np.unique(values[there], return_inverse=True)
    return different, np.bincount(places, mass[there], minlength=different.size)


def _uniform(values: np.ndarray, mass: np.ndarray, num_levels: int, keep_zero: bool) -> np.ndarray:
    """Equal steps from the least to the largest value, moved by a part of one to meet zero."""
    levels = np.linspace(values[0], values[-1], num_levels)
    if keep_zero:
        levels -= levels[_pinned(levels)]
    return levels


def _quantile(values: np.ndarray, mass: np.ndarray, num_levels: int, keep_zero: bool) -> np.ndarray:
    """The values in the middle of parts of equal mass; the nearest becomes zero."""
    reached = np.cumsum(mass) / np.sum(mass)
    parts = (np.arange(num_levels) + 0.5) / num_levels
    levels = values[np.minimum(np.searchsorted(reached, parts), values.size - 1)]
    if keep_zero:
        levels[_pinned(levels)] = 0.0
        levels = np.sort(levels)
    return levels


def _kmeans(values: np.ndarray, mass: np.ndarray, num_levels: int, keep_zero: bool) -> np.ndarray:
    """Minimize the squared error; see the module."""
    if num_levels <= MAX_EXACT_LEVELS:
        levels = _optimal(*_cells(values, mass), num_levels, keep_zero)
    else:
        levels = _companded(values, mass, num_levels, keep_zero)
    pinned = _pinned(levels) if keep_zero else None
    ids = np.zeros(values.size, np.int64)
    for _ in range(MAX_PASSES):
        codes = nearest(values, ids, levels[None])
        (sums,) = cluster_sums(mass, ids, codes, (1, num_levels))
        (firsts,) = cluster_sums(mass * values, ids, codes, (1, num_levels))
        moved = np.where(sums > 0, firsts / np.where(sums > 0, sums, 1.0), levels)
        if pinned is not None:
            moved[pinned] = 0.0
        if np.array_equal(moved, levels):
            break
        levels = moved
    return levels


STYLES: dict[str, Callable[[np.ndarray, np.ndarray, int, bool], np.ndarray]] = {
    "quantile": _quantile,
    "uniform": _uniform,
    "kmeans": _kmeans,
}
"""(different values ascending [n], their masses > 0 [n], levels, whether 0 is one) -> [levels];
called with more values than levels."""


def _pinned(levels: np.ndarray) -> int:
    """Find the level that is, or becomes, zero."""
    return int(np.argmin(np.abs(levels)))


def _companded(
    values: np.ndarray, mass: np.ndarray, num_levels: int, keep_zero: bool
) -> np.ndarray:
    """Levels in the middle of equal parts of `_measure`; the nearest becomes zero."""
    parts = (np.arange(num_levels) + 0.5) / num_levels
    levels = np.interp(parts, _measure(values, mass), values)
    if keep_zero:
        levels[_pinned(levels)] = 0.0
        levels = np.sort(levels)
    return levels


def _measure(values: np.ndarray, mass: np.ndarray) -> np.ndarray:
    """Say how far along each value is, from 0 to 1, in parts that deserve as many levels each.

    With many levels the squared error is least where their density goes by the cube root of that of
    the values, f^(1/3): over a gap d behind a mass m that is (m / d)^(1/3) d.

    Reference:
        Panter & Dite, "Quantization Distortion in Pulse-Count Modulation with Nonuniform Spacing of
        Levels", Proceedings of the IRE, 1951.
    """
    gaps = np.diff(values)
    parts = np.cbrt((mass[1:] + mass[:-1]) / 2.0 * gaps**2)
    reached = np.concatenate([[0.0], np.cumsum(parts)])
    return reached / reached[-1]


def _cells(values: np.ndarray, mass: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Put neighbors of ascending values together in cells, far ones in cells of their own.

    Returns:
        Mass [m], sum [m] and sum of squares [m] of each cell.
    """
    if values.size <= MAX_CELLS:
        starts = np.arange(values.size)
    else:
        starts = np.unique(np.floor(_measure(values, mass) * MAX_CELLS), return_index=True)[1]
    return tuple(  # type: ignore[return-value]
        np.add.reduceat(mass * values**power, starts) for power in range(3)
    )


def _optimal(
    mass: np.ndarray, sums: np.ndarray, squares: np.ndarray, num_levels: int, keep_zero: bool
) -> np.ndarray:
    """Divide ascending cells among levels so that the squared error is least.

    `least[z, j]` is the least error of the first j cells with the levels so far, z = 1 where one
    of them is zero. Clusters of a line are intervals; one may be empty.

    Returns:
        Levels [num_levels], ascending; the last repeated for those that have no cell.
    """
    totals = [np.concatenate([[0.0], np.cumsum(part)]) for part in (mass, sums, squares)]
    weight, first, second = (total[None, :] - total[:, None] for total in totals)  # of cells [i, j)
    inside = np.triu(np.ones(weight.shape, bool))
    at_zero = np.where(inside, second, np.inf)
    means = first / np.where(weight > 0, weight, 1.0)
    at_mean = np.where(inside, np.maximum(second - first * means, 0.0), np.inf)
    least = np.full((2, mass.size + 1), np.inf)
    least[0, 0] = 0.0
    came_from: list[tuple[np.ndarray, np.ndarray]] = []  # cell and state before each level
    for _ in range(num_levels):
        to_free = _step(least[0], at_mean)
        options = [_step(least[1], at_mean), _step(least[0], at_zero)] if keep_zero else [to_free]
        by_zero = np.argmin([error for error, _ in options], axis=0)
        to_zeroed = [np.choose(by_zero, parts) for parts in zip(*options, strict=True)]
        least = np.stack([to_free[0], to_zeroed[0]])
        came_from.append((np.stack([to_free[1], to_zeroed[1]]), by_zero))
    levels, state, end = [0.0] * keep_zero, int(keep_zero), mass.size
    for cells, by_zero in reversed(came_from):
        start, is_zero = int(cells[state, end]), bool(state and by_zero[end])
        if not is_zero and start < end:
            levels.append(float(means[start, end]))
        state, end = state - is_zero, start
    levels.sort()
    return np.array(levels + levels[-1:] * (num_levels - len(levels)))


def _step(least: np.ndarray, errors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Add a level: least error and the first of its cells, by the number of cells [m + 1]."""
    found = least[:, None] + errors
    first = np.argmin(found, axis=0)
    return np.take_along_axis(found, first[None], axis=0)[0], first
