"""Running mean and standard deviation, to normalise states and rewards."""

from collections.abc import Mapping

import numpy as np


class RunningStatistics:
    """Mean and variance of everything seen so far, per dimension, in float64.

    Batches are merged by the pairwise update of Chan et al. 1979, which does not cancel as sums of
    squares do. Before the first sample the mean is 0 and the standard deviation 1.

    Args:
        dim: numbers per sample.
        min_variance: smaller variances count as this one (`ddpg_rms_eps`).
    """

    def __init__(self, dim: int, min_variance: float) -> None:
        self.min_variance = min_variance
        self.count = 0
        self.mean = np.zeros(dim)
        self._squares = np.zeros(dim)  # sum of squared deviations from the mean

    @property
    def std(self) -> np.ndarray:
        """Standard deviation [dim] of the population, at least sqrt(min_variance)."""
        if not self.count:
            return np.ones_like(self.mean)
        return np.sqrt(np.maximum(self._squares / self.count, self.min_variance))

    def update(self, samples: np.ndarray) -> None:
        """Add samples [n, dim], n >= 1."""
        samples = np.asarray(samples, np.float64)
        count = self.count + len(samples)
        mean = samples.mean(axis=0)
        delta = mean - self.mean
        self._squares = (
            self._squares
            + ((samples - mean) ** 2).sum(axis=0)
            + delta**2 * (self.count * len(samples) / count)
        )
        self.mean = self.mean + delta * (len(samples) / count)
        self.count = count

    def state_dict(self) -> dict[str, np.ndarray]:
        """Count, mean and sum of squared deviations."""
        return {"count": np.array(self.count), "mean": self.mean, "squares": self._squares}

    def load_state_dict(self, state: Mapping[str, np.ndarray]) -> None:
        """Restore what `state_dict` gave."""
        self.count = int(state["count"])
        self.mean = np.array(state["mean"])
        self._squares = np.array(state["squares"])
