"""Greedy allocation by sensitivity, verified: the agent `greedy`.

Each layer's *harm* is measured: how the loss changes when this layer takes other choices, the other
layers being as in the uniform candidate, near which the result will be. An allocation takes all
layers from their largest choices and makes, again and again, the step that frees most of the budget
for the least harm, until the budget is met. Harms add up only roughly, so they are weighted, and
the weights are searched: roll-out by roll-out those of the best allocation so far are disturbed,
and what scores better is kept.

References:
    Greedy allocation by marginal return: Fox, "Discrete Optimization via Marginal Analysis",
    Management Science 13, 1966.
    (1+1) evolution strategy on the logarithms of the weights: Beyer & Schwefel, "Evolution
    Strategies: A Comprehensive Introduction", Natural Computing 1, 2002.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from learners.search.choices import CEILING, ChoiceLayer, LoadFunction, untouched
from learners.search.harms import measured_harms
from learners.search.problem import Problem
from rl_agents.base import VectorAgent, Walk

STEP_START, STEP_END = 0.4, 0.1  # standard deviation of the logarithm of a weight, over the search
MOVED_LAYERS = 3.0  # expected number of weights that a roll-out disturbs
STEP_GROWTH = 1.3  # of the step, where it led to an allocation that was tried before …
MAX_DRAWS = 20  # … at most so often
_LEAST_HARM = 1e-6  # of the largest: a step is never free of harm, so that ties go by the cost


def allocate(
    harms: Sequence[np.ndarray], layers: Sequence[ChoiceLayer], load: LoadFunction
) -> np.ndarray:
    """Meet a budget with as little harm as marginal analysis finds.

    Args:
        harms: per layer the harm of each choice, falling; 0 for the largest.
        layers: the layers.
        load: candidates int [n, layers] -> load [n].

    Returns:
        int [layers]: a candidate of load <= 1, or the smallest one where none is.

    Example:
        >>> layers = [ChoiceLayer(name, (1, 2, 3), (), 0) for name in "ab"]
        >>> harms = [np.array([9.0, 1.0, 0.0]), np.array([2.0, 1.0, 0.0])]
        >>> allocate(harms, layers, lambda values: values.sum(axis=1) / 3)
        array([2, 1])
    """
    at = np.array([len(layer.choices) - 1 for layer in layers])
    values = untouched(layers)
    now = float(load(values[None])[0])
    while now > CEILING:
        steps = [
            (index, lower) for index in range(len(layers)) for lower in _steps_down(int(at[index]))
        ]
        if not steps:
            break
        candidates = np.repeat(values[None], len(steps), axis=0)
        for row, (index, lower) in zip(candidates, steps, strict=True):
            row[index] = layers[index].choices[lower]
        loads = load(candidates)
        # What is freed beyond the budget is worth nothing.
        freed = now - np.maximum(loads, CEILING)
        rises = np.array([harms[index][lower] - harms[index][at[index]] for index, lower in steps])
        best = int(np.argmax(freed / np.maximum(rises, np.finfo(float).tiny)))
        index, lower = steps[best]
        at[index], values, now = lower, candidates[best], float(loads[best])
    return values


def _steps_down(at: int) -> list[int]:
    """Look 1, 2, 4, … choices down, and at the smallest: harm need not rise evenly."""
    jumps = [at - 2**power for power in range(at.bit_length()) if at - 2**power > 0]
    return [*jumps, 0] if at > 0 else []


class GreedyAgent(VectorAgent):
    """Greedy allocation with searched weights; see the module.

    Args:
        num_layers: see `Agent`.
        state_dim: see `Agent`.
        problem: its harms are measured once, at the first proposal.
        around: the candidate around which they are measured, int [layers].
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
        self._harms: list[np.ndarray] = []
        self._weights = np.zeros(num_layers)  # their logarithms, of the best allocation
        self._best = -np.inf
        self._tried = np.empty((0, num_layers), int)
        # Roll-out, weights, values.
        self._proposal: tuple[int, np.ndarray, np.ndarray] | None = None

    def _propose(self, generator: np.random.Generator) -> np.ndarray:
        if self._proposal is None or self._proposal[0] != self.num_told:
            self._proposal = (self.num_told, *self._new_allocation(generator))
        pairs = zip(self._layers, self._proposal[2], strict=True)
        return np.array([layer.action(float(value)) for layer, value in pairs])

    def _new_allocation(self, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Disturb the best weights until the allocation is a new one; the first is as measured."""
        weights = self._weights
        values = self._allocated(weights)
        progress = min(1.0, self.num_told / self.num_rollouts)
        step = STEP_START * (STEP_END / STEP_START) ** progress
        for _ in range(MAX_DRAWS):
            if not (self._tried == values).all(axis=1).any():
                break
            chosen = generator.random(self.num_layers) < MOVED_LAYERS / self.num_layers
            weights = self._weights + chosen * step * generator.standard_normal(self.num_layers)
            values = self._allocated(weights)
            step *= STEP_GROWTH
        return weights, values

    def _allocated(self, weights: np.ndarray) -> np.ndarray:
        pairs = zip(self._harm_curves(), np.exp(weights), strict=True)
        return allocate([harm * weight for harm, weight in pairs], self._layers, self._problem.load)

    def _harm_curves(self) -> list[np.ndarray]:
        if not self._harms:
            curves = measured_harms(self._problem, self._around)
            least = _LEAST_HARM * max(max(curve.max() for curve in curves), _LEAST_HARM)
            self._harms = [curve + least * np.linspace(1.0, 0.0, curve.size) for curve in curves]
        return self._harms

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
            "harms": np.concatenate(self._harms) if self._harms else np.empty(0),
            "weights": self._weights.copy(),
            "best": np.array(self._best),
            "tried": self._tried.copy(),
        }

    def _load(self, state: Mapping[str, np.ndarray]) -> None:
        sizes = [len(layer.choices) for layer in self._layers]
        if state["weights"].shape != (self.num_layers,) or state["harms"].size not in (
            0,
            sum(sizes),
        ):
            raise ValueError(
                f"The saved weights and harms are for other layers than these {self.num_layers}."
            )
        measured = state["harms"].size > 0
        self._harms = np.split(state["harms"], np.cumsum(sizes)[:-1]) if measured else []
        self._weights, self._best = np.array(state["weights"]), float(state["best"])
        self._tried, self._proposal = np.array(state["tried"]), None
