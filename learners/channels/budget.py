"""Channel counts as choices, and the budget that they have to meet."""

import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from learners.budget import TOLERANCES, Budget, describe
from learners.channels.cost import STORED, NetworkCost
from learners.channels.latency_table import LatencyTable
from learners.channels.measured import (
    FileMeter,
    MeasuredCost,
    Measurements,
    Predictor,
    measured_kinds,
)
from learners.search.choices import (
    CEILING,
    FLOOR,
    ChoiceLayer,
    Load,
    largest,
    polish,
    smallest,
    uniform,
    uniform_in_multiples,
)
from utils.graph import ChannelGroup, Graph

CALIBRATION_RATIOS = (0.0, 0.35, 0.7)  # uniform networks that predictions are fitted to
MAX_CORRECTIONS = 6
VECTOR_WIDTH = 8  # channels; kernels of CPUs and phones compute whole multiples of it
ACCEPTED_SHARE = 0.6  # of the tolerance: what a correction stops at, so that the final figure holds


def count_choices(size: int, step: int) -> tuple[int, ...]:
    """List the counts that a group may keep.

    Args:
        size: its channels.
        step: counts are multiples of this, and the size itself; a group no larger than `step`
            may keep any number.

    Returns:
        Ascending, the last is `size`.

    Example:
        >>> count_choices(20, 8), count_choices(3, 8)
        ((8, 16, 20), (1, 2, 3))
    """
    step = step if size > step else 1
    return (*range(step, size, step), size)


def latency_choices(size: int, step: int) -> tuple[int, ...]:
    """List the counts worth a measurement of time: multiples of `step`, at least four of them.

    Half a step is among them, so that a layer can be made small.

    Example:
        >>> latency_choices(64, 16), latency_choices(16, 16), latency_choices(2, 16)
        ((8, 16, 32, 48, 64), (2, 4, 8, 12, 16), (1, 2))
    """
    step = max(1, min(step, size // 4))
    return tuple(sorted({max(step // 2, 1), *range(step, size, step), size}))


def channel_layers(
    graph: Graph, groups: Sequence[ChannelGroup], choices: Sequence[tuple[int, ...]]
) -> list[ChoiceLayer]:
    """Describe groups as layers with choices; shape and parameters are those of their readers.

    Args:
        graph: the network.
        groups: the groups.
        choices: of each.

    Returns:
        One layer per group, in order.
    """
    layers = []
    for group, counts in zip(groups, choices, strict=True):
        kernels = [
            max(graph.params[graph.node(reader.node).layer].values(), key=lambda array: array.size)
            for reader in group.readers
        ]
        shape = kernels[0].shape if kernels else ()
        layers.append(
            ChoiceLayer(group.name, counts, shape, sum(kernel.size for kernel in kernels))
        )
    return layers


class ChannelBudget:
    """A budget for the channel counts of a network.

    Counts that are multiples of `VECTOR_WIDTH` run faster for their size: 32 channels take less
    time than 31. So where one uniform ratio within the tolerance of a counted budget (flops,
    params) gives more of them than the ratio right on it, that one is the uniform candidate, and
    its cost, which may be up to the tolerance above, is what all other candidates may take too.

    Args:
        graph: the whole network.
        groups: the groups (or segments) that are pruned.
        budget: what may be kept.
        round_to: counts are multiples of this.
        latency_step: with a latency budget, they are multiples of this where `round_to` is 1.
        measurements_path: keeps what was measured for a resumed run; None in memory.

    Attributes:
        layers: the groups as layers with choices.
        load: what part of the budget candidates take.

    Raises:
        InputError: the budget cannot be met; gives the reachable range.
    """

    def __init__(
        self,
        graph: Graph,
        groups: Sequence[ChannelGroup],
        budget: Budget,
        *,
        round_to: int = 1,
        latency_step: int = 16,
        measurements_path: pathlib.Path | None = None,
    ) -> None:
        timed = "latency" in budget.kinds and round_to == 1
        choices = [
            latency_choices(group.size, latency_step)
            if timed
            else count_choices(group.size, round_to)
            for group in groups
        ]
        self.layers = channel_layers(graph, groups, choices)
        self._budget = budget
        self._counted = NetworkCost(graph, groups)
        self.cost = self._cost_model(measurements_path)
        full = self.measured(largest(self.layers))
        predicted = self.cost(smallest(self.layers)[None])
        least = {kind: float(amounts[0]) for kind, amounts in predicted.items()}
        budget.check_reachable(full, least)
        self.load = Load(self.cost, budget.targets(full))
        self._uniform = self._settle_uniform()
        used = self.load.of(self._uniform)
        if CEILING < used <= CEILING + self._tolerance and not isinstance(self.cost, MeasuredCost):
            targets = {kind: target * used for kind, target in self.load.targets.items()}
            self.load = Load(self.cost, targets)

    def uniform(self) -> np.ndarray:
        """Give the uniform candidate: one ratio for all groups, on the budget as predicted."""
        return self._uniform

    def _settle_uniform(self) -> np.ndarray:
        """Find the uniform candidate, in multiples of the vector width where they are near."""
        values = polish(uniform(self.layers, self.load), self.layers, self.load)
        if isinstance(self.cost, MeasuredCost):  # they have steps of their own, and are corrected
            return values
        found = uniform_in_multiples(
            self.layers, self.load, VECTOR_WIDTH, tolerance=self._tolerance
        )
        if found is None or np.sum(found % VECTOR_WIDTH == 0) <= np.sum(values % VECTOR_WIDTH == 0):
            return values
        return found

    def refined(self, values: np.ndarray, *, floor: float = FLOOR) -> np.ndarray:
        """Move a candidate until its exported file, measured, meets the budget.

        Args:
            values: the candidate, on the budget as predicted.
            floor: see `polish`.

        Returns:
            The candidate itself where the budget is counted or met; else the nearest of those that
            were measured on the way.
        """
        if not isinstance(self.cost, MeasuredCost):
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
            f"budget {self._budget.text}: the nearest that whole numbers of channels reach is "
            f"{reached} ({100 * (load - 1):+.1f} %)."
        ]

    def measured(self, values: np.ndarray) -> dict[str, float]:
        """Say what a candidate costs: kinds that need its file measured, the others counted."""
        if isinstance(self.cost, MeasuredCost):
            return self.cost.measure(values)
        return {kind: float(amounts[0]) for kind, amounts in self.cost(values[None]).items()}

    @property
    def _tolerance(self) -> float:
        return min(TOLERANCES[kind] for kind in self._budget.kinds)

    def counts(self, values: np.ndarray) -> dict[str, int]:
        """Give a candidate as group name -> channels kept."""
        return {layer.name: int(v) for layer, v in zip(self.layers, values, strict=True)}

    def _binding(self, cost: Mapping[str, float]) -> tuple[float, float]:
        """Load of a measured cost, and the tolerance of the kind that decides it."""
        loads = {kind: cost[kind] / target for kind, target in self.load.targets.items()}
        kind = max(loads, key=lambda name: loads[name])
        return loads[kind], TOLERANCES[kind]

    def _cost_model(self, path: pathlib.Path | None) -> "_Counted | MeasuredCost":
        kinds = measured_kinds(self._budget.kinds)
        if not kinds:
            return _Counted(self._counted)
        measurements = Measurements(path)
        full = largest(self.layers)
        predictors: dict[str, Predictor] = {"bytes": lambda values: self._counted(values)[STORED]}
        if "latency" in kinds:
            predictors["latency"] = LatencyTable(self._counted, self.layers, measurements)
        candidates = np.array(
            [
                [_nearest(layer.choices, (1 - ratio) * layer.choices[-1]) for layer in self.layers]
                for ratio in CALIBRATION_RATIOS
            ]
        )
        return MeasuredCost(
            self._counted,
            kinds,
            FileMeter(self._counted, full, measurements),
            predictors=predictors,
            candidates=candidates,
        )


class _Counted:
    """The counted kinds that budgets know."""

    def __init__(self, counted: NetworkCost) -> None:
        self._counted = counted

    def __call__(self, values: np.ndarray) -> dict[str, np.ndarray]:
        costs = self._counted(values)
        return {kind: amounts for kind, amounts in costs.items() if kind != STORED}


def _nearest(choices: Sequence[int], wish: float) -> int:
    return min(choices, key=lambda choice: abs(choice - wish))
