"""Greedy channel selection by gradient norms: algorithm 2 of the paper, on arrays.

Reference:
    Zhuang et al., "Discrimination-aware Channel Pruning for Deep Neural Networks", 2018,
    arXiv:1810.11809.
"""

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from learners.discrimination_aware_pruning.iterations import GreedyPlan
from rl_agents.ddpg.adam import Adam

Gradients = Callable[[Sequence[np.ndarray]], Sequence[np.ndarray]]
"""Kernels -> the gradients of the joint loss with respect to them, each time on the next batch."""


@dataclasses.dataclass(frozen=True, eq=False)
class ReadKernel:
    """A kernel that reads the channels up for choice.

    Attributes:
        values: float32, as it was before; entries that are exactly zero stay so.
        axis: the axis of its input channels, counted from the back.
        channels: int [size of that axis]: the channel of each index, -1 for inputs from elsewhere.
            After a Flatten several indices hold the same channel.
    """

    values: np.ndarray
    axis: int
    channels: np.ndarray

    def reads(self, mask: np.ndarray) -> np.ndarray:
        """Say which entries read one of the channels of a mask, or an input from elsewhere.

        Args:
            mask: bool [channels].

        Returns:
            Bool array of the kernel's shape.
        """
        read = (self.channels < 0) | mask[np.maximum(self.channels, 0)]
        shape = [1] * self.values.ndim
        shape[self.axis] = read.size
        return np.broadcast_to(read.reshape(shape), self.values.shape)

    def masked(self, mask: np.ndarray) -> np.ndarray:
        """Give the values with those of the channels that are not in the mask set to zero."""
        return np.where(self.reads(mask), self.values, np.float32(0.0))


@dataclasses.dataclass(frozen=True, eq=False)
class Selected:
    """What was chosen.

    Attributes:
        mask: bool [channels], True = keep.
        kernels: float32, tuned; exactly zero where a channel goes.
    """

    mask: np.ndarray
    kernels: tuple[np.ndarray, ...]


def gradient_norms(
    gradients: Sequence[np.ndarray], kernels: Sequence[ReadKernel], num_channels: int
) -> np.ndarray:
    """Compute ||G_j||_F, the norm of the gradient with respect to each channel's part of a kernel.

    Channels that several kernels read have the norm over all of them together.

    Args:
        gradients: of the kernels, of their shapes.
        kernels: how they read the channels.
        num_channels: C.

    Returns:
        float64 [C].

    Example:
        >>> kernel = ReadKernel(np.ones((3, 2), np.float32), -2, np.array([0, 1, 1]))
        >>> gradient_norms([np.array([[3.0, 4.0], [1.0, 0.0], [0.0, 1.0]])], [kernel], 2).round(3)
        array([5.   , 1.414])
    """
    squares = np.zeros(num_channels)
    for gradient, kernel in zip(gradients, kernels, strict=True):
        rows = np.moveaxis(np.asarray(gradient, np.float64), kernel.axis, 0)
        sums = np.sum(rows.reshape(rows.shape[0], -1) ** 2, axis=1)
        ours = kernel.channels >= 0
        np.add.at(squares, kernel.channels[ours], sums[ours])
    return np.sqrt(squares)


def select_channels(
    kernels: Sequence[ReadKernel],
    num_channels: int,
    gradients: Gradients,
    plan: GreedyPlan,
    lrn_rate: float,
) -> Selected:
    """Choose channels, from none at all, and tune the kernels on them.

    At each step the gradient G of the joint loss is taken with respect to the kernels, of which
    only the chosen channels are there. The channels not chosen yet with the largest ||G_j||_F join
    them, with their part of the kernel as it was before, and Adam moves the chosen part. Of equal
    ones (zero, where nothing has come through a ReLU yet) that with the larger part of the kernel
    goes first, then that with the lower index. When all are chosen, the kernels are fine-tuned with
    a rate that falls to zero along half a cosine.

    Departs from the paper: the gradient that chooses is a mean over as many batches as the step
    then trains on, and a step may add several channels (`GreedyPlan`).

    Args:
        kernels: that read the channels.
        num_channels: C.
        gradients: see `Gradients`.
        plan: how many channels each step adds and how long is trained.
        lrn_rate: of Adam.

    Returns:
        As many channels as `plan.additions` are in all, and the kernels.
    """
    mask = np.zeros(num_channels, dtype=bool)
    sizes = gradient_norms([kernel.values for kernel in kernels], kernels, num_channels)
    current = [kernel.masked(mask) for kernel in kernels]
    steps = _Steps(kernels, gradients, lrn_rate)
    for num_new, num_tuned in zip(plan.additions, plan.tuning, strict=True):
        sums = [np.zeros(kernel.values.shape) for kernel in kernels]
        for _ in range(max(1, num_tuned)):
            for total, gradient in zip(sums, gradients(current), strict=True):
                total += gradient
        norms = gradient_norms(sums, kernels, num_channels)
        order = np.lexsort((-sizes, -np.where(mask, -np.inf, norms)))
        grown = mask.copy()
        grown[order[:num_new]] = True
        current = _grown(current, kernels, mask, grown)
        mask = grown
        current = steps.make(current, mask, [1.0] * num_tuned)
    falling = [0.5 * (1.0 + math.cos(math.pi * i / plan.final)) for i in range(plan.final)]
    return Selected(mask, tuple(steps.make(current, mask, falling)))


def _grown(
    current: Sequence[np.ndarray],
    kernels: Sequence[ReadKernel],
    mask: np.ndarray,
    grown: np.ndarray,
) -> list[np.ndarray]:
    """Give the channels that have joined their part of the kernels as they were before."""
    return [
        np.where(kernel.reads(grown) & ~kernel.reads(mask), kernel.values, values)
        for values, kernel in zip(current, kernels, strict=True)
    ]


class _Steps:
    """Adam on the chosen part of some kernels."""

    def __init__(
        self, kernels: Sequence[ReadKernel], gradients: Gradients, lrn_rate: float
    ) -> None:
        self._kernels = kernels
        self._gradients = gradients
        self._lrn_rate = lrn_rate
        self._adam = Adam(sum(kernel.values.size for kernel in kernels), lrn_rate)

    def make(
        self, current: Sequence[np.ndarray], mask: np.ndarray, factors: Sequence[float]
    ) -> list[np.ndarray]:
        """Make a step for each factor of the rate; what is not chosen, or was zero, stays zero."""
        free = _flat([kernel.reads(mask) & (kernel.values != 0) for kernel in self._kernels])
        flat = _flat(current).astype(np.float32)
        for factor in factors:
            gradient = _flat(self._gradients(list(self._parts(flat)))).astype(np.float32)
            self._adam.learning_rate = factor * self._lrn_rate
            self._adam.step(flat, np.where(free, gradient, np.float32(0.0)))
        return list(self._parts(flat))

    def _parts(self, flat: np.ndarray) -> Iterator[np.ndarray]:
        first = 0
        for kernel in self._kernels:
            size = kernel.values.size
            yield flat[first : first + size].reshape(kernel.values.shape)
            first += size


def _flat(arrays: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.asarray(array).reshape(-1) for array in arrays])
