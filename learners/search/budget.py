"""A budget for choices: what part of it candidates take, and the uniform candidate on it."""

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from learners.budget import KINDS, Budget, Hint, describe
from learners.quantity import QUANTITIES
from learners.search.choices import (
    CEILING,
    FLOOR,
    ChoiceLayer,
    CostModel,
    Load,
    polish,
    smallest,
    uniform,
    uniform_in_multiples,
    untouched,
)

MAX_CORRECTIONS = 6
ACCEPTED_SHARE = 0.6  # of the tolerance: what a correction stops at, so that the final figure holds


@runtime_checkable
class MeasuredCostModel(CostModel, Protocol):
    """Predicts costs that only the exported file has, and can be put right by measuring one."""

    def measure(self, values: np.ndarray) -> dict[str, float]:
        """Say what a candidate int [layers] really costs, all kinds."""

    def correct(self, values: np.ndarray) -> dict[str, float]:
        """Measure a candidate and shift the predictions so that they are right there."""


class ChoiceBudget:
    """A budget for the choices of a network's layers.

    Values that are multiples of a step can be worth more than their cost says (processors compute
    in steps). So where one uniform ratio within the tolerance of a counted budget gives more of
    them than the ratio right on it, that one is the uniform candidate, and its cost, which may be
    up to the tolerance above, is what all other candidates may take too.

    Args:
        quantity: what is chosen, a row of `learners.quantity.QUANTITIES`.
        layers: the layers and their choices.
        cost: the cost model; a `MeasuredCostModel` where the budget limits what is measured.
        budget: what may be kept.
        step: values that are multiples of it are preferred; 1 without preference.
        hint: what else can be done about a budget out of reach, see `Budget.check_reachable`.

    Attributes:
        quantity: as given.
        budget: as given.
        layers: as given.
        cost: as given.
        load: what part of the budget candidates take.

    Raises:
        InputError: the budget cannot be met; gives the reachable range.
    """

    def __init__(
        self,
        quantity: str,
        layers: Sequence[ChoiceLayer],
        cost: CostModel,
        budget: Budget,
        *,
        step: int = 1,
        hint: Hint = "",
    ) -> None:
        self.quantity = quantity
        self.budget = budget
        self.layers = tuple(layers)
        self.cost = cost
        self._step = step
        full = self.measured(untouched(self.layers))
        predicted = self.cost(smallest(self.layers)[None])
        least = {kind: float(amounts[0]) for kind, amounts in predicted.items()}
        budget.check_reachable(full, least, hint=hint)
        self.load = Load(self.cost, budget.targets(full))
        self._uniform = self._settle_uniform()
        used = self.load.of(self._uniform)
        if CEILING < used <= CEILING + self._tolerance and not self._is_measured:
            targets = {kind: target * used for kind, target in self.load.targets.items()}
            self.load = Load(self.cost, targets)

    def uniform(self) -> np.ndarray:
        """Give the uniform candidate: one ratio for all layers, on the budget as predicted."""
        return self._uniform

    def _settle_uniform(self) -> np.ndarray:
        """Find the uniform candidate, in multiples of the step where they are near."""
        values = polish(uniform(self.layers, self.load), self.layers, self.load)
        if self._step == 1 or self._is_measured:  # that is corrected, and has steps of its own
            return values
        found = uniform_in_multiples(self.layers, self.load, self._step, tolerance=self._tolerance)
        if found is None or self._num_multiples(found) <= self._num_multiples(values):
            return values
        return found

    def _num_multiples(self, values: np.ndarray) -> int:
        return int(np.sum(values % self._step == 0))

    def refined(self, values: np.ndarray, *, floor: float = FLOOR) -> np.ndarray:
        """Move a candidate until its exported file, measured, meets the budget.

        Args:
            values: the candidate, on the budget as predicted.
            floor: see `polish`.

        Returns:
            The candidate itself where the budget is counted or met; else the nearest of those that
            were measured on the way.
        """
        if not isinstance(self.cost, MeasuredCostModel):
            return values
        tried: dict[tuple[int, ...], float] = {}
        for _ in range(MAX_CORRECTIONS):
            load, tolerance = self._binding(self.cost.correct(values))
            tried[tuple(values)] = abs(load - CEILING) if floor or load > CEILING else 0.0
            if tried[tuple(values)] <= ACCEPTED_SHARE * tolerance:
                break
            # From a little below 1 on the polish would leave it as it is.
            moved = polish(values, self.layers, self.load, floor=floor)
            if tuple(moved) in tried:
                break
            values = moved
        return np.array(min(tried, key=lambda key: tried[key]))

    def remarks(self, values: np.ndarray, *, floor: float = FLOOR) -> list[str]:
        """Say how a candidate stands to the budget where it is out of tolerance."""
        cost = self.measured(values)
        load, tolerance = self._binding(cost)
        if abs(load - CEILING) <= tolerance or (not floor and load < CEILING):
            return []
        reached = ", ".join(
            f"{kind} {describe(kind, cost[kind])} of {describe(kind, target)}"
            for kind, target in self.load.targets.items()
        )
        return [
            f"budget {self.budget.text}: the nearest that whole numbers of "
            f"{QUANTITIES[self.quantity].unit} reach is {reached} ({100 * (load - 1):+.1f} %)."
        ]

    def measured(self, values: np.ndarray) -> dict[str, float]:
        """Say what a candidate costs: kinds that need its file measured, the others counted."""
        if isinstance(self.cost, MeasuredCostModel):
            return self.cost.measure(values)
        return {kind: float(amounts[0]) for kind, amounts in self.cost(values[None]).items()}

    def by_name(self, values: np.ndarray) -> dict[str, int]:
        """Give a candidate as layer name -> value."""
        return {layer.name: int(v) for layer, v in zip(self.layers, values, strict=True)}

    @property
    def _is_measured(self) -> bool:
        return isinstance(self.cost, MeasuredCostModel)

    @property
    def _tolerance(self) -> float:
        return min(KINDS[kind].tolerance for kind in self.budget.kinds)

    def _binding(self, cost: Mapping[str, float]) -> tuple[float, float]:
        """Load of a measured cost, and the tolerance of the kind that decides it."""
        loads = {kind: cost[kind] / target for kind, target in self.load.targets.items()}
        kind = max(loads, key=lambda name: loads[name])
        return loads[kind], KINDS[kind].tolerance
