"""Rounding a kernel to a code by its second moments, and moving the code after it, by turns.

1. The least-squares kernel of the moments is what the code is fitted to, each row counted by the
   energy of its input (the diagonal of G): how much an error there moves the layer's outputs if it
   stands alone.
2. All weights are rounded by elimination or in order, then in turn (`round_kernel`).
3. By turns the code's values move to where they are best for the indices (`Code.improved`), and
   each weight in turn to the value that is best given all others. Neither raises the error.

Reference:
    see `learners/reconstruction/rounding.py` for 2; 3 alternates as Lloyd, "Least squares
    quantization in PCM", IEEE Transactions on Information Theory 28, 1982, here in the norm of G.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.linalg

from learners.low_bits.coding import Code
from learners.reconstruction.ridge import factorised
from learners.reconstruction.rounding import round_kernel, settle_in_turn

PULL = 1e-6  # chosen by the loss on held-out training images, against 1e-2
NUM_MOVES = 8  # of the code's values, at most
_LEAST_GAIN = 1e-3  # of the rise of the error; less ends the turns

Fit = Callable[[np.ndarray, np.ndarray], Code]
"""(kernel [P, O], importance [P]) -> the code for it."""


def round_to_code(
    gram: np.ndarray,
    cross: np.ndarray,
    fit: Fit,
    *,
    kernel: np.ndarray,
    pull: float = PULL,
    present: np.ndarray | None = None,
    num_moves: int = NUM_MOVES,
    own_orders: bool | None = None,
) -> tuple[np.ndarray, Code]:
    """Round a kernel to a code that is fitted to it; see the module.

    Args:
        gram: G, float64 [P, P].
        cross: C, float64 [P, O].
        fit: fits a code.
        kernel: W_old, float [P, O].
        pull: eps, in units of the mean diagonal of G; > 0.
        present: boolean [P, O], False for weights that are zero and stay so.
        num_moves: times that the code's values are moved.
        own_orders: see `round_kernel`.

    Returns:
        The kernel, float64 [P, O], every weight at a value of the code; and the code.
    """
    factor, ridge = factorised(gram, pull)
    pulled, wanted = gram + ridge * np.eye(len(gram)), cross + ridge * kernel
    solved = scipy.linalg.cho_solve(factor, wanted)
    least = _loss(pulled, wanted, solved)
    if present is not None:
        solved = np.where(present, solved, 0.0)
    code = fit(solved, np.diag(gram))
    settled, _ = round_kernel(
        gram,
        cross,
        code.nearest,
        reach=code.reach,
        kernel=kernel,
        pull=pull,
        present=present,
        own_orders=own_orders,
    )
    error = _loss(pulled, wanted, settled) - least
    for _ in range(num_moves):
        better = code.improved(pulled, wanted, settled)
        start = code.moved(settled, better)
        moved = settle_in_turn(pulled, wanted, start, _masked(better, present))
        now = _loss(pulled, wanted, moved) - least
        if not now < error:
            break
        done = error - now <= _LEAST_GAIN * error
        code, settled, error = better, moved, now
        if done:
            break
    return settled, code


def _loss(gram: np.ndarray, cross: np.ndarray, kernel: np.ndarray) -> float:
    """J without its constant part."""
    return float(np.sum(kernel * (gram @ kernel - 2 * cross)))


def _masked(code: Code, present: np.ndarray | None) -> Callable[..., np.ndarray]:
    if present is None:
        return code.nearest
    there = present
    return lambda values, rows, outputs: np.where(
        there[rows, outputs], code.nearest(values, rows, outputs), 0.0
    )
