"""Rounding a whole kernel to its grid: in orders of the outputs' own, or in one for all.

Where each output rounds in an order of its own (`eliminate` with a target), it needs an inverse of
its own: O P^3 operations. In one order for all they share one: rows settled one after the other
make V of `downdate.py` the Cholesky factor of G^-1 in that order, known beforehand, and only the
kernel is still moved: P^3 + O P^2. Rows wait in batches for what was settled in front of them, so
that most of it is a product of matrices.

The last rows have few left to make up for them. So afterwards each weight in turn goes to the point
that is best given all others,

    W_p <- target(W_p + (C_p - G_p W) / G_pp),                                            (1)

which never raises the error J, until none moves.

Reference:
    Frantar, Ashkboos, Hoefler & Alistarh, "GPTQ: Accurate Post-Training Quantization for Generative
    Pre-trained Transformers", ICLR 2023, arXiv:2210.17323, algorithm 1; Behdin et al., "QuantEase:
    Optimization-based Quantization for Language Models", 2023, arXiv:2309.01885, for (1).

Departs from the papers: J is about the targets of the network before compression, and its minimum
is where it begins (`elimination.py`); V comes from G with its rows turned round, not from G^-1.
"""

import numpy as np
import scipy.linalg

from learners.reconstruction.blocks import Blocks
from learners.reconstruction.elimination import Target, eliminate
from learners.reconstruction.ridge import RIDGE, factorised

BATCH = 128  # rows settled between two updates of all others
MAX_PASSES = 20
MAX_WORK = 10**11  # O P^3 up to which outputs round in orders of their own: some 12 s on a core


def round_kernel(
    gram: np.ndarray,
    cross: np.ndarray,
    target: Target,
    *,
    reach: np.ndarray | None = None,
    kernel: np.ndarray | None = None,
    pull: float = RIDGE,
    present: np.ndarray | None = None,
    own_orders: bool | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Round a kernel to its grid by all means there are: never worse than to the nearest points.

    Weights are settled in order; outputs for which that is worse than the nearest points of the
    least-squares kernel or of W_old begin with those; then all weights are settled in turn.

    Args:
        gram: G, float64 [P, P].
        cross: C, float64 [P, O].
        target: gives the allowed value *nearest* to each weight, see `elimination.Target`.
        reach: half a step of the grid, see `eliminate`; for orders of the outputs' own.
        kernel: W_old, float [P, O]: what the samples show little of stays near it; None = zeros.
        pull: eps, in units of the mean diagonal of G; > 0.
        present: boolean [P, O], False for weights that are zero and stay so. None = all are there.
        own_orders: whether each output rounds in an order of its own; None = up to `MAX_WORK`.

    Returns:
        The kernel, float64 [P, O], every weight at an allowed value; and float64 [O], by how much
        each output's J has risen over that of the least-squares kernel.

    Raises:
        ValueError: if the arrays do not fit one another, or `pull` is not positive.

    Example:
        >>> gram, best = np.array([[2.0, 1.0], [1.0, 1.0]]), np.array([[0.4], [0.45]])
        >>> whole = lambda values, rows, outputs: np.round(values)
        >>> kernel, error = round_kernel(gram, gram @ best, whole, pull=1e-9)
        >>> abs(kernel).ravel(), error.round(4)  # at the nearest points, [0, 0], it is 0.8825
        (array([1., 0.]), array([0.3825]))
    """
    num_rows, num_outputs = cross.shape
    if present is not None:
        target = _masked(target, present)
    if own_orders is None:
        own_orders = num_outputs * num_rows**3 <= MAX_WORK
    if own_orders:
        settled = eliminate(
            gram,
            cross,
            Blocks.single(num_rows),
            target=target,
            reach=reach,
            kernel=kernel,
            pull=pull,
            present=present,
        ).values
    else:
        settled, _ = settle_in_order(gram, cross, target, kernel=kernel, pull=pull)
    factor, ridge = factorised(gram, pull)
    gram = gram + ridge * np.eye(num_rows)
    cross = cross if kernel is None else cross + ridge * kernel
    solved = scipy.linalg.cho_solve(factor, cross)
    rows, outputs = np.arange(num_rows)[:, None], np.arange(num_outputs)[None]
    for start in (solved, kernel):
        if start is not None:
            start = target(start, rows, outputs)
            better = _rises(gram, start - solved) < _rises(gram, settled - solved)
            settled = np.where(better, start, settled)
    settled = settle_in_turn(gram, cross, settled, target)
    return settled, _rises(gram, settled - solved)


def _masked(target: Target, present: np.ndarray) -> Target:
    """Make a target that leaves at zero what is not there."""
    return lambda values, rows, outputs: np.where(
        present[rows, outputs], target(values, rows, outputs), 0.0
    )


def _rises(gram: np.ndarray, moved: np.ndarray) -> np.ndarray:
    """By how much J of each output has risen where its best kernel was moved, float64 [O]."""
    return np.sum(moved * (gram @ moved), axis=0)


def settle_in_order(
    gram: np.ndarray,
    cross: np.ndarray,
    target: Target,
    *,
    order: np.ndarray | None = None,
    kernel: np.ndarray | None = None,
    pull: float = RIDGE,
) -> tuple[np.ndarray, np.ndarray]:
    """Set a kernel's rows to their targets one after the other; later ones make up for it.

    Args:
        gram: G, float64 [P, P].
        cross: C, float64 [P, O].
        target: where weights go, see `elimination.Target`; called with values [1, O].
        order: int [P], the rows, the first to be settled first; None = those with the most input
            energy first, while many are left to make up for them.
        kernel: W_old, float [P, O]: what the samples show little of stays near it; None = zeros.
        pull: eps, in units of the mean diagonal of G; > 0.

    Returns:
        The kernel, float64 [P, O], every weight at its target; and float64 [O], by how much each
        output's J has risen over that of the least-squares kernel.

    Raises:
        ValueError: if the arrays do not fit one another, `order` is no permutation of the rows, or
            `pull` is not positive.

    Example:
        >>> x = np.array([[1.0, 1.0], [0.0, 1.0]])
        >>> whole = lambda values, rows, outputs: np.round(values)
        >>> kernel, error = settle_in_order(x.T @ x, x.T @ (x @ [[0.4], [0.3]]), whole, pull=1e-9)
        >>> kernel.ravel(), error.round(3)
        (array([1., 0.]), array([0.18]))
    """
    num_rows, num_outputs = cross.shape
    if order is None:
        order = np.argsort(-np.diag(gram), kind="stable")
    if not np.array_equal(np.sort(order), np.arange(num_rows)):
        raise ValueError(f"`order` must be a permutation of {num_rows} rows.")
    gains, ridge = _gains(gram[np.ix_(order, order)], pull)
    wanted = cross if kernel is None else cross + ridge * kernel
    left = gains.T @ (gains @ wanted[order])  # the least-squares kernel, in that order
    outputs = np.arange(num_outputs)[None]
    rises = np.zeros(num_outputs)
    for start in range(0, num_rows, BATCH):
        stop = min(start + BATCH, num_rows)
        errors = np.zeros((stop - start, num_outputs))
        for row in range(start, stop):
            values = left[row] - gains[start:row, row] @ errors[: row - start]
            left[row] = target(values[None], order[row : row + 1, None], outputs)[0]
            errors[row - start] = (values - left[row]) / gains[row, row]
        left[stop:] -= gains[start:stop, stop:].T @ errors
        rises += np.sum(errors**2, axis=0)
    settled = np.empty_like(left)
    settled[order] = left
    return settled, rises


def settle_in_turn(
    gram: np.ndarray,
    cross: np.ndarray,
    settled: np.ndarray,
    target: Target,
    *,
    max_passes: int = MAX_PASSES,
) -> np.ndarray:
    """Move settled weights to better points, one row after the other, until none moves: (1).

    Args:
        gram: G (with eps I where there is a pull), float64 [P, P], diagonal > 0.
        cross: C (with eps W_old), float64 [P, O].
        settled: float64 [P, O], where to begin, every weight at an allowed value.
        target: gives the allowed value *nearest* to each, see `elimination.Target`; called with
            values [1, O].
        max_passes: over all rows.

    Returns:
        float64 [P, O], every weight at an allowed value; J of no output is larger than before.

    Example:
        >>> gram, best = np.array([[2.0, 1.0], [1.0, 1.0]]), np.array([[0.4], [0.45]])
        >>> whole = lambda values, rows, outputs: np.round(values)
        >>> abs(settle_in_turn(gram, gram @ best, np.zeros((2, 1)), whole)).ravel()
        array([1., 0.])
    """
    num_rows, num_outputs = cross.shape
    settled = np.array(settled)
    slope = cross - gram @ settled
    outputs = np.arange(num_outputs)[None]
    for _ in range(max_passes):
        before = settled.copy()
        for start in range(0, num_rows, BATCH):
            stop = min(start + BATCH, num_rows)
            moves = np.zeros((stop - start, num_outputs))
            for row in range(start, stop):
                steps = (slope[row] - gram[row, start:row] @ moves[: row - start]) / gram[row, row]
                new = target((settled[row] + steps)[None], np.array([[row]]), outputs)[0]
                moves[row - start] = new - settled[row]
                settled[row] = new
            slope -= gram[:, start:stop] @ moves
        if np.array_equal(before, settled):
            break
    return settled


def _gains(gram: np.ndarray, pull: float) -> tuple[np.ndarray, float]:
    """Factorise `(gram + eps I)^-1 = V^T V` with V upper triangular; give V and eps.

    Turned round, `gram + eps I = M M^T` makes of M an upper triangle U with `gram + eps I = U U^T`,
    so `V = U^-1`.
    """
    (factor, _), ridge = factorised(gram[::-1, ::-1], pull)
    upper = np.tril(factor)[::-1, ::-1]
    return scipy.linalg.solve_triangular(upper, np.eye(len(gram))), ridge
