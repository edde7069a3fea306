"""Least-squares errors of a nested family of choices, all from one factor.

Let rows be put in an order in which each choice keeps a leading part. With G = X^T X = L L^T and
C = X^T Y in that order, Z = L^-1 C, and the least-squares fit of Y on the first p rows leaves

    ||Y||_F^2 - sum_{i <= p} ||Z_i||^2

because the leading p x p block of L is the factor of the leading block of G. So the error at every
size costs one Cholesky factorisation, where a fit for each would cost as many.
"""

import numpy as np
import scipy.linalg

from learners.reconstruction.least_squares import ReaderMoments
from learners.reconstruction.ridge import RIDGE, factorised


def nested_errors(reader: ReaderMoments, order: np.ndarray) -> np.ndarray:
    """Compute how much of a layer's output is lost as its channels go, the others refitted.

    Args:
        reader: the layer; rows with `left` False are left out.
        order: int [C], the channels, the first to go in front.

    Returns:
        float64 [C + 1]: the relative squared error when 0, 1, … C channels stay, not rising.

    Raises:
        ValueError: if the order does not name each channel once.

    Example:
        >>> from learners.reconstruction.statistics import LayerStatistics
        >>> x = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.0, 0.0]])
        >>> rows = np.concatenate([x, np.ones((4, 1))], axis=1)
        >>> statistics = LayerStatistics.of_kernel(rows.T @ rows, np.array([[2.0], [1.0]]))
        >>> reader = ReaderMoments(statistics, np.array([0, 1]), centred=True)
        >>> nested_errors(reader, np.array([1, 0])).round(3)
        array([1. , 0.2, 0. ])
    """
    if sorted(order) != list(range(len(order))):
        raise ValueError(
            f"`order` must name each of {len(order)} channels once. Received: {order.tolist()}."
        )
    left = np.ones(reader.rows.size, dtype=bool) if reader.left is None else reader.left
    # Rows that are not up for choice always stay; then come the channels, the last to go in front.
    rank = np.empty(len(order), dtype=int)
    rank[order[::-1]] = np.arange(1, len(order) + 1)
    ranks = np.where(reader.rows < 0, 0, rank[np.maximum(reader.rows, 0)])[left]
    rows = np.flatnonzero(left)[np.argsort(ranks, kind="stable")]
    gram = reader.statistics.gram(reader.centred)[np.ix_(rows, rows)]
    cross = reader.statistics.cross_gram(reader.centred)[rows]
    factor, _ = factorised(gram, RIDGE)
    explained = np.sum(scipy.linalg.solve_triangular(factor[0], cross, lower=True) ** 2, axis=1)
    ends = np.searchsorted(np.sort(ranks), np.arange(len(order) + 1), side="right")
    energy = max(reader.statistics.target_energy(reader.centred), np.finfo(np.float64).tiny)
    sums = np.concatenate([[0.0], np.cumsum(explained)])[ends]
    return np.maximum(energy - sums, 0.0) / energy
