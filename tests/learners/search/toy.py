"""A search problem small enough to try every candidate."""

import itertools

import numpy as np

from learners.search.choices import FLOOR, ChoiceLayer, Load
from learners.search.rewards import Score

COSTS = np.array([4.0, 1.0, 2.0, 3.0])
HARMS = np.array([0.05, 0.4, 0.1, 0.3])
SIZE = 8


class ToyProblem:
    """Four layers with counts 1 to 8; `HARMS` says how much each is missed, `COSTS` what it costs.

    The accuracy is `1 - sum(HARMS * (1 - v / 8) ** 2)`; half of the cost may be kept.
    """

    floor = FLOOR

    def __init__(self, share: float = 0.5) -> None:
        self.layers = [
            ChoiceLayer(f"layer{i}", tuple(range(1, SIZE + 1)), (3, 3, SIZE, SIZE), 9 * SIZE**2)
            for i in range(len(COSTS))
        ]
        self.load = Load(self.cost, {"flops": share * SIZE * COSTS.sum()})
        self.num_scored = 0

    def cost(self, values):
        return {"flops": np.asarray(values) @ COSTS}

    def score(self, values):
        self.num_scored += 1
        accuracy = self.accuracy(values)
        return Score(accuracy, 1.0 - accuracy)

    def reward(self, score, values):
        return score.value

    @staticmethod
    def accuracy(values):
        return float(1.0 - HARMS @ (1.0 - np.asarray(values) / SIZE) ** 2)

    def optimum(self):
        """The best candidate within the budget, by trying all 4,096."""
        candidates = np.array(list(itertools.product(range(1, SIZE + 1), repeat=len(COSTS))))
        inside = candidates[self.load(candidates) <= 1.0]
        return max(inside, key=self.accuracy)

    def harms(self):
        counts = np.arange(1, SIZE + 1)
        return [harm * (1.0 - counts / SIZE) ** 2 for harm in HARMS]
