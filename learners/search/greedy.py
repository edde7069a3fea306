"""Greedy allocation by sensitivity, verified: the agent `greedy`.

Each layer's *harm* is measured: how the loss changes when this layer takes other choices, the other
layers being as in the uniform candidate, near which the result will be. An allocation takes all
layers from their largest choices and makes, again and again, the step that frees most of the budget
for the least harm, until the budget is met. The harms' weights are searched (`weights.py`).

Reference:
    Greedy allocation by marginal return: Fox, "Discrete Optimization via Marginal Analysis",
    Management Science 13, 1966.
"""

from collections.abc import Sequence

import numpy as np

from learners.search.choices import CEILING, ChoiceLayer, LoadFunction, untouched
from learners.search.harms import measured_harms
from learners.search.weights import TableAgent


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


class GreedyAgent(TableAgent):
    """Greedy allocation by measured harms, with searched weights; arguments: see `TableAgent`."""

    def make_table(self) -> list[np.ndarray]:
        """Measure the harms near the candidate that is tried first, near which the result is."""
        return measured_harms(self._problem, self._around)

    def answer(self, table: Sequence[np.ndarray]) -> np.ndarray:
        """Allocate by marginal analysis."""
        return allocate(table, self._layers, self._problem.load)
