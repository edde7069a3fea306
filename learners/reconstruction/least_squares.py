"""Refitting a kernel on the channels that stay, in closed form from Gram matrices.

    min_W ||Y - X_S W||_F^2 + eps ||W - W_old||_F^2   ->   (G_SS + eps I) W = C_S + eps W_old

by one Cholesky factorisation, G = X^T X and C = X^T Y. `eps` is `PULL` of the mean diagonal: what
the samples show little of stays near its old value. Without it the kernel grows to exploit such
directions (six-fold in the last layer of ResNet-20), which gains little here and costs accuracy in
the fine-tuning after it.

Reference:
    He, Zhang & Sun, 2017, arXiv:1707.06168, equation (2), second step ("reconstruction").

Departs from the paper: the pull to the old kernel; and where the layer has a bias or is followed by
batch normalisation, an offset is fitted together with the kernel (moments about the mean), since it
costs nothing at run time.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import scipy.linalg

from learners.reconstruction.statistics import LayerStatistics

PULL = 0.1  # of the mean diagonal of the Gram matrix, in a refit
RIDGE = 1e-6  # the same where errors are compared, which wants the exact solution
MAX_STEPS = 128


def refit_kernel(
    statistics: LayerStatistics,
    kernel: np.ndarray,
    kept_rows: np.ndarray,
    *,
    centred: bool,
    pull: float = PULL,
) -> tuple[np.ndarray, np.ndarray]:
    """Solve for the kernel rows that stay.

    Args:
        statistics: the layer's moments.
        kernel: float [P, O], the kernel before pruning, as a matrix.
        kept_rows: boolean [P]; True means the row stays.
        centred: fit an offset as well.
        pull: towards the old kernel, in units of the mean diagonal of the Gram matrix; > 0.

    Returns:
        float64 [P, O], zero in the dropped rows, and the offset float64 [O] that is to be added to
        the layer's output (zero unless `centred`).
    """
    gram = statistics.gram(centred)[np.ix_(kept_rows, kept_rows)]
    cross = statistics.cross_gram(centred)[kept_rows]
    factor, ridge = _factorised(gram, pull)
    refitted = np.zeros(kernel.shape, dtype=np.float64)
    refitted[kept_rows] = scipy.linalg.cho_solve(factor, cross + ridge * kernel[kept_rows])
    if not centred:
        return refitted, np.zeros(kernel.shape[1])
    mean_x, mean_y = statistics.means()
    return refitted, mean_y - mean_x @ refitted


def _factorised(gram: np.ndarray, share: float) -> tuple[tuple[np.ndarray, bool], float]:
    """Factorise `gram + eps I` with eps a share of the mean diagonal; return eps as well.

    With fewer samples than rows the moments, summed in float32, are singular to more than the usual
    eps: then it grows until the factor exists.
    """
    ridge = share * max(float(np.trace(gram)) / max(gram.shape[0], 1), np.finfo(np.float32).tiny)
    while True:
        try:
            return scipy.linalg.cho_factor(gram + ridge * np.eye(gram.shape[0]), lower=True), ridge
        except np.linalg.LinAlgError:
            ridge *= 10.0


def relative_error(statistics: LayerStatistics, kernel: np.ndarray, *, centred: bool) -> float:
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


@dataclasses.dataclass(frozen=True)
class ReaderMoments:
    """One layer that reads the channels up for choice.

    Attributes:
        statistics: its moments.
        rows: int [P], the channel of each kernel row; -1 = not up for choice.
        centred: take the moments about the mean.
        left: boolean [P]; False where the row was dropped before, with channels of other groups.
            None where none was.
    """

    statistics: LayerStatistics
    rows: np.ndarray
    centred: bool
    left: np.ndarray | None = None


def backward_order(readers: Sequence[ReaderMoments], num_channels: int) -> np.ndarray:
    """Order channels by backward elimination: at each step leave out the least missed ones.

    Removing channel i and refitting the rest raises a layer's residual by exactly
    `tr(W_i^T B_i^-1 W_i)`, where W is the least-squares kernel on what is left, W_i its rows of
    that channel and B_i their block of the inverse Gram matrix. Kernel and inverse are down-dated
    instead of solved anew. Several layers that read the channels add their rises, each relative to
    its target's energy. Up to `MAX_STEPS` channels go one at a time; of larger groups several at
    each step.

    Args:
        readers: the layers.
        num_channels: number of channels.

    Returns:
        int [C]: the channels, the least important first.

    Reference:
        Hassibi & Stork, "Second Order Derivatives for Network Pruning: Optimal Brain Surgeon",
        NIPS 1993, equation (5), for blocks of weights; here the Hessian of the layer's own error.
    """
    fits = [_Elimination(reader, num_channels) for reader in readers]
    left, order = np.arange(num_channels), []
    per_step = -(-num_channels // MAX_STEPS)
    while left.size:
        losses = np.sum([fit.losses(left) for fit in fits], axis=0)
        chosen = left[np.argsort(losses, kind="stable")[:per_step]]
        for fit in fits:
            fit.remove(chosen)
        order.append(chosen)
        left = np.setdiff1d(left, chosen)
    return np.concatenate(order)


class _Elimination:
    """The least-squares kernel of one layer while its channels go."""

    def __init__(self, reader: ReaderMoments, num_channels: int) -> None:
        left = np.ones(reader.rows.size, dtype=bool) if reader.left is None else reader.left
        rows = reader.rows[left]
        gram = reader.statistics.gram(reader.centred)[np.ix_(left, left)]
        factor, _ = _factorised(gram, RIDGE)
        self._inverse = scipy.linalg.cho_solve(factor, np.eye(gram.shape[0]))
        self._kernel = self._inverse @ reader.statistics.cross_gram(reader.centred)[left]
        energy = reader.statistics.target_energy(reader.centred)
        self._energy = max(energy, np.finfo(np.float64).tiny)
        self._members = [np.flatnonzero(rows == c) for c in range(num_channels)]

    def losses(self, channels: np.ndarray) -> np.ndarray:
        """Rise of the relative error if each of the channels alone went."""
        result = np.zeros(channels.size)
        sizes = np.array([self._members[channel].size for channel in channels])
        for size in np.unique(sizes[sizes > 0]):  # one batch of solves per block size
            which = np.flatnonzero(sizes == size)
            rows = np.stack([self._members[channel] for channel in channels[which]])
            blocks = self._inverse[rows[:, :, None], rows[:, None, :]]
            kernels = self._kernel[rows]
            squares = kernels @ kernels.transpose(0, 2, 1)
            result[which] = np.trace(np.linalg.solve(blocks, squares), axis1=1, axis2=2)
        return result / self._energy

    def remove(self, channels: np.ndarray) -> None:
        rows = np.concatenate([self._members[channel] for channel in channels])
        if not rows.size:
            return
        gain = np.linalg.solve(self._inverse[np.ix_(rows, rows)], self._inverse[rows]).T
        self._kernel -= gain @ self._kernel[rows]
        self._inverse -= gain @ self._inverse[rows]
