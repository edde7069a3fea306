"""Random search: the floor that every other agent has to beat.

Reference:
    Bergstra & Bengio, "Random Search for Hyper-Parameter Optimization", JMLR 13, 2012.
"""

from collections.abc import Mapping

import numpy as np

from rl_agents.base import VectorAgent, Walk


class RandomAgent(VectorAgent):
    """Draws every action independently and uniformly from [0, 1]; learns nothing."""

    def _propose(self, generator: np.random.Generator) -> np.ndarray:
        return generator.random(self.num_layers)

    def _learn(self, rollout: Walk, rewards: np.ndarray) -> None:
        """Nothing to learn: the base class counts the roll-out, which moves the seed on."""

    def _state(self) -> dict[str, np.ndarray]:
        return {}

    def _load(self, state: Mapping[str, np.ndarray]) -> None:
        """Nothing beyond what the base class restores."""
