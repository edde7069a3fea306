"""Refitting a kernel on the channels that stay, by Adam on the Gram matrices.

The documents' way; `learners/reconstruction/least_squares.py` has the exact solution of the same
problem,

    min over W of   1/2 ||Y - X W||_F^2 + eps/2 ||W - W_old||_F^2,

whose gradient is `G W - C + eps (W - W_old)`.

Reference:
    Kingma & Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015, arXiv:1412.6980,
    algorithm 1.

Departs from the paper: the rate falls to zero along half a cosine, since the gradient has no noise
to average out, and a constant one circles around the minimum at a distance of its own size. What is
given back is the best kernel on the way. The pull to the old kernel, as strong as that of least
squares: Adam's steps are as long where the samples show next to nothing as where they show much,
and without it the kernel of a dense layer on the digits grew thirteen-fold in such directions.
"""

import math

import numpy as np

from learners.reconstruction.least_squares import PULL
from learners.reconstruction.statistics import LayerStatistics

BETA_1, BETA_2 = 0.9, 0.999
EPSILON = 1e-8  # of the largest gradient at the start


def adam_kernel(
    statistics: LayerStatistics,
    kernel: np.ndarray,
    kept_rows: np.ndarray,
    *,
    centred: bool,
    lrn_rate: float,
    num_iterations: int,
    pull: float = PULL,
) -> tuple[np.ndarray, np.ndarray]:
    """Optimize the kernel rows that stay, from where they are.

    A sparse kernel keeps its zeros, as in `refit_kernel`.

    Args:
        statistics: the layer's moments.
        kernel: float [P, O], the kernel before pruning, as a matrix.
        kept_rows: boolean [P]; True means the row stays.
        centred: fit an offset as well.
        lrn_rate: Adam's, at the first step.
        num_iterations: steps.
        pull: towards the old kernel, in units of the mean diagonal of the Gram matrix; >= 0.

    Returns:
        float64 [P, O], zero in the dropped rows, and the offset float64 [O] that is to be added to
        the layer's output (zero unless `centred`).
    """
    gram = statistics.gram(centred)[np.ix_(kept_rows, kept_rows)]
    cross = statistics.cross_gram(centred)[kept_rows]
    old = np.asarray(kernel[kept_rows], np.float64)
    ridge = pull * float(np.trace(gram)) / max(gram.shape[0], 1)
    gram, cross = gram + ridge * np.eye(gram.shape[0]), cross + ridge * old
    free = (old != 0) if old.any() else np.ones(old.shape, bool)
    fitted = np.zeros(kernel.shape, dtype=np.float64)
    fitted[kept_rows] = _descended(gram, cross, old, free, lrn_rate, num_iterations)
    return fitted, statistics.offset(fitted, centred)


def _descended(
    gram: np.ndarray,
    cross: np.ndarray,
    start: np.ndarray,
    free: np.ndarray,
    lrn_rate: float,
    num_iterations: int,
) -> np.ndarray:
    current = best = start
    first, second = np.zeros(start.shape), np.zeros(start.shape)
    least, epsilon = math.inf, 0.0
    for step in range(1, num_iterations + 2):
        product = gram @ current
        loss = float(np.sum(current * (0.5 * product - cross)))
        if loss < least:
            best, least = current, loss
        if step > num_iterations:
            break
        gradient = (product - cross) * free
        if step == 1:
            epsilon = EPSILON * max(float(np.abs(gradient).max(initial=0.0)), 1e-30)
        first = BETA_1 * first + (1.0 - BETA_1) * gradient
        second = BETA_2 * second + (1.0 - BETA_2) * gradient**2
        mean, square = first / (1.0 - BETA_1**step), second / (1.0 - BETA_2**step)
        rate = lrn_rate * 0.5 * (1.0 + math.cos(math.pi * (step - 1) / num_iterations))
        current = current - rate * mean / (np.sqrt(square) + epsilon)
    return best
