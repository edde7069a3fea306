"""Adam on a flat parameter vector.

Reference:
    Kingma & Ba, "Adam: A Method for Stochastic Optimization", 2015, arXiv:1412.6980, algorithm 1
    with the reordered step at the end of its section 2 (the form Keras uses).
"""

import math
from collections.abc import Mapping

import numpy as np

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-7


class Adam:
    """First and second moments of one parameter vector.

    Args:
        size: number of parameters.
        learning_rate: step size.
    """

    def __init__(self, size: int, learning_rate: float) -> None:
        self.learning_rate = learning_rate
        self.num_steps = 0
        self._first = np.zeros(size, np.float32)
        self._second = np.zeros(size, np.float32)

    def step(self, parameters: np.ndarray, gradient: np.ndarray) -> None:
        """Move `parameters` [size] in place, against `gradient` [size]."""
        self.num_steps += 1
        self._first += np.float32(1.0 - BETA_1) * (gradient - self._first)
        self._second += np.float32(1.0 - BETA_2) * (gradient * gradient - self._second)
        correction = math.sqrt(1.0 - BETA_2**self.num_steps) / (1.0 - BETA_1**self.num_steps)
        denominator = np.sqrt(self._second)
        denominator += np.float32(EPSILON)
        parameters -= np.float32(self.learning_rate * correction) * self._first / denominator

    def state_dict(self) -> dict[str, np.ndarray]:
        """Number of steps and both moments."""
        return {
            "num_steps": np.array(self.num_steps),
            "first": self._first.copy(),
            "second": self._second.copy(),
        }

    def load_state_dict(self, state: Mapping[str, np.ndarray]) -> None:
        """Restore what `state_dict` gave."""
        self.num_steps = int(state["num_steps"])
        self._first = np.array(state["first"])
        self._second = np.array(state["second"])
