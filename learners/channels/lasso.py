"""Which input channels to keep: LASSO on Gram matrices, solved by (accelerated) ISTA.

For a layer `Y = sum_i X_i W_i` over its input channels i, the document's problem

    min_beta ||Y - sum_i beta_i X_i W_i||_F^2 + lambda ||beta||_1

depends on the data only through `A_ij = <X_i W_i, X_j W_j>` and `b_i = <X_i W_i, Y>`, a quadratic
in as many unknowns as there are channels. Several layers that read the same channels simply add
their A and b (one joint choice).

Reference:
    He, Zhang & Sun, "Channel Pruning for Accelerating Very Deep Neural Networks", ICCV 2017,
    arXiv:1707.06168, equations (1)-(3); Beck & Teboulle, "A Fast Iterative Shrinkage-Thresholding
    Algorithm", 2009, equations (4.1)-(4.3).

Departs from the paper: lambda comes from a bisection between 0 and the smallest value that removes
every channel, instead of growing step by step; ISTA carries FISTA's momentum.
"""

import numpy as np

from learners.reconstruction.statistics import LayerStatistics

MAX_BISECTIONS = 60
TOLERANCE = 1e-7  # relative change of beta that ends the iterations
PATH_POINTS = 100  # lambdas of the path
PATH_SPAN = 1e4  # the largest over the smallest


def channel_quadratic(
    statistics: LayerStatistics,
    kernel: np.ndarray,
    rows: np.ndarray,
    num_channels: int,
    *,
    centred: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """Reduce a layer's moments to the quadratic in its channels' scales.

    Args:
        statistics: the layer's moments.
        kernel: float [P, O], the layer's kernel as a matrix.
        rows: int [P], the channel of each kernel row; -1 = always kept.
        num_channels: number of channels to choose among.
        centred: take the moments about the mean (an offset is refitted as well).

    Returns:
        A: float64 [C, C] and b: float64 [C], divided by the target's energy, so that the objective
        `beta^T A beta - 2 b^T beta + 1` is a relative error and layers add up fairly.
    """
    products = statistics.gram(centred) * (kernel @ kernel.T)  # <X_p W_p, X_q W_q>
    targets = np.sum(statistics.cross_gram(centred) * kernel, axis=1)
    fixed = rows < 0
    targets = targets - products[:, fixed].sum(axis=1)  # what fixed rows already explain
    select = np.zeros((rows.size, num_channels))
    select[~fixed, rows[~fixed]] = 1.0
    energy = max(statistics.target_energy(centred), np.finfo(np.float64).tiny)
    return select.T @ products @ select / energy, select.T @ targets / energy


def ista(
    quadratic: np.ndarray,
    linear: np.ndarray,
    penalty: float,
    *,
    start: np.ndarray,
    num_iterations: int,
) -> np.ndarray:
    """Minimise `0.5 beta^T A beta - b^T beta + penalty * ||beta||_1`.

    Args:
        quadratic: A, float64 [C, C], positive semi-definite.
        linear: b, float64 [C].
        penalty: lambda >= 0.
        start: float64 [C], where to begin.
        num_iterations: upper bound; ends earlier once beta no longer moves.

    Returns:
        beta: float64 [C].

    Example:
        >>> ista(np.eye(2), np.array([3.0, 0.5]), 1.0, start=np.zeros(2), num_iterations=50)
        array([2., 0.])
    """
    step = 1.0 / max(float(np.linalg.eigvalsh(quadratic)[-1]), np.finfo(np.float64).tiny)
    beta, ahead, momentum = start, start, 1.0
    for _ in range(num_iterations):
        moved = ahead - step * (quadratic @ ahead - linear)
        new = np.sign(moved) * np.maximum(np.abs(moved) - step * penalty, 0.0)
        if np.dot(ahead - new, new - beta) > 0:  # momentum points uphill: restart it
            momentum = 1.0
        grown = (1.0 + np.sqrt(1.0 + 4.0 * momentum**2)) / 2.0
        ahead = new + (momentum - 1.0) / grown * (new - beta)
        change = np.max(np.abs(new - beta), initial=0.0)
        beta, momentum = new, grown
        if change <= TOLERANCE * np.max(np.abs(beta), initial=1.0):
            break
    return beta


def lasso_mask(
    quadratic: np.ndarray, linear: np.ndarray, num_keep: int, *, num_iterations: int = 100
) -> np.ndarray:
    """Choose exactly `num_keep` channels by bisection on lambda.

    Where no lambda gives the exact number (several channels leave at once), the smallest surplus is
    taken and the entries with the least contribution `|beta_i| sqrt(A_ii)` are dropped from it.

    Args:
        quadratic: A, float64 [C, C].
        linear: b, float64 [C].
        num_keep: channels to keep, in [1, C].
        num_iterations: ISTA iterations for each lambda, warm-started from the previous one.

    Returns:
        Boolean [C]; True means keep.

    Raises:
        ValueError: if `num_keep` is outside [1, C].

    Example:
        >>> lasso_mask(np.eye(3), np.array([0.2, 3.0, 1.0]), 2)
        array([False,  True,  True])
    """
    num_channels = linear.size
    if not 1 <= num_keep <= num_channels:
        raise ValueError(f"`num_keep` must be in [1, {num_channels}]. Received: {num_keep}.")
    if num_keep == num_channels:
        return np.ones(num_channels, dtype=bool)
    low, high = 0.0, float(np.max(np.abs(linear)))  # at `high` every beta is zero
    beta = np.ones(num_channels)
    surplus = beta
    for _ in range(MAX_BISECTIONS):
        penalty = (low + high) / 2.0
        beta = ista(quadratic, linear, penalty, start=beta, num_iterations=num_iterations)
        count = int(np.count_nonzero(beta))
        if count == num_keep:
            return beta != 0
        if count > num_keep:
            low, surplus = penalty, beta
        else:
            high = penalty
    return largest(np.abs(surplus) * np.sqrt(np.maximum(np.diag(quadratic), 0.0)), num_keep)


def lasso_path_order(quadratic: np.ndarray, linear: np.ndarray) -> np.ndarray:
    """Order channels by the lambda at which the LASSO path leaves them out for good.

    Args:
        quadratic: A, float64 [C, C], see `ista`.
        linear: b, float64 [C].

    Returns:
        int [C]: the channels, those that leave first in front; where several leave between two
        lambdas, the one with the least contribution `|beta_i| sqrt(A_ii)` before.

    Example:
        >>> lasso_path_order(np.eye(3), np.array([0.2, 3.0, 1.0]))
        array([0, 2, 1])
    """
    top = max(float(np.max(np.abs(linear))), np.finfo(float).tiny)
    leaves = np.zeros(linear.size)
    contribution = np.zeros(linear.size)
    scale = np.sqrt(np.maximum(np.diag(quadratic), 0.0))
    beta = np.ones(linear.size)
    for number, penalty in enumerate(np.geomspace(top / PATH_SPAN, top, PATH_POINTS), start=1):
        beta = ista(quadratic, linear, penalty, start=beta, num_iterations=100)
        alive = beta != 0
        leaves[alive] = number
        contribution[alive] = (np.abs(beta) * scale)[alive]
    return np.lexsort((contribution, leaves))


def largest(scores: np.ndarray, num_keep: int) -> np.ndarray:
    """Mark the `num_keep` largest scores; equal scores are broken by index (the lower is kept).

    Example:
        >>> largest(np.array([1.0, 3.0, 3.0]), 1)
        array([False,  True, False])
    """
    mask = np.zeros(scores.size, dtype=bool)
    mask[np.argsort(-scores, kind="stable")[:num_keep]] = True
    return mask
