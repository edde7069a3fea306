"""Channel counts as a search problem: choices, cost, score, reward, and the agents for it."""

import functools
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from learners.channels.budget import ChannelBudget
from learners.search.choices import FLOOR
from learners.search.config import SearchConfig
from learners.search.environment import BudgetEnvironment
from learners.search.greedy import GreedyAgent, harm_curve
from learners.search.rewards import Score, reward
from rl_agents import create_agent
from rl_agents.base import Agent
from utils.command import notes

HARM_POINTS = 6  # counts at which the harm of cutting a layer alone is measured …
MAX_HARM_SCORES = 120  # … fewer in networks of many layers
Scorer = Callable[[Mapping[str, int]], Score]


class ChannelProblem:
    """Implements `driver.Problem`.

    Args:
        budget: layers, choices and cost.
        make_scorer: makes the function from counts to a score; called at the first score, because
            its tables take a while and a finished search needs none.
        config: the reward.

    Attributes:
        layers: see `Problem`.
        load: see `Problem`.
        floor: see `Problem`; 0 for multi-obj, where the agent may stay below the budget.
    """

    def __init__(
        self, budget: ChannelBudget, make_scorer: Callable[[], Scorer], config: SearchConfig
    ) -> None:
        self.layers = budget.layers
        self.load = budget.load
        self.floor = least_load(config)
        self._budget = budget
        self._make_scorer = make_scorer
        self._scorer: Scorer | None = None
        self._config = config

    def score(self, values: np.ndarray) -> Score:
        """Score a candidate on the held-out images."""
        if self._scorer is None:
            self._scorer = self._make_scorer()
        return self._scorer(self._budget.counts(values))

    def reward(self, score: Score, values: np.ndarray) -> float:
        """Give the reward, as the flags say."""
        return reward(
            score,
            float(self.load.cost(values[None])["flops"][0]),
            policy=self._config.reward_policy,
            noise_tolerance=self._config.noise_tolerance,
        )

    @property
    def harm_points(self) -> int:
        """How many choices of each layer `harms` scores, at most."""
        return int(np.clip(MAX_HARM_SCORES // len(self.layers), 2, HARM_POINTS))

    def harms(self, around: np.ndarray) -> list[np.ndarray]:
        """Measure how a candidate's loss changes with each layer's choice.

        Args:
            around: the candidate, int [layers].

        Returns:
            Per layer the loss less that of the largest choice, float64 [choices].
        """
        notes.print(f"measuring how much each of {len(self.layers)} layers is missed")

        def loss(index: int, value: int) -> float:
            values = around.copy()
            values[index] = value
            try:
                return self.score(values).loss
            except Exception:  # as in a roll-out: one failure is not the end
                return math.nan

        return [
            harm_curve(layer, functools.partial(loss, index), self.harm_points)
            for index, layer in enumerate(self.layers)
        ]

    def agent(
        self, name: str, env: BudgetEnvironment, *, initial: np.ndarray, **options: Any
    ) -> Agent:
        """Make an agent.

        Args:
            name: as in `--agent`.
            env: what it will step through.
            initial: the candidate that is tried first.
            **options: `seed`, `num_rollouts`, `config`, see `rl_agents.base.Agent`.

        Returns:
            The agent, before its first roll-out.
        """
        options["initial"] = [env.actions(initial)]
        if name != "greedy":
            return create_agent(name, env.num_layers, env.state_dim, **options)
        return GreedyAgent(
            env.num_layers,
            env.state_dim,
            layers=self.layers,
            load=self.load,
            measure_harms=functools.partial(self.harms, initial),
            **options,
        )


def least_load(config: SearchConfig) -> float:
    """Say how much of the budget a result has to use: nothing in multi-obj, nearly all else."""
    return 0.0 if config.reward_type == "multi-obj" else FLOOR
