"""Small problems with known answers, on which the agents are proven (tests and `make bench`)."""

from typing import Protocol

import numpy as np

from rl_agents.base import Agent, Environment


class Problem(Environment, Protocol):
    """An environment that can score what was just played."""

    def score(self, actions: np.ndarray) -> float | np.ndarray:
        """Reward of the last roll-out: one number, or one per step."""


def play(agent: Agent, problem: Problem, num_rollouts: int) -> np.ndarray:
    """Let an agent work on a problem.

    Args:
        agent: asked and told `num_rollouts` times.
        problem: its environment and judge.
        num_rollouts: how many roll-outs.

    Returns:
        Each roll-out's return (the sum of its rewards), float64 [num_rollouts].
    """
    returns = np.empty(num_rollouts)
    for index in range(num_rollouts):
        actions = agent.ask(problem)
        rewards = problem.score(actions)
        agent.tell(actions, rewards)
        returns[index] = np.sum(rewards)
    return returns


class SharedBudget:
    """Which ratio for which layer: cheap to score, optimum known in closed form.

    Layer t costs c_t and is hurt by a ratio a_t by w_t a_t^2; at least half of the cost has to go:

        maximise 1 - sum w_t a_t^2   subject to   sum c_t a_t >= 1/2,  0 <= a_t <= 1

    The environment clips actions so that this stays reachable, as a search's does. The state holds
    the layer's one-hot index, its cost, the cost removed so far and what can still be removed.

    Args:
        num_layers: layers.
        seed: draws costs (uniform, factor 5) and sensitivities (log-normal); both sum to 1.
    """

    NEEDED = 0.5

    def __init__(self, num_layers: int = 12, seed: int = 0) -> None:
        generator = np.random.default_rng(seed)
        self.num_layers = num_layers
        self.state_dim = num_layers + 3
        costs = generator.uniform(0.2, 1.0, num_layers)
        harms = np.exp(generator.normal(size=num_layers))
        self.costs, self.harms = costs / costs.sum(), harms / harms.sum()
        self._layer, self._removed = 0, 0.0

    def _state(self) -> np.ndarray:
        one_hot = np.arange(self.num_layers) == self._layer
        remaining = self.costs[self._layer :]
        cost = remaining[0] if remaining.size else 0.0
        return np.concatenate([one_hot, [cost, self._removed, remaining.sum()]])

    def reset(self) -> np.ndarray:
        """Start at the first layer with nothing removed."""
        self._layer, self._removed = 0, 0.0
        return self._state()

    def step(self, action: float) -> tuple[np.ndarray, float, bool]:
        """Remove a share of this layer's cost, more where the rest could not make up for it."""
        later = float(self.costs[self._layer + 1 :].sum())
        least = (self.NEEDED - self._removed - later) / self.costs[self._layer]
        applied = float(np.clip(max(action, least), 0.0, 1.0))
        self._removed += self.costs[self._layer] * applied
        self._layer += 1
        return self._state(), applied, self._layer == self.num_layers

    def score(self, actions: np.ndarray) -> float:
        """The objective, 1 at best when nothing had to go."""
        return float(1.0 - self.harms @ np.square(actions))

    def uniform(self) -> np.ndarray:
        """The same ratio for every layer."""
        return np.full(self.num_layers, self.NEEDED)

    def optimum(self) -> np.ndarray:
        """The best ratios: a_t = min(1, m c_t / w_t), the multiplier m found by bisection."""
        low, high = 0.0, float((self.harms / self.costs).max())
        for _ in range(100):
            middle = (low + high) / 2.0
            removed = self.costs @ np.minimum(1.0, middle * self.costs / self.harms)
            low, high = (middle, high) if removed < self.NEEDED else (low, middle)
        return np.minimum(1.0, high * self.costs / self.harms)

    def gain(self, score: float) -> float:
        """Share of the possible gain over uniform that a score reaches: 0 uniform, 1 optimum."""
        uniform, best = self.score(self.uniform()), self.score(self.optimum())
        return (score - uniform) / (best - uniform)


class MoveToTarget:
    """A point on a line walks to a target: 0 is one unit left, 1 one unit right, 0.5 stays.

    Start and target are drawn from [-5, 5] for each roll-out. The reward of a step is minus the
    distance left after it.

    Args:
        num_layers: steps.
        seed: draws starts and targets.
    """

    state_dim = 2

    def __init__(self, num_layers: int = 20, seed: int = 0) -> None:
        self.num_layers = num_layers
        self._generator = np.random.default_rng(seed)
        self._position, self._target, self._start = 0.0, 0.0, 0.0
        self._rewards: list[float] = []

    def reset(self) -> np.ndarray:
        """Draw start and target."""
        self._start, self._target = self._generator.uniform(-5.0, 5.0, 2)
        self._position, self._rewards = self._start, []
        return np.array([self._position, self._target])

    def step(self, action: float) -> tuple[np.ndarray, float, bool]:
        """Walk."""
        self._position += 2.0 * action - 1.0
        self._rewards.append(-abs(self._position - self._target))
        return np.array([self._position, self._target]), action, False

    def score(self, actions: np.ndarray) -> np.ndarray:
        """Rewards of the last roll-out, less what nobody could avoid: 0 at best in every step."""
        steps = np.arange(1, self.num_layers + 1)
        unavoidable = np.maximum(0.0, abs(self._start - self._target) - steps)
        return np.array(self._rewards) + unavoidable


class Pendulum:
    """Gymnasium's Pendulum-v1, swung up and held; action 0 is full torque left, 1 full right.

    Args:
        seed: of the starting positions.
    """

    num_layers = 200
    state_dim = 3

    def __init__(self, seed: int = 0) -> None:
        import gymnasium  # a development dependency

        self._env = gymnasium.make("Pendulum-v1")
        self._seeds = np.random.default_rng(seed)
        self._rewards: list[float] = []

    def reset(self) -> np.ndarray:
        """Hang it somewhere."""
        self._rewards = []
        return self._env.reset(seed=int(self._seeds.integers(2**31)))[0]

    def step(self, action: float) -> tuple[np.ndarray, float, bool]:
        """Apply a torque for one twentieth of a second."""
        torque = np.array([4.0 * action - 2.0], np.float32)
        state, reward, _, _, _ = self._env.step(torque)
        self._rewards.append(float(reward))
        # The episode is cut after 200 steps, not over: values are bootstrapped across its end.
        return state, action, False

    def score(self, actions: np.ndarray) -> np.ndarray:
        """Gymnasium's rewards of the last roll-out, one per step."""
        return np.array(self._rewards)
