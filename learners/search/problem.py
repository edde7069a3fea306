"""What a search works on: layers, what can be chosen for each, what it costs, how good it is.

A learner that chooses something for each layer hands its `Problem` to `SearchedStage`. What its
numbers mean, the search never asks. `BudgetedProblem` has all of it but the scores and the errors.
"""

import abc
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from learners.budget import Budget
from learners.quantity import QUANTITIES
from learners.search.budget import ChoiceBudget
from learners.search.choices import FLOOR, ChoiceLayer, Load
from learners.search.config import RolloutConfig
from learners.search.rewards import Score, reward
from learners.setting import Setting


class Problem(Protocol):
    """What is searched. A candidate is an int array [layers] of one choice per layer."""

    @property
    def quantity(self) -> str:
        """What is chosen, a row of `learners.quantity.QUANTITIES`."""

    @property
    def layers(self) -> Sequence[ChoiceLayer]:
        """The layers, in the order in which an agent steps through them."""

    @property
    def budget(self) -> Budget:
        """What may be kept, as the user wrote it."""

    @property
    def load(self) -> Load:
        """What part of the budget candidates take."""

    @property
    def floor(self) -> float:
        """The least load of a result, see `BudgetEnvironment`."""

    @property
    def num_sampled(self) -> int:
        """Training images that tables are taken from; candidates are compared on others."""

    def uniform(self) -> np.ndarray:
        """Give the uniform candidate: roll-out 0, and what the winner is compared with."""

    def starts(self) -> Sequence[np.ndarray]:
        """Give further candidates that are worth a roll-out before an agent chooses its own."""

    def errors(self) -> list[np.ndarray]:
        """Say, without scoring a network, how wrong each layer gets by each of its choices.

        Returns:
            Per layer float64 [choices], >= 0, 0 for the untouched choice and not rising with the
            value; those of different layers need not be comparable.
        """

    def score(self, values: np.ndarray) -> Score:
        """Try a candidate."""

    def reward(self, score: Score, values: np.ndarray) -> float:
        """Give the reward of a candidate that scored so."""

    def refined(self, values: np.ndarray) -> np.ndarray:
        """Move a candidate until it meets the budget as measured."""

    def remarks(self, values: np.ndarray) -> list[str]:
        """Say how a candidate stands to the budget where it is out of tolerance."""

    def measured(self, values: np.ndarray) -> dict[str, float]:
        """Say what a candidate costs: kind -> amount, measured where that takes a file."""

    def setting(self, values: np.ndarray) -> Setting:
        """Give a candidate as a setting, without facts."""


class BudgetedProblem(abc.ABC):
    """Base of the problems: implements what of `Problem` follows from a budget and the flags.

    Args:
        budget: what may be kept.
        config: the flags of the search.
        num_sampled: see `Problem`.
    """

    def __init__(self, budget: Budget, config: RolloutConfig, *, num_sampled: int = 0) -> None:
        self.budget = budget
        self.config = config
        self.num_sampled = num_sampled

    @property
    @abc.abstractmethod
    def choices(self) -> ChoiceBudget:
        """Layers, choices and costs; the first kind of its quantity is always counted."""

    @abc.abstractmethod
    def errors(self) -> list[np.ndarray]:
        """See `Problem`."""

    @abc.abstractmethod
    def score(self, values: np.ndarray) -> Score:
        """See `Problem`."""

    @property
    def quantity(self) -> str:
        """See `Problem`."""
        return self.choices.quantity

    @property
    def layers(self) -> Sequence[ChoiceLayer]:
        """See `Problem`."""
        return self.choices.layers

    @property
    def load(self) -> Load:
        """See `Problem`."""
        return self.choices.load

    @property
    def floor(self) -> float:
        """How much a result has to use: nothing in multi-obj, nearly all else."""
        return 0.0 if self.config.reward_type == "multi-obj" else FLOOR

    def uniform(self) -> np.ndarray:
        """See `Problem`."""
        return self.choices.uniform()

    def starts(self) -> Sequence[np.ndarray]:
        """See `Problem`; none unless a problem knows some."""
        return ()

    def reward(self, score: Score, values: np.ndarray) -> float:
        """Give the reward, as the flags say."""
        kind = QUANTITIES[self.quantity].kinds[0]
        return reward(
            score,
            float(self.load.cost(values[None])[kind][0]),
            policy=self.config.reward_policy,
            noise_tolerance=self.config.noise_tolerance,
        )

    def refined(self, values: np.ndarray) -> np.ndarray:
        """See `Problem`."""
        return self.choices.refined(values, floor=self.floor)

    def remarks(self, values: np.ndarray) -> list[str]:
        """See `Problem`."""
        return self.choices.remarks(values, floor=self.floor)

    def measured(self, values: np.ndarray) -> dict[str, float]:
        """See `Problem`."""
        return self.choices.measured(values)

    def setting(self, values: np.ndarray) -> Setting:
        """See `Problem`; sizes are weights where what is chosen is no part of the size."""
        by_weights = QUANTITIES[self.quantity].most is not None
        sizes = {la.name: la.num_params if by_weights else la.choices[-1] for la in self.layers}
        return Setting(quantity=self.quantity, network=sizes, values=self.choices.by_name(values))
