"""Divide labelled samples into parts: seeded, and stratified by class."""

import numpy as np


def stratified_split(
    labels: np.ndarray, fraction: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Divide samples into two parts with the classes in equal proportion.

    The second part takes `round(fraction * count)` samples of each class, but leaves at least one
    behind.

    Args:
        labels: int array [n].
        fraction: share of the second part, in (0, 1).
        seed: which of the possible divisions.

    Returns:
        Two int64 arrays of sample indices, each in ascending order.

    Raises:
        ValueError: if `fraction` is outside (0, 1).

    Example:
        >>> stratified_split(np.array([0, 0, 1, 1]), 0.5, seed=0)
        (array([1, 3]), array([0, 2]))
    """
    if not 0.0 < fraction < 1.0:
        raise ValueError(f"`fraction` must be in (0, 1). Received: fraction={fraction}.")
    generator = np.random.default_rng(seed)
    chosen = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        members = generator.permutation(np.flatnonzero(labels == label))
        count = min(round(fraction * len(members)), len(members) - 1)
        chosen[members[:count]] = True
    return np.flatnonzero(~chosen), np.flatnonzero(chosen)
