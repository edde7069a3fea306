"""Refitting a kernel to what a ReLU behind it lets through.

Of a target y below the level l at which the ReLU cuts off, nothing is seen but whether the output
stays below: errors there are no errors. So with f(u) = max(u - l, 0) (turned round where the scale
behind is negative) what counts is

    L(W, b) = sum over y > l of (x W + b - y)^2 + sum over y <= l of f(x W + b)^2,

each row by its weight, which is convex. At a point u the squared distance to z, where z is y in the
first sum and min(u, l) in the second, bounds L from above, with equality at u; it is minimal one
least-squares solution with the *same* Gram matrix further. So all steps share one factorisation for
each output, and extrapolation (Nesterov's) makes them few.

Reference:
    Zhang, Zou, He & Sun, "Accelerating Very Deep Convolutional Networks for Classification and
    Detection", TPAMI 2016, arXiv:1505.06798, section 3.2: nonlinear, asymmetric reconstruction;
    Hunter & Lange, "A Tutorial on MM Algorithms", The American Statistician 58, 2004.

Departs from the paper: no penalty ties an auxiliary output to the layer's; each bound is minimized
exactly. Where a target is seen and the output is cut off, the error is taken as if it were seen.
"""

import dataclasses

import numpy as np
import scipy.linalg

from learners.reconstruction.ridge import factorised
from learners.reconstruction.sampling import Samples

STEPS = 15
MAX_BYTES = 256 * 2**20  # of factors and residuals; outputs beyond wait for their turn


@dataclasses.dataclass(frozen=True, eq=False)
class _Seen:
    """What passes of the rows' targets.

    Attributes:
        samples: the rows.
        levels: float32 [n, O], where the output is cut off.
        sign: float32 [O], see `Clip`.
        passes: boolean [n, O], the target is seen.
    """

    samples: Samples
    levels: np.ndarray
    sign: np.ndarray
    passes: np.ndarray

    @classmethod
    def of(cls, samples: Samples, level: np.ndarray, sign: np.ndarray) -> "_Seen":
        levels = level - samples.shortcuts
        passes = ((samples.targets - levels) * sign > 0.0) | (sign == 0.0)
        return cls(samples, levels, sign, passes)

    def residuals(self, kernel: np.ndarray, offset: np.ndarray) -> np.ndarray:
        """Give z - u, float32 [n, O]: its squares are L."""
        outputs = self.samples.rows @ kernel.astype(np.float32) + offset.astype(np.float32)
        beyond = np.where((outputs - self.levels) * self.sign > 0.0, self.levels - outputs, 0.0)
        return np.where(self.passes, self.samples.targets - outputs, beyond)


def refit_clipped(
    samples: Samples,
    level: np.ndarray,
    sign: np.ndarray,
    kernel: np.ndarray,
    offset: np.ndarray,
    *,
    old: np.ndarray,
    pull: float,
    steps: int = STEPS,
) -> tuple[np.ndarray, np.ndarray]:
    """Lower L from a kernel on, which keeps its zeros.

    Args:
        samples: rows of the layer.
        level: float [O], see `learners.reconstruction.readings.Clip`.
        sign: float [O], see there.
        kernel: float [P, O], where to begin.
        offset: float [O], of it.
        old: W_old, float [P, O]: what the samples show little of stays near it.
        pull: towards it, in units of the mean diagonal of the Gram matrix; > 0.
        steps: solutions of the bound.

    Returns:
        Kernel and offset, float64; of no output is L with the pull larger than at the beginning.

    Example:
        >>> x, y = np.array([[1.0], [2.0], [3.0]]), np.array([[-5.0], [1.0], [2.0]])
        >>> samples = Samples(x.astype(np.float32), y, np.zeros((3, 1)), np.ones(3))
        >>> line = np.array([[3.5]]), np.array([-7.667])  # least squares: (-4.17, -0.67, 2.83)
        >>> found, offset = refit_clipped(samples, np.zeros(1), np.ones(1), *line,
        ...                               old=np.zeros((1, 1)), pull=1e-9, steps=100)
        >>> (x @ found + offset).round(2).ravel() + 0.0  # -5 need only stay below zero
        array([0., 1., 2.])
    """
    shared = _Shared.of(samples, pull)
    num_rows, num_inputs = samples.rows.shape
    width = max(1, MAX_BYTES // (8 * num_inputs**2 + 32 * num_rows))
    found = []
    for start in range(0, len(level), width):
        part = slice(start, start + width)
        seen = _Seen.of(_of_outputs(samples, part), level[part], sign[part])
        begin = np.asarray(kernel[:, part], np.float64), np.asarray(offset[part], np.float64)
        found.append(_lowered(shared, seen, begin, old[:, part], steps))
    kernels, offsets = zip(*found, strict=True)
    return np.concatenate(kernels, axis=1), np.concatenate(offsets)


def _of_outputs(samples: Samples, part: slice) -> Samples:
    shortcuts = samples.shortcuts if samples.shortcuts.shape[1] == 1 else samples.shortcuts[:, part]
    return dataclasses.replace(samples, targets=samples.targets[:, part], shortcuts=shortcuts)


@dataclasses.dataclass(frozen=True, eq=False)
class _Shared:
    """What all outputs have in common.

    Attributes:
        weights: float32 [n, 1], of the rows.
        shares: float64 [n], these as parts of 1.
        means: float64 [P], mean row.
        centred: float32 [n, P], rows about it.
        gram: float64 [P, P], of these, with the ridge.
        ridge: the pull.
    """

    weights: np.ndarray
    shares: np.ndarray
    means: np.ndarray
    centred: np.ndarray
    gram: np.ndarray
    ridge: float

    @classmethod
    def of(cls, samples: Samples, pull: float) -> "_Shared":
        shares = samples.weights / samples.weights.sum(dtype=np.float64)
        means = shares @ samples.rows.astype(np.float64)
        centred = samples.rows - means.astype(np.float32)
        weights = samples.weights[:, None]
        gram = (centred.T @ (centred * weights)).astype(np.float64)
        ridge = factorised(gram, pull)[1]
        return cls(weights, shares, means, centred, gram + ridge * np.eye(len(gram)), ridge)


def _lowered(
    shared: _Shared,
    seen: _Seen,
    begin: tuple[np.ndarray, np.ndarray],
    old: np.ndarray,
    steps: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Lower L of some outputs; see `refit_clipped`."""
    mask = begin[0] != 0
    factors = [
        scipy.linalg.cho_factor(shared.gram[np.ix_(own, own)], lower=True) if own.any() else None
        for own in mask.T
    ]

    def losses(at: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        squares = np.square(seen.residuals(*at), dtype=np.float64)
        return shared.weights[:, 0] @ squares + shared.ridge * np.sum(
            (at[0] - old) ** 2 * mask, axis=0
        )

    def step(at: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        residuals = seen.residuals(*at)
        slopes = (shared.centred.T @ (residuals * shared.weights)).astype(np.float64)
        slopes += shared.ridge * (old - at[0])
        moved = np.array(at[0])
        for output, factor in enumerate(factors):
            if factor is not None:
                own = mask[:, output]
                moved[own, output] += scipy.linalg.cho_solve(factor, slopes[own, output])
        mean = shared.shares @ residuals.astype(np.float64)
        return moved, at[1] + mean - shared.means @ (moved - at[0])

    before = now = begin
    for number in range(steps):
        share = number / (number + 3.0)
        now, before = step(_beyond(now, before, share)), now
    better = losses(now) < losses(begin)
    return np.where(better, now[0], begin[0]), np.where(better, now[1], begin[1])


def _beyond(
    now: tuple[np.ndarray, np.ndarray], before: tuple[np.ndarray, np.ndarray], share: float
) -> tuple[np.ndarray, np.ndarray]:
    """Extrapolate the last step."""
    return now[0] + share * (now[0] - before[0]), now[1] + share * (now[1] - before[1])
