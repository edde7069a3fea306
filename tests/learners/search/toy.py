"""A search problem small enough to try every candidate."""

import functools
import itertools

import numpy as np

from learners.budget import parse_budget
from learners.search.budget import ChoiceBudget
from learners.search.choices import ChoiceLayer
from learners.search.config import RolloutConfig
from learners.search.problem import BudgetedProblem
from learners.search.rewards import Score

COSTS = np.array([4.0, 1.0, 2.0, 3.0])
HARMS = np.array([0.05, 0.4, 0.1, 0.3])
SIZE = 8


class ToyProblem(BudgetedProblem):
    """Four layers with 1 to 8 bits; `HARMS` says how much each is missed, `COSTS` what a bit costs.

    The accuracy is `1 - sum(HARMS * (1 - v / 8) ** 2)`; half of the cost may be kept.
    """

    def __init__(self, text: str = "bits:0.5", config: RolloutConfig | None = None) -> None:
        super().__init__(parse_budget(text), config or RolloutConfig())
        self.num_scored = 0

    @functools.cached_property
    def choices(self):
        layers = [
            ChoiceLayer(f"layer{i}", tuple(range(1, SIZE + 1)), (3, 3, SIZE, SIZE), 9 * SIZE**2)
            for i in range(len(COSTS))
        ]
        return ChoiceBudget("bits", layers, self.cost, self.budget)

    def cost(self, values):
        return {"bits": np.asarray(values) @ COSTS}

    def score(self, values):
        self.num_scored += 1
        accuracy = self.accuracy(values)
        return Score(accuracy, 1.0 - accuracy)

    @staticmethod
    def accuracy(values):
        return float(1.0 - HARMS @ (1.0 - np.asarray(values) / SIZE) ** 2)

    def optimum(self):
        """The best candidate within the budget, by trying all 4,096."""
        candidates = np.array(list(itertools.product(range(1, SIZE + 1), repeat=len(COSTS))))
        inside = candidates[self.load(candidates) <= 1.0]
        return max(inside, key=self.accuracy)

    def errors(self):
        counts = np.arange(1, SIZE + 1)
        return [harm * (1.0 - counts / SIZE) ** 2 for harm in HARMS]
