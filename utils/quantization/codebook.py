"""Codebooks: a few points, fitted to the weights of a bucket, that stand in for all of them.

A bucket is a set of weights that share one codebook: a tensor, an output channel, n weights in a
row. Here buckets are the rows of a matrix, and every function treats each row alone:

    fit_codebook(values, 4)  ->  points [B, 16]  ->  nearest(values, points)  ->  codes [B, n]
    decode(codes, points)    ->  values again, each at a point

Invariants: points ascend; `decode(nearest(points, points), points) == points`; no point is nearer
to a value than the one it is given; with `keep_zero` 0.0 is a point, exactly.

`cluster_sums` is also the gradient of a codebook. As w_i = c_k for all i in cluster k,

    dL/dc_k = sum over i in cluster k of dL/dw_i.                                             (1)

Reference:
    Han, Mao & Dally, "Deep Compression", ICLR 2016, arXiv:1510.00149, section 3 (k-means, linear
    initialization, and (1) as equation 3); Wang & Song, "Ckmeans.1d.dp: Optimal k-means Clustering
    in One Dimension by Dynamic Programming", The R Journal 3(2), 2011.

Departs from the papers: k-means begins with the exact answer for at most `MAX_CELLS` cells of
neighboring values instead of points drawn or spread over the range, and is weighted.
"""

from collections.abc import Callable

import numpy as np

MIN_BITS, MAX_BITS = 1, 8
MAX_CELLS = 256  # cells that the dynamic programme divides: O(points x cells^2) for each bucket
MAX_EXACT_POINTS = 32  # with more of them, quantiles are as good a beginning
MAX_PASSES = 100  # of Lloyd's algorithm


def fit_codebook(
    values: np.ndarray,
    num_bits: int,
    *,
    style: str = "kmeans",
    weights: np.ndarray | None = None,
    keep_zero: bool = False,
) -> np.ndarray:
    """Fit one codebook to each bucket.

    Args:
        values: float [B, n], finite.
        num_bits: in [1, 8]; a codebook has `2 ** num_bits` points.
        style: a row of `STYLES`: `quantile` (as many values at each point), `uniform` (equal steps
            from the least value to the largest), `kmeans` (least squared error).
        weights: float [B, n], >= 0, what a squared error of each value counts; where it is 0 there
            is no value (filling of a short bucket, say). None = 1 for all.
        keep_zero: 0 is one of the points: what was pruned stays exactly zero.

    Returns:
        Points, float64 [B, 2 ** num_bits], ascending. Where a bucket has fewer different values
        than that, these alone (and 0, where it is to be kept), the last repeated; zeros for a
        bucket without values.

    Raises:
        ValueError: if an argument is out of range, or the arrays do not fit each other.

    Example:
        >>> fit_codebook(np.array([[0.0, 0.1, 0.2, 3.9, 4.0, 4.1]]), 1).round(3)
        array([[0.1, 4. ]])
        >>> fit_codebook(np.array([[1.0, 1.0, 2.0]]), 2, keep_zero=True)
        array([[0., 1., 2., 2.]])
    """
    if not MIN_BITS <= num_bits <= MAX_BITS:
        raise ValueError(f"`num_bits` must be in [{MIN_BITS}, {MAX_BITS}]. Received: {num_bits}.")
    if style not in STYLES:
        raise ValueError(f"`style` must be one of {', '.join(STYLES)}. Received: {style!r}.")
    values, masses = _checked(values, weights)
    num_points = 2**num_bits
    points = np.zeros((len(values), num_points))
    for row, (own, mass) in enumerate(zip(values, masses, strict=True)):
        found, mass = _merged(own, mass)
        if not found.size:
            continue
        different = np.union1d(found, [0.0]) if keep_zero else found
        if different.size <= num_points:
            points[row, : different.size] = different
            points[row, different.size :] = different[-1]
        else:
            points[row] = STYLES[style](found, mass, num_points, keep_zero)
    return points


def nearest(
    values: np.ndarray, points: np.ndarray, buckets: np.ndarray | None = None
) -> np.ndarray:
    """Find the point nearest to each value, by bisection.

    Args:
        values: float, [B, n], or any shape with `buckets`.
        points: float [B, K], ascending.
        buckets: int, broadcast to `values`: whose points; None = those of its row.

    Returns:
        Codes, int64 like `values`, in [0, K). Half-way between two points it is the lower one.

    Example:
        >>> nearest(np.array([[-5.0, 0.4, 0.5, 0.6]]), np.array([[0.0, 1.0]]))
        array([[0, 0, 0, 1]])
    """
    values, points = np.asarray(values, np.float64), np.asarray(points, np.float64)
    rows = np.arange(len(points))[:, None] if buckets is None else buckets
    middles = (points[:, :-1] + points[:, 1:]) / 2.0
    codes, last = np.zeros(values.shape, np.int64), middles.shape[1]
    for bit in reversed(range(last.bit_length())):  # the codes are built from their highest bit on
        tried = codes + 2**bit
        is_above = values > middles[rows, np.minimum(tried, last) - 1]
        codes = np.where((tried <= last) & is_above, tried, codes)
    return codes


def decode(codes: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Look codes up.

    Args:
        codes: int [B, n], in [0, K).
        points: float [B, K].

    Returns:
        Of the type of `points`, [B, n].

    Example:
        >>> decode(np.array([[1, 0, 1]]), np.array([[-0.5, 0.25]]))
        array([[ 0.25, -0.5 ,  0.25]])
    """
    return np.take_along_axis(points, codes, axis=1)


def cluster_sums(values: np.ndarray, codes: np.ndarray, num_points: int) -> np.ndarray:
    """Sum up what belongs to each point: of the kernel's gradient, that of the codebook, (1).

    Args:
        values: float [B, n].
        codes: int [B, n], in [0, num_points).
        num_points: K.

    Returns:
        float64 [B, K]; 0 for a point that no value has.

    Example:
        >>> cluster_sums(np.array([[1.0, 2.0, 4.0]]), np.array([[0, 2, 0]]), 3)
        array([[5., 0., 2.]])
    """
    num_buckets = len(values)
    places = codes + num_points * np.arange(num_buckets)[:, None]
    sums = np.bincount(places.ravel(), np.ravel(values), minlength=num_buckets * num_points)
    return sums.reshape(num_buckets, num_points)


def _checked(values: np.ndarray, weights: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    values = np.asarray(values, np.float64)
    if values.ndim != 2 or not np.isfinite(values).all():
        raise ValueError(f"`values` must be finite, [buckets, n]. Received: {values.shape}.")
    masses = np.ones(values.shape) if weights is None else np.asarray(weights, np.float64)
    if masses.shape != values.shape or not (np.isfinite(masses) & (masses >= 0)).all():
        raise ValueError(f"`weights` must be {values.shape}, >= 0. Received: {masses.shape}.")
    return values, masses


def _merged(values: np.ndarray, mass: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sort values [n] and merge equal ones; those without mass are left out."""
    there = mass > 0
    different, places = np.unique(values[there], return_inverse=True)
    return different, np.bincount(places, mass[there], minlength=different.size)


def _uniform(
    values: np.ndarray, mass: np.ndarray, num_points: int, keep_zero: bool
) -> np.ndarray:
    """Equal steps from the least to the largest value, moved by a part of one to meet zero."""
    points = np.linspace(values[0], values[-1], num_points)
    if keep_zero:
        points -= points[_pinned(points)]
    return points


def _quantile(
    values: np.ndarray, mass: np.ndarray, num_points: int, keep_zero: bool
) -> np.ndarray:
    """The values in the middle of parts of equal mass; the nearest becomes zero."""
    reached = np.cumsum(mass) / np.sum(mass)
    parts = (np.arange(num_points) + 0.5) / num_points
    points = values[np.minimum(np.searchsorted(reached, parts), values.size - 1)]
    if keep_zero:
        points[_pinned(points)] = 0.0
        points = np.sort(points)
    return points


def _kmeans(
    values: np.ndarray, mass: np.ndarray, num_points: int, keep_zero: bool
) -> np.ndarray:
    """Minimize the squared error; see the module."""
    if num_points <= MAX_EXACT_POINTS:
        points = _optimal(*_cells(values, mass), num_points, keep_zero)
    else:
        points = _quantile(values, mass, num_points, keep_zero)
    pinned = _pinned(points) if keep_zero else None
    values, mass, points = values[None], mass[None], points[None]
    for _ in range(MAX_PASSES):
        codes = nearest(values, points)
        sums = cluster_sums(mass, codes, num_points)
        means = cluster_sums(mass * values, codes, num_points) / np.where(sums > 0, sums, 1.0)
        moved = np.where(sums > 0, means, points)
        if pinned is not None:
            moved[:, pinned] = 0.0
        if np.array_equal(moved, points):
            break
        points = moved
    return points[0]


STYLES: dict[str, Callable[[np.ndarray, np.ndarray, int, bool], np.ndarray]] = {
    "quantile": _quantile,
    "uniform": _uniform,
    "kmeans": _kmeans,
}
"""(different values ascending [n], their masses > 0 [n], points, whether 0 is one) -> [points];
called with more values than points."""


def _pinned(points: np.ndarray) -> int:
    """Find the point that is, or becomes, zero."""
    return int(np.argmin(np.abs(points)))


def _cells(values: np.ndarray, mass: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Put neighbors of ascending values together, in cells of as many values each.

    Returns:
        Mass [m], sum [m] and sum of squares [m] of each cell.
    """
    starts = np.unique(np.linspace(0, values.size, min(values.size, MAX_CELLS) + 1).astype(int))
    return tuple(  # type: ignore[return-value]
        np.add.reduceat(mass * values**power, starts[:-1]) for power in range(3)
    )


def _optimal(
    mass: np.ndarray, sums: np.ndarray, squares: np.ndarray, num_points: int, keep_zero: bool
) -> np.ndarray:
    """Divide ascending cells among points so that the squared error is least.

    `least[z, j]` is the least error of the first j cells with the points so far, z = 1 where one
    of them is zero. Clusters of a line are intervals; one may be empty.

    Returns:
        Points [num_points], ascending; the last repeated for those that have no cell.
    """
    totals = [np.concatenate([[0.0], np.cumsum(part)]) for part in (mass, sums, squares)]
    weight, first, second = (total[None, :] - total[:, None] for total in totals)  # of cells [i, j)
    inside = np.triu(np.ones(weight.shape, bool))
    at_zero = np.where(inside, second, np.inf)
    means = first / np.where(weight > 0, weight, 1.0)
    at_mean = np.where(inside, np.maximum(second - first * means, 0.0), np.inf)
    least = np.full((2, mass.size + 1), np.inf)
    least[0, 0] = 0.0
    came_from: list[tuple[np.ndarray, np.ndarray]] = []  # cell and state before each point
    for _ in range(num_points):
        to_free = _step(least[0], at_mean)
        options = [_step(least[1], at_mean), _step(least[0], at_zero)] if keep_zero else [to_free]
        by_zero = np.argmin([error for error, _ in options], axis=0)
        to_zeroed = [np.choose(by_zero, parts) for parts in zip(*options, strict=True)]
        least = np.stack([to_free[0], to_zeroed[0]])
        came_from.append((np.stack([to_free[1], to_zeroed[1]]), by_zero))
    points, state, end = [0.0] * keep_zero, int(keep_zero), mass.size
    for cells, by_zero in reversed(came_from):
        start, is_zero = int(cells[state, end]), bool(state and by_zero[end])
        if not is_zero and start < end:
            points.append(float(means[start, end]))
        state, end = state - is_zero, start
    points.sort()
    return np.array(points + points[-1:] * (num_points - len(points)))


def _step(least: np.ndarray, errors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Add a point: least error and the first of its cells, by the number of cells [m + 1]."""
    found = least[:, None] + errors
    first = np.argmin(found, axis=0)
    return np.take_along_axis(found, first[None], axis=0)[0], first
