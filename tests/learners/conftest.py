"""A correlated, off-centre layer and its moments."""

import numpy as np
import pytest

from learners.reconstruction.statistics import LayerStatistics


def statistics_of(x: np.ndarray, y: np.ndarray) -> LayerStatistics:
    """Sum up the moments of rows X and targets Y."""
    ones = np.hstack([x, np.ones((len(x), 1), x.dtype)])
    return LayerStatistics(ones.T @ ones, ones.T @ y, np.sum(y**2, axis=0))


@pytest.fixture
def layer() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows X [500, 12], kernel [12, 5], the channel of each of the 12 kernel rows."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(500, 12)) @ rng.normal(size=(12, 12)) + 0.7  # correlated, off centre
    kernel = rng.normal(size=(12, 5)) * np.repeat(rng.uniform(0.1, 2.0, 6), 2)[:, None]
    return x, kernel, np.repeat(np.arange(6), 2)
