"""Which input channels go, and with which kernels: group LASSO by proximal gradient descent.

For a layer `Y = X W`, whose kernel rows W_c read input channel c, the objective is

    1/2 ||Y - X W||_F^2 / ||Y||_F^2 + lambda sum_c ||W_c||_F.

Its first part has the gradient `(G W - C) / ||Y||_F^2`, with G = X^T X and C = X^T Y, so no feature
maps are needed. One iteration is a gradient step and the proximal operator of the second part,
which shrinks the rows of every channel together:

    V = W - rate * gradient,    W_c = max(0, 1 - threshold / ||V_c||_F) V_c,

where the threshold (rate * lambda) is the norm of the channel that is to be the last to go, at a
number of channels that grows to the wanted one over the iterations. Channels that are zero have a
gradient as well and may come back. The rate grows while gradient steps lower the objective's first
part, and falls where one would raise it; that step is not taken. Several layers that read the same
channels share rate and thresholds, their objectives are summed.

Reference:
    Yuan & Lin, "Model Selection and Estimation in Regression with Grouped Variables", 2006.
    Parikh & Boyd, "Proximal Algorithms", 2014, sections 4.2 (the step) and 6.5.4 (the operator).

Departs from the documents' recipe: what rate is compared by is the gradient step alone, because the
objective rises whenever a further channel goes.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from learners.channels.criteria import GroupReader


@dataclasses.dataclass(frozen=True, kw_only=True)
class StepRates:
    """How long steps are.

    Attributes:
        initial: the first rate, > 0.
        increase: its factor where the objective falls, > 1.
        decrease: its factor where the objective would rise, in (0, 1).
    """

    initial: float = 1e-10
    increase: float = 1.4
    decrease: float = 0.7


@dataclasses.dataclass(frozen=True, kw_only=True)
class Descent:
    """What came of a proximal gradient descent.

    Attributes:
        kernels: for each layer float64 [P, O]; zero in the rows of the channels that went.
        norms: float64 [C], `||W_c||_F` over all layers; exactly `num_keep` are positive but for
            ties.
        losses: float64 [iterations + 1], the sum of the layers' relative errors, halved: at the
            start and after each iteration.
        rates: float64 [iterations], the rate of each step.
    """

    kernels: tuple[np.ndarray, ...]
    norms: np.ndarray
    losses: np.ndarray
    rates: np.ndarray


def proximal_descent(
    readers: Sequence[GroupReader],
    num_channels: int,
    num_keep: int,
    *,
    num_iterations: int,
    rates: StepRates = StepRates(),
) -> Descent:
    """Minimize the error of layers while their common input channels go, see the module.

    Args:
        readers: the layers.
        num_channels: C.
        num_keep: channels that stay, in [1, C].
        num_iterations: T; after t of them `(C - num_keep) t / T` channels are gone, rounded down.
        rates: of the steps.

    Returns:
        The kernels, and how they were come to.

    Raises:
        ValueError: if `num_keep` is outside [1, C].
    """
    if not 1 <= num_keep <= num_channels:
        raise ValueError(f"`num_keep` must be in [1, {num_channels}]. Received: {num_keep}.")
    layers = [_Layer(reader) for reader in readers]
    rate, used = rates.initial, []
    losses = [sum(layer.loss() for layer in layers)]
    for iteration in range(1, num_iterations + 1):
        used.append(rate)
        change = sum(layer.change(rate) for layer in layers)
        if change < 0.0:
            for layer in layers:
                layer.step(rate)
        if change != 0.0:  # else nothing is known about the rate: there is no gradient yet
            rate *= rates.increase if change < 0.0 else rates.decrease
        num_gone = (num_channels - num_keep) * iteration // num_iterations
        if num_gone:
            norms = _norms(layers, num_channels)
            factors = shrink_factors(norms, num_gone)
            for layer in layers:
                layer.shrink(factors)
        losses.append(sum(layer.loss() for layer in layers))
    return Descent(
        kernels=tuple(layer.kernel for layer in layers),
        norms=_norms(layers, num_channels),
        losses=np.array(losses),
        rates=np.array(used),
    )


def shrink_factors(norms: np.ndarray, num_gone: int) -> np.ndarray:
    """Give the proximal operator's factors at the threshold that makes channels zero.

    Args:
        norms: float64 [C], of the channels' kernel rows.
        num_gone: how many become zero, in [1, C].

    Returns:
        float64 [C] in [0, 1).

    Example:
        >>> shrink_factors(np.array([4.0, 1.0, 2.0]), 1)
        array([0.75, 0.  , 0.5 ])
    """
    threshold = np.partition(norms, num_gone - 1)[num_gone - 1]
    return np.where(norms > threshold, 1.0 - threshold / np.where(norms > 0, norms, 1.0), 0.0)


def _norms(layers: Sequence["_Layer"], num_channels: int) -> np.ndarray:
    squares = np.zeros(num_channels)
    for layer in layers:
        np.add.at(squares, layer.rows[layer.chosen], layer.row_squares()[layer.chosen])
    return np.sqrt(squares)


class _Layer:
    """A layer's kernel on its way; only the rows that are left move."""

    def __init__(self, reader: GroupReader) -> None:
        moments = reader.moments
        left = np.ones(moments.rows.size, bool) if moments.left is None else moments.left
        self._energy = moments.statistics.target_energy(moments.centred)
        self._scale = 1.0 / max(self._energy, np.finfo(np.float64).tiny)
        # Rows that are not left read nothing: without moments they have no gradient.
        both = np.outer(left, left)
        self._gram = np.where(both, moments.statistics.gram(moments.centred), 0.0) * self._scale
        cross = moments.statistics.cross_gram(moments.centred)
        self._cross = np.where(left[:, None], cross, 0.0) * self._scale
        self.rows = moments.rows
        self.chosen = moments.rows >= 0
        self.kernel = np.array(reader.kernel, dtype=np.float64)
        self._product = self._gram @ self.kernel
        self._gradient = self._curved = np.zeros_like(self.kernel)

    def loss(self) -> float:
        """Half the relative squared error."""
        inner = np.sum(self.kernel * (self._product - 2.0 * self._cross))
        return 0.5 * (self._energy * self._scale + float(inner))

    def change(self, rate: float) -> float:
        """Say by how much a gradient step changes the loss, exactly: it is a quadratic."""
        self._gradient = self._product - self._cross
        self._curved = self._gram @ self._gradient
        slope = float(np.sum(self._gradient**2))
        curvature = float(np.sum(self._gradient * self._curved))
        return rate * (0.5 * rate * curvature - slope)

    def step(self, rate: float) -> None:
        """Take the step that `change` looked at."""
        self.kernel = self.kernel - rate * self._gradient
        self._product = self._product - rate * self._curved

    def row_squares(self) -> np.ndarray:
        """Give the squared norm of each kernel row."""
        return np.sum(self.kernel**2, axis=1)

    def shrink(self, factors: np.ndarray) -> None:
        """Scale the rows of each channel."""
        scale = np.where(self.chosen, factors[np.maximum(self.rows, 0)], 1.0)
        self.kernel = self.kernel * scale[:, None]
        self._product = self._gram @ self.kernel
