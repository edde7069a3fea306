"""Which channels stay: one table of criteria, every one a function with the same signature.

    scores = criterion(readers, num_channels, num_keep, num_iterations=100)

gives each channel a score; those with the largest scores stay. `num_keep` tells a criterion whose
answer depends on the number how many will be taken; None asks for scores that serve all numbers.
`num_iterations` is for criteria that iterate.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from learners.channels.lasso import channel_quadratic, lasso_mask, lasso_path_order
from learners.reconstruction.least_squares import ReaderMoments, backward_order


@dataclasses.dataclass(frozen=True)
class GroupReader:
    """One layer that reads the channels up for choice.

    Attributes:
        moments: its moments, outputs weighted by how much they count.
        kernel: float [P, O], its kernel before, outputs weighted likewise; zero in rows that were
            dropped with channels of other groups.
        plain: float [P, O], the same without weights; None where that is `kernel`.
    """

    moments: ReaderMoments
    kernel: np.ndarray
    plain: np.ndarray | None = None


class Criterion(Protocol):
    """Scores channels, see the module."""

    def __call__(
        self,
        readers: Sequence[GroupReader],
        num_channels: int,
        num_keep: int | None,
        *,
        num_iterations: int = 100,
    ) -> np.ndarray:
        """Score the channels.

        Args:
            readers: the layers that read the channels, at least one.
            num_channels: C.
            num_keep: how many will be taken; None where that is open.
            num_iterations: of a method that iterates.

        Returns:
            float64 [C]; the largest stay.
        """


def backward_scores(
    readers: Sequence[GroupReader],
    num_channels: int,
    num_keep: int | None,
    *,
    num_iterations: int = 100,
) -> np.ndarray:
    """Score channels by when backward elimination lets them go, see `backward_order`."""
    return _scores_of(backward_order([reader.moments for reader in readers], num_channels))


def lasso_scores(
    readers: Sequence[GroupReader],
    num_channels: int,
    num_keep: int | None,
    *,
    num_iterations: int = 100,
) -> np.ndarray:
    """Score channels by LASSO: at the lambda that leaves `num_keep`, or along the whole path."""
    quadratic, linear = np.zeros((num_channels, num_channels)), np.zeros(num_channels)
    for reader in readers:
        moments = reader.moments
        parts = channel_quadratic(
            moments.statistics, reader.kernel, moments.rows, num_channels, centred=moments.centred
        )
        quadratic, linear = quadratic + parts[0], linear + parts[1]
    if num_keep is None:
        return _scores_of(lasso_path_order(quadratic, linear))
    mask = lasso_mask(quadratic, linear, num_keep, num_iterations=num_iterations)
    # Those that stay in front of those that go; among each by what the channel carries.
    energies = np.diag(quadratic)
    return 2.0 * mask + energies / max(float(energies.max()), np.finfo(float).tiny)


def magnitude_scores(
    readers: Sequence[GroupReader],
    num_channels: int,
    num_keep: int | None,
    *,
    num_iterations: int = 100,
) -> np.ndarray:
    """Score channels by the sum of the magnitudes of the kernel slices that read them.

    Reference:
        Li et al., "Pruning Filters for Efficient ConvNets", ICLR 2017, arXiv:1608.08710, section
        3.1, for input instead of output channels: "max response" in He, Zhang & Sun, 2017, section
        4.1.1.
    """
    scores = np.zeros(num_channels)
    for reader in readers:
        kernel = reader.kernel if reader.plain is None else reader.plain
        chosen = reader.moments.rows >= 0
        np.add.at(scores, reader.moments.rows[chosen], np.abs(kernel[chosen]).sum(axis=1))
    return scores


def _scores_of(order: np.ndarray) -> np.ndarray:
    """Turn an order, the first to go in front, into scores."""
    scores = np.empty(order.size)
    scores[order] = np.arange(order.size)
    return scores


CRITERIA: Mapping[str, Criterion] = {
    "backward": backward_scores,
    "lasso": lasso_scores,
    "l1": magnitude_scores,
}
