"""AdaRound: whether each weight goes up or down is learned for the layer's output, not its own.

With s the step, W = s (floor(W / s) + h(V)) where

    h(V) = clip(sigmoid(V) (zeta - gamma) + gamma, 0, 1),    zeta = 1.1, gamma = -0.1,        (1)

and V minimizes

    ||W x - W_soft x||^2 + lambda sum (1 - |2 h(V) - 1|^beta),                              (2)

beta going down from 20 to 2, which pushes h to 0 or 1 in the end. The first term is
`tr(D^T G D)` with D the change of the kernel and `G = X^T X`, and its gradient `2 G D`: no sample
has to be run again.

Reference:
    Nagel, Amjad, van Baalen, Louizos & Blankevoort, "Up or Down? Adaptive Rounding for
    Post-Training Quantization", ICML 2020, arXiv:2004.10568, equations (21) to (24).

Departs from the paper: the activation behind the layer is left out of the loss, all samples count
in each step, and a rounding that is not better than to the nearest points gives way to these.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

ZETA, GAMMA = 1.1, -0.1
NUM_STEPS = 1000
REGULARIZER = 0.4  # lambda, in units of the mean diagonal of G times s^2: the best of six tried
WARM_UP = 0.2  # part of the steps without the second term
BETAS = (20.0, 2.0)
RATE = 0.05
_MOMENTS = (0.9, 0.999)  # of Adam
_TINY = 1e-8


def adaround(
    kernel: np.ndarray,
    gram: np.ndarray,
    steps: np.ndarray,
    limits: tuple[int, int],
    *,
    num_steps: int = NUM_STEPS,
    on_step: Callable[[int, float], None] = lambda step, error: None,
) -> np.ndarray:
    """Round a kernel.

    Args:
        kernel: W, float [P, O].
        gram: G, float64 [P, P], of the layer's inputs.
        steps: s, float [O], > 0.
        limits: the least and the greatest integer, e.g. (-127, 127).
        num_steps: of Adam.
        on_step: called with (step, the first term of (2)) after each.

    Returns:
        Integers, int32 [P, O]: the kernel is `steps` times them.

    Raises:
        ValueError: if the arrays do not fit one another.

    Example:
        >>> gram = np.array([[1.0, 0.9], [0.9, 1.0]])
        >>> adaround(np.array([[0.4], [0.4]]), gram, np.array([1.0]), (-8, 7)).sum()
        np.int64(1)
    """
    num_rows, num_outputs = kernel.shape
    if gram.shape != (num_rows, num_rows) or steps.shape != (num_outputs,):
        raise ValueError(
            f"`gram` must be {(num_rows, num_rows)}, `steps` {(num_outputs,)}. Received: "
            f"{gram.shape}, {steps.shape}."
        )
    low, high = limits
    wanted = np.clip(np.asarray(kernel, np.float64) / steps, low, high)
    floors = np.clip(np.floor(wanted), low, high - 1)
    scaled = gram / max(np.trace(gram) / num_rows, np.finfo(np.float64).tiny)
    soft = _Soft(wanted - floors)
    for step in range(num_steps):
        moved = floors + soft.rounding - wanted
        slope = scaled @ moved
        on_step(step, float(np.sum(moved * slope)))
        soft.step(2 * slope, *_schedule(step / num_steps))
    settled = floors + (soft.rounding >= 0.5)
    nearest = np.clip(np.round(wanted), low, high)
    worse = _errors(scaled, settled - wanted) > _errors(scaled, nearest - wanted)
    return np.where(worse, nearest, settled).astype(np.int32)


def _errors(gram: np.ndarray, moved: np.ndarray) -> np.ndarray:
    """Error of each output, float64 [O]."""
    found: np.ndarray = np.sum(moved * (gram @ moved), axis=0)
    return found


def _schedule(done: float) -> tuple[float, float]:
    """Give lambda and beta at a part of the steps, in [0, 1)."""
    if done < WARM_UP:
        return 0.0, BETAS[0]
    part = (done - WARM_UP) / (1 - WARM_UP)
    return REGULARIZER, BETAS[1] + (BETAS[0] - BETAS[1]) * (1 - part)


class _Soft:
    """h(V) and its optimizer.

    Args:
        start: h to begin with, float64 [P, O] in [0, 1].
    """

    def __init__(self, start: np.ndarray) -> None:
        inner = np.clip((start - GAMMA) / (ZETA - GAMMA), 1e-6, 1 - 1e-6)
        self._values = np.log(inner / (1 - inner))  # h(V) is `start` here
        self._first, self._second = np.zeros_like(start), np.zeros_like(start)
        self._num_steps = 0

    @property
    def rounding(self) -> np.ndarray:
        """Compute (1)."""
        found: np.ndarray = np.clip(self._sigmoid * (ZETA - GAMMA) + GAMMA, 0.0, 1.0)
        return found

    @property
    def _sigmoid(self) -> np.ndarray:
        found: np.ndarray = 1 / (1 + np.exp(-np.clip(self._values, -40, 40)))
        return found

    def step(self, slope: np.ndarray, weight: float, beta: float) -> None:
        """Take a step of Adam down the gradient of (2).

        Args:
            slope: of the first term by h, float64 [P, O].
            weight: lambda.
            beta: of the second term.
        """
        rounding, inner = self.rounding, self._sigmoid
        if weight:
            away = 2 * rounding - 1
            slope = slope - 2 * weight * beta * np.sign(away) * np.abs(away) ** (beta - 1)
        inside = (rounding > 0) & (rounding < 1)
        gradient = slope * inside * (ZETA - GAMMA) * inner * (1 - inner)
        self._num_steps += 1
        for held, seen, decay in (
            (self._first, gradient, _MOMENTS[0]),
            (self._second, gradient**2, _MOMENTS[1]),
        ):
            held *= decay
            held += (1 - decay) * seen
        first = self._first / (1 - _MOMENTS[0] ** self._num_steps)
        second = self._second / (1 - _MOMENTS[1] ** self._num_steps)
        self._values -= RATE * first / (np.sqrt(second) + _TINY)
