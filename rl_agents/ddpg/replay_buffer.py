"""The replay buffer: a ring of the latest transitions."""

from collections.abc import Mapping

import numpy as np


class ReplayBuffer:
    """Ring buffer of transitions (state, action, reward, terminal, next state), all float32.

    Args:
        capacity: transitions kept; the oldest go first.
        state_dim: length of a state vector.
    """

    def __init__(self, capacity: int, state_dim: int) -> None:
        self.capacity = capacity
        self.size = 0
        self._next = 0
        self._fields = {
            "states": np.zeros((capacity, state_dim), np.float32),
            "actions": np.zeros((capacity,), np.float32),
            "rewards": np.zeros((capacity,), np.float32),
            "terminals": np.zeros((capacity,), np.float32),
            "next_states": np.zeros((capacity, state_dim), np.float32),
        }

    def append(self, transitions: Mapping[str, np.ndarray]) -> None:
        """Add transitions, oldest first.

        Args:
            transitions: `states` and `next_states` [n, state_dim], `actions`, `rewards`,
                `terminals` [n]; n at most `capacity`.
        """
        count = len(transitions["actions"])
        slots = (self._next + np.arange(count)) % self.capacity
        for name, field in self._fields.items():
            field[slots] = transitions[name]
        self._next = int((self._next + count) % self.capacity)
        self.size = min(self.size + count, self.capacity)

    def sample(self, count: int, generator: np.random.Generator) -> dict[str, np.ndarray]:
        """Draw transitions uniformly, with replacement.

        Args:
            count: how many.
            generator: source of the draw.

        Returns:
            The fields named as in `append`, each of length `count`.
        """
        chosen = generator.integers(self.size, size=count)
        return {name: field[chosen] for name, field in self._fields.items()}

    def state_dict(self) -> dict[str, np.ndarray]:
        """The filled part of the ring and the place where it goes on."""
        filled = {name: field[: self.size].copy() for name, field in self._fields.items()}
        return {**filled, "next": np.array(self._next)}

    def load_state_dict(self, state: Mapping[str, np.ndarray]) -> None:
        """Restore what `state_dict` gave.

        Raises:
            ValueError: more transitions than `capacity`, or states of another length.
        """
        count = len(state["actions"])
        for name, field in self._fields.items():
            if count > self.capacity or state[name].shape != (count, *field.shape[1:]):
                raise ValueError(
                    f"The saved replay buffer does not fit: {name} must be at most "
                    f"{field.shape}. Received: {state[name].shape}."
                )
            field[:count] = state[name]
        self.size, self._next = count, int(state["next"])
