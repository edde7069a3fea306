"""Refitting a kernel on the channels that stay, in closed form from Gram matrices.

    min_W ||Y - X_S W||_F^2 + eps ||W - W_old||_F^2   ->   (G_SS + eps I) W = C_S + eps W_old

by one Cholesky factorisation, G = X^T X and C = X^T Y. `eps` is a hair (1e-6 of the mean diagonal):
it keeps directions the samples never showed at their old value instead of leaving them to rounding.

Reference:
    He, Zhang & Sun, 2017, arXiv:1707.06168, equation (2), second step ("reconstruction").

Departs from the paper: where the layer has a bias or is followed by batch normalisation, an offset
is fitted together with the kernel (moments about the mean), since it costs nothing at run time.
"""

import numpy as np
import scipy.linalg

from learners.reconstruction.statistics import LayerStatistics

RIDGE = 1e-6


def refit_kernel(
    statistics: LayerStatistics, kernel: np.ndarray, kept_rows: np.ndarray, *, centred: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Solve for the kernel rows that stay.

    Args:
        statistics: the layer's moments.
        kernel: float [P, O], the kernel before pruning, as a matrix.
        kept_rows: boolean [P]; True means the row stays.
        centred: fit an offset as well.

    Returns:
        float64 [P, O], zero in the dropped rows, and the offset float64 [O] that is to be added to
        the layer's output (zero unless `centred`).
    """
    gram = statistics.gram(centred)[np.ix_(kept_rows, kept_rows)]
    cross = statistics.cross_gram(centred)[kept_rows]
    ridge = RIDGE * max(float(np.trace(gram)) / max(gram.shape[0], 1), np.finfo(np.float32).tiny)
    factor = scipy.linalg.cho_factor(gram + ridge * np.eye(gram.shape[0]), lower=True)
    refitted = np.zeros(kernel.shape, dtype=np.float64)
    refitted[kept_rows] = scipy.linalg.cho_solve(factor, cross + ridge * kernel[kept_rows])
    if not centred:
        return refitted, np.zeros(kernel.shape[1])
    mean_x, mean_y = statistics.means()
    return refitted, mean_y - mean_x @ refitted


def relative_error(
    statistics: LayerStatistics, kernel: np.ndarray, *, centred: bool
) -> float:
    """`||Y - X W||_F^2 / ||Y||_F^2` on the sampled rows (about the means when `centred`).

    Args:
        statistics: the layer's moments.
        kernel: float [P, O], zero in the dropped rows.
        centred: measure about the means, as fitted with an offset.

    Returns:
        The relative squared error, >= 0.
    """
    energy = statistics.target_energy(centred)
    explained = 2.0 * np.sum(kernel * statistics.cross_gram(centred))
    square = np.sum(kernel * (statistics.gram(centred) @ kernel))
    return max(float(energy - explained + square), 0.0) / max(energy, np.finfo(np.float64).tiny)


def backward_order(
    statistics: LayerStatistics, rows: np.ndarray, num_channels: int, *, centred: bool
) -> np.ndarray:
    """Order channels by exact backward elimination: at each step leave out the least missed one.

    Removing channel i and refitting the rest raises the residual by `tr(W_i^T H_ii^-1 W_i)`, where
    W is the least-squares kernel on what is left and H its inverse Gram matrix (the block form of
    Optimal Brain Surgeon, Hassibi & Stork 1993, equation (5)); both are down-dated in place.

    Args:
        statistics: the layer's moments.
        rows: int [P], the channel of each kernel row; -1 = always kept.
        num_channels: number of channels.
        centred: take the moments about the mean.

    Returns:
        int [C]: the channels, the least important first.
    """
    gram = statistics.gram(centred)
    ridge = RIDGE * max(float(np.trace(gram)) / gram.shape[0], np.finfo(np.float32).tiny)
    inverse = np.linalg.inv(gram + ridge * np.eye(gram.shape[0]))
    kernel = inverse @ statistics.cross_gram(centred)
    members = [np.flatnonzero(rows == channel) for channel in range(num_channels)]
    left, order = list(range(num_channels)), []
    while left:
        losses = []
        for channel in left:
            rows_i = members[channel]
            block = inverse[np.ix_(rows_i, rows_i)]
            losses.append(np.sum(kernel[rows_i] * np.linalg.solve(block, kernel[rows_i])))
        channel = left.pop(int(np.argmin(losses)))
        order.append(channel)
        rows_i = members[channel]
        gain = np.linalg.solve(inverse[np.ix_(rows_i, rows_i)], inverse[rows_i]).T
        kernel = kernel - gain @ kernel[rows_i]
        inverse = inverse - gain @ inverse[rows_i]
        inverse[rows_i], inverse[:, rows_i] = 0.0, 0.0
    return np.array(order)
