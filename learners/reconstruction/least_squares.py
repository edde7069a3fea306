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

from learners.reconstruction.elimination import Reader, eliminate_together
from learners.reconstruction.ridge import factorised
from learners.reconstruction.statistics import LayerStatistics

PULL = 0.1  # of the mean diagonal of the Gram matrix, in a refit
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

    A sparse kernel keeps its zeros: entries that are exactly zero stay so, and each output is
    solved for the entries that it has. (A kernel of nothing but zeros is not sparse.)

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
    old = kernel[kept_rows]
    refitted = np.zeros(kernel.shape, dtype=np.float64)
    if (old != 0).all() or not old.any():
        factor, ridge = factorised(gram, pull)
        refitted[kept_rows] = scipy.linalg.cho_solve(factor, cross + ridge * old)
    else:
        refitted[kept_rows] = _solved_where(gram, cross, old, pull)
    return refitted, statistics.offset(refitted, centred)


def _solved_where(gram: np.ndarray, cross: np.ndarray, old: np.ndarray, pull: float) -> np.ndarray:
    """Solve each output for the entries in which its old kernel is not zero: float64 [P, O]."""
    solved = np.zeros(old.shape)
    for output, column in enumerate(old.T):
        own = np.flatnonzero(column)
        if own.size:
            factor, ridge = factorised(gram[np.ix_(own, own)], pull)
            wanted = cross[own, output] + ridge * column[own]
            solved[own, output] = scipy.linalg.cho_solve(factor, wanted)
    return solved


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
    that channel and B_i their block of the inverse Gram matrix (`elimination.py`). Several layers
    that read the channels add their rises, each relative to its target's energy. Up to `MAX_STEPS`
    channels go one at a time; of larger groups several at each step.

    Args:
        readers: the layers.
        num_channels: number of channels.

    Returns:
        int [C]: the channels, the least important first.

    Reference:
        Hassibi & Stork, "Second Order Derivatives for Network Pruning: Optimal Brain Surgeon",
        NIPS 1993, equation (5), for blocks of weights; here the Hessian of the layer's own error.
    """
    found = eliminate_together(
        [_reader(reader) for reader in readers],
        num_channels,
        per_step=max(1, -(-num_channels // MAX_STEPS)),
    )
    return found[0].order[0]


def _reader(reader: ReaderMoments) -> Reader:
    """Give the rows that are left their moments."""
    statistics, centred = reader.statistics, reader.centred
    left = np.ones(reader.rows.size, dtype=bool) if reader.left is None else reader.left
    return Reader(
        statistics.gram(centred)[np.ix_(left, left)],
        statistics.cross_gram(centred)[left],
        reader.rows[left],
        max(statistics.target_energy(centred), np.finfo(np.float64).tiny),
    )
