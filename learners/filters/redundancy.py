"""The rule by which filters are redundant: most of their weights are small for their layer."""

from collections.abc import Sequence

import numpy as np

from learners.filters.criteria import Filters


def sparsity(parts: Sequence[Filters], size: int) -> np.ndarray:
    """Measure, for each channel, which share of its filters' weights is small.

    A weight is small below the mean magnitude of its layer, zeroed filters included,

        S(c) = #{w of c: |w| < M} / #{w of c},    M = mean |w| over the layer.

    The more filters of a layer are zero, the smaller is M, and the fewer of the others are
    redundant: the rule limits itself. A filter of zeros has S = 1.

    Departs from the paper: the filters of several kernels that make one channel (a 1x1 convolution
    and the depthwise one behind it) are counted together, each weight against its own layer.

    Args:
        parts: the kernels that make the channels; mean and count are over all their slices.
        size: number of channels C.

    Returns:
        float64 [C] in [0, 1].

    Example:
        >>> filters = Filters(np.arange(2), np.array([[4.0, 4.0], [0.0, 4.0]]))
        >>> sparsity([filters], 2)
        array([0. , 0.5])

    Reference:
        Liu, Wu, Lin & Chien, "Computation-Performance Optimization of Convolutional Neural Networks
        with Redundant Kernel Removal", 2018, arXiv:1705.10748.
    """
    small, number = np.zeros(size), np.zeros(size)
    for part in parts:
        own = part.channels >= 0
        magnitudes = np.abs(part.weights)
        below = (magnitudes < magnitudes.mean()) | (magnitudes == 0.0)
        np.add.at(small, part.channels[own], below[own].sum(axis=1))
        np.add.at(number, part.channels[own], magnitudes.shape[1])
    return small / np.maximum(number, 1.0)


def is_redundant(sparsities: np.ndarray, threshold: float) -> np.ndarray:
    """Mark the channels that are to be zero.

    Args:
        sparsities: float [C] in [0, 1], see `sparsity`.
        threshold: in (0, 1); the lower, the more are redundant.

    Returns:
        bool [C], True where the sparsity is larger than the threshold.

    Example:
        >>> is_redundant(np.array([0.5, 0.6, 1.0]), 0.5)
        array([False,  True,  True])
    """
    return sparsities > threshold


def failure_rate(meant: Sequence[np.ndarray], redundant: Sequence[np.ndarray]) -> float:
    """Say which share of the filters that were meant to be zero is not redundant after training.

    Args:
        meant: bool [C] of each group: the filters that were set to zero.
        redundant: bool [C] of each group: those that the rule would set to zero now.

    Returns:
        A fraction; 0 where none was meant to be zero.

    Example:
        >>> failure_rate([np.array([True, True, False])], [np.array([True, False, False])])
        0.5
    """
    wanted = sum(int(mask.sum()) for mask in meant)
    back = sum(int((mask & ~now).sum()) for mask, now in zip(meant, redundant, strict=True))
    return back / wanted if wanted else 0.0
