"""A table's weights, searched: the base of the agents that answer a table.

A table says of each layer how much is lost by each of its choices, and an answer is the candidate
within the budget that loses least by it. Losses add up only roughly, so each layer's column is
multiplied by a weight, and the weights are searched: roll-out by roll-out those of the best answer
so far are disturbed, and what scores better is kept.

Reference:
    (1+1) evolution strategy on the logarithms of the weights: Beyer & Schwefel, "Evolution
    Strategies: A Comprehensive Introduction", Natural Computing 1, 2002.
"""

import abc
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from learners.search.problem import Problem
from rl_agents.base import VectorAgent, Walk

STEP_START, STEP_END = 0.4, 0.1  # standard deviation of the logarithm of a weight, over the search
MOVED_LAYERS = 3.0  # expected number of weights that a roll-out disturbs
STEP_GROWTH = 1.3  # of the step, where it led to an answer that was tried before …
MAX_DRAWS = 20  # … at most so often
_LEAST_LOSS = 1e-6  # of the largest: a step is never free, so that ties go by the cost


class TableAgent(VectorAgent):
    """Answers a table with searched weights; see the module.

    Args:
        num_layers: see `Agent`.
        state_dim: see `Agent`.
        problem: what is searched.
        around: the candidate that is tried first, int [layers].
        **options: `seed`, `num_rollouts`, `initial`, see `Agent`.
    """

    def __init__(
        self,
        num_layers: int,
        state_dim: int,
        *,
        problem: Problem,
        around: np.ndarray,
        **options: Any,
    ) -> None:
        super().__init__(num_layers, state_dim, **options)
        self._problem = problem
        self._around = around
        self._layers = tuple(problem.layers)
        self._table: list[np.ndarray] = []
        self._weights = np.zeros(num_layers)  # their logarithms, of the best answer
        self._best = -np.inf
        self._tried = np.empty((0, num_layers), int)
        # Roll-out, weights, values.
        self._proposal: tuple[int, np.ndarray, np.ndarray] | None = None

    @abc.abstractmethod
    def make_table(self) -> list[np.ndarray]:
        """Make the table; called once, at the first proposal.

        Returns:
            Per layer float64 [choices], not rising with the value; 0 for the untouched choice.
        """

    @abc.abstractmethod
    def answer(self, table: Sequence[np.ndarray]) -> np.ndarray:
        """Find the candidate within the budget that loses least, int [layers]."""

    def _propose(self, generator: np.random.Generator) -> np.ndarray:
        if self._proposal is None or self._proposal[0] != self.num_told:
            self._proposal = (self.num_told, *self._new_answer(generator))
        pairs = zip(self._layers, self._proposal[2], strict=True)
        return np.array([layer.action(float(value)) for layer, value in pairs])

    def _new_answer(self, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Disturb the best weights until the answer is a new one; the first is the table's own."""
        weights = self._weights
        values = self._weighted(weights)
        progress = min(1.0, self.num_told / self.num_rollouts)
        step = STEP_START * (STEP_END / STEP_START) ** progress
        for _ in range(MAX_DRAWS):
            if not (self._tried == values).all(axis=1).any():
                break
            chosen = generator.random(self.num_layers) < MOVED_LAYERS / self.num_layers
            weights = self._weights + chosen * step * generator.standard_normal(self.num_layers)
            values = self._weighted(weights)
            step *= STEP_GROWTH
        return weights, values

    def _weighted(self, weights: np.ndarray) -> np.ndarray:
        if not self._table:
            columns = self.make_table()
            least = _LEAST_LOSS * max(max(column.max() for column in columns), _LEAST_LOSS)
            self._table = [
                column + least * np.linspace(1.0, 0.0, column.size) for column in columns
            ]
        pairs = zip(self._table, np.exp(weights), strict=True)
        return self.answer([column * weight for column, weight in pairs])

    def _learn(self, rollout: Walk, rewards: np.ndarray) -> None:
        if self.num_told < len(self.initial) or self._proposal is None:
            return
        _, weights, values = self._proposal
        self._tried = np.vstack([self._tried, values])
        score = float(rewards.mean())
        if score > self._best:
            self._weights, self._best = weights, score

    def _state(self) -> dict[str, np.ndarray]:
        return {
            "table": np.concatenate(self._table) if self._table else np.empty(0),
            "weights": self._weights.copy(),
            "best": np.array(self._best),
            "tried": self._tried.copy(),
        }

    def _load(self, state: Mapping[str, np.ndarray]) -> None:
        sizes = [len(layer.choices) for layer in self._layers]
        is_ours = state["table"].size in (0, sum(sizes))
        if state["weights"].shape != (self.num_layers,) or not is_ours:
            raise ValueError(
                f"The saved weights and table are for other layers than these {self.num_layers}."
            )
        measured = state["table"].size > 0
        self._table = np.split(state["table"], np.cumsum(sizes)[:-1]) if measured else []
        self._weights, self._best = np.array(state["weights"]), float(state["best"])
        self._tried, self._proposal = np.array(state["tried"]), None
