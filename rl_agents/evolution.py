"""Evolution: keep the best, mutate them.

A steady-state (mu + 1) strategy over vectors in [0, 1]: after a random first generation each
roll-out mutates the winner of a small tournament (sometimes after crossing it with another), and
takes the place of the worst member if it is better. Roll-outs are scored without noise, so members
do not age; Real et al. remove the oldest instead, because their rewards are noisy.

References:
    Real et al., "Regularized Evolution for Image Classifier Architecture Search", 2019,
    arXiv:1802.01548 (tournament, one child at a time).
    Beyer & Schwefel, "Evolution Strategies: A Comprehensive Introduction", Natural Computing
    1, 2002.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from rl_agents.base import VectorAgent, Walk

TOURNAMENT_SHARE = 0.25  # of the population
CROSSOVER_RATE = 0.3
MUTATED_LAYERS = 3.0  # expected number per child
STEP_START, STEP_END = 0.25, 0.03  # standard deviation of a mutation, over the search


class EvolutionAgent(VectorAgent):
    """A (mu + 1) evolution strategy with tournament, crossover and shrinking mutations.

    The population has a tenth of the planned roll-outs, at least 6 and at most 50 members.
    Arguments: see `Agent`.
    """

    def __init__(self, num_layers: int, state_dim: int, **options: Any) -> None:
        super().__init__(num_layers, state_dim, **options)
        self.population_size = min(max(self.num_rollouts // 10, 6), 50)
        self._members = np.empty((0, num_layers))
        self._scores = np.empty(0)

    def _propose(self, generator: np.random.Generator) -> np.ndarray:
        if len(self._members) < self.population_size:
            return generator.random(self.num_layers)
        child = self._members[self._tournament(generator)].copy()
        if generator.random() < CROSSOVER_RATE:
            other = self._members[self._tournament(generator)]
            child = np.where(generator.random(self.num_layers) < 0.5, child, other)
        progress = min(1.0, self.num_told / self.num_rollouts)
        return mutated(child, STEP_START * (STEP_END / STEP_START) ** progress, generator)

    def _tournament(self, generator: np.random.Generator) -> int:
        size = max(2, round(TOURNAMENT_SHARE * len(self._members)))
        entrants = generator.choice(len(self._members), size=size, replace=False)
        return int(entrants[np.argmax(self._scores[entrants])])

    def _learn(self, rollout: Walk, rewards: np.ndarray) -> None:
        self._members = np.vstack([self._members, rollout.actions])
        self._scores = np.append(self._scores, rewards.mean())
        if len(self._scores) > self.population_size:
            worst = int(np.argmin(self._scores))
            self._members = np.delete(self._members, worst, axis=0)
            self._scores = np.delete(self._scores, worst)

    def _state(self) -> dict[str, np.ndarray]:
        return {"members": self._members.copy(), "scores": self._scores.copy()}

    def _load(self, state: Mapping[str, np.ndarray]) -> None:
        if state["members"].shape[1:] != (self.num_layers,):
            raise ValueError(
                f"The saved population is for {state['members'].shape[1:]} layers, this agent for "
                f"{self.num_layers}."
            )
        self._members = np.array(state["members"])
        self._scores = np.array(state["scores"])


def mutated(vector: np.ndarray, step: float, generator: np.random.Generator) -> np.ndarray:
    """Move a few entries of a vector by normal steps, reflected at 0 and 1.

    Args:
        vector: [num_layers] in [0, 1].
        step: standard deviation of a move.
        generator: source of the moves; about `MUTATED_LAYERS` entries move, always at least one.

    Returns:
        A new vector [num_layers] in [0, 1].
    """
    chosen = generator.random(vector.size) < MUTATED_LAYERS / vector.size
    chosen[generator.integers(vector.size)] = True
    moved = vector + step * generator.standard_normal(vector.size)
    # Reflection keeps small steps small at the border, where clipping would glue entries to it.
    return np.where(chosen, np.abs((moved + 1.0) % 2.0 - 1.0), vector)
