"""Choices under a budget: one number per layer, what all of them together cost.

A layer's choices are ordered from the smallest to the untouched one; a vector of values, one per
layer, is a candidate. `Load` says what part of its budget a candidate takes, and the functions here
move candidates onto the budget. What the numbers mean (bits, weights kept, …) is not known here.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np

CEILING = 1.0  # the load that no result exceeds
FLOOR = 0.98  # the load that a result reaches, unless costs below the budget are welcome
MAX_PAIR_MOVES = 400_000  # above that many, moving two layers at once is not tried
_BISECTIONS = 40
_RATIOS_TRIED = 65  # between the two ends of the tolerance, when looking for round values


@dataclasses.dataclass(frozen=True)
class ChoiceLayer:
    """A layer and what can be chosen for it.

    Attributes:
        name: its name in settings and reports.
        choices: ascending; the last leaves the layer as it is.
        shape: of its weight tensor.
        num_params: in that tensor.
    """

    name: str
    choices: tuple[int, ...]
    shape: tuple[int, ...]
    num_params: int

    def action(self, value: float) -> float:
        """Say which action in [0, 1] stands for a value: 0 the untouched choice, 1 the smallest.

        Example:
            >>> ChoiceLayer("conv", (1, 2, 3, 4, 5), (3, 3, 5, 8), 360).action(2)
            0.75
        """
        first, last = self.choices[0], self.choices[-1]
        return (last - value) / (last - first) if last > first else 0.0

    def wish(self, action: float) -> float:
        """Give the value, between choices, that an action stands for."""
        first, last = self.choices[0], self.choices[-1]
        return last - action * (last - first)


class CostModel(Protocol):
    """What candidates cost."""

    def __call__(self, values: np.ndarray) -> Mapping[str, np.ndarray]:
        """Compute the cost of candidates [n, layers]: kind -> [n]."""


class Load:
    """What part of its budget a candidate takes: the largest cost / target of all kinds.

    Args:
        cost: the cost model.
        targets: kind -> amount that may be kept.
    """

    def __init__(self, cost: CostModel, targets: Mapping[str, float]) -> None:
        self.cost = cost
        self.targets = dict(targets)

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Compute the load of candidates int [n, layers]: float64 [n]; 1 = used up."""
        costs = self.cost(values)
        shares = [costs[kind] / target for kind, target in self.targets.items()]
        return np.max(shares, axis=0)

    def of(self, values: Sequence[int] | np.ndarray) -> float:
        """Compute the load of one candidate [layers]."""
        return float(self(np.asarray(values)[None])[0])


LoadFunction = Callable[[np.ndarray], np.ndarray]


def smallest(layers: Sequence[ChoiceLayer]) -> np.ndarray:
    """Give every layer its smallest choice."""
    return np.array([layer.choices[0] for layer in layers])


def untouched(layers: Sequence[ChoiceLayer]) -> np.ndarray:
    """Leave every layer as it is."""
    return np.array([layer.choices[-1] for layer in layers])


def uniform(layers: Sequence[ChoiceLayer], load: LoadFunction) -> np.ndarray:
    """Find the one ratio, the same for all layers, that uses the budget up.

    The ratio is bisected; of the two candidates on either side of the budget the layers are then
    moved one after another from the larger value to the smaller, and the best on that way is taken.

    Args:
        layers: the layers; a ratio r asks each for (1 - r) times its largest choice.
        load: candidates -> load; grows with every value.

    Returns:
        int [layers].

    Example:
        >>> layers = [ChoiceLayer(name, tuple(range(1, 11)), (), 0) for name in "abc"]
        >>> uniform(layers, lambda values: values.sum(axis=1) / 17)
        array([5, 6, 6])
    """
    low, high = _around(layers, load, CEILING)
    above, below = _at_ratio(layers, low), _at_ratio(layers, high)
    between = np.array(
        [np.where(np.arange(len(layers)) < n, below, above) for n in range(len(layers) + 1)]
    )
    gaps = np.abs(load(between) - CEILING)
    return between[int(np.argmin(gaps))]


def uniform_in_multiples(
    layers: Sequence[ChoiceLayer], load: LoadFunction, step: int, *, tolerance: float
) -> np.ndarray | None:
    """Find the one ratio near the budget that leaves most layers a multiple of a step.

    Args:
        layers: the layers.
        load: candidates -> load; grows with every value.
        step: what values should be multiples of.
        tolerance: the load may be this far from 1, on either side.

    Returns:
        int [layers]: of the candidates with most multiples, the nearest to the budget. None where
        no candidate inside has any.

    Example:
        >>> layers = [ChoiceLayer(name, tuple(range(1, 65)), (), 0) for name in "abc"]
        >>> load = lambda values: values.sum(axis=1) / 95
        >>> uniform(layers, load), uniform_in_multiples(layers, load, 8, tolerance=0.02)
        (array([31, 32, 32]), array([32, 32, 32]))
    """
    least = _around(layers, load, CEILING + tolerance)[1]
    most = _around(layers, load, CEILING - tolerance)[0]
    ratios = np.linspace(least, max(least, most), _RATIOS_TRIED)
    candidates = np.unique([_at_ratio(layers, ratio) for ratio in ratios], axis=0)
    gaps = np.abs(load(candidates) - CEILING)
    multiples = np.sum(candidates % step == 0, axis=1)
    multiples[gaps > tolerance] = 0
    best = int(np.lexsort((gaps, -multiples))[0])
    return candidates[best] if multiples[best] else None


def _at_ratio(layers: Sequence[ChoiceLayer], ratio: float) -> np.ndarray:
    wishes = (1.0 - ratio) * untouched(layers)
    return np.array([_nearest(la.choices, w) for la, w in zip(layers, wishes, strict=True)])


def _around(
    layers: Sequence[ChoiceLayer], load: LoadFunction, wanted: float
) -> tuple[float, float]:
    """Bisect the uniform ratio: one with a load above the wanted, one with a load at most that."""
    low, high = 0.0, 1.0
    for _ in range(_BISECTIONS):
        ratio = (low + high) / 2.0
        if load(_at_ratio(layers, ratio)[None])[0] > wanted:
            low = ratio
        else:
            high = ratio
    return low, high


def _nearest(choices: Sequence[int], wish: float) -> int:
    return choices[int(np.argmin(np.abs(np.asarray(choices) - wish)))]


def polish(
    values: np.ndarray, layers: Sequence[ChoiceLayer], load: LoadFunction, *, floor: float = FLOOR
) -> np.ndarray:
    """Move a candidate to a load in [floor, 1], changing as little as possible.

    Single layers are moved, the smallest change first; where no single move lands inside, the one
    that comes nearest is made and the next is looked for; in the end two layers are moved at once.

    Args:
        values: the candidate, int [layers].
        layers: the layers.
        load: candidates -> load.
        floor: the least load wanted; 0 where any candidate below the budget is welcome.

    Returns:
        int [layers]: inside, or the nearest that was found where the choices are too coarse.
    """
    values = np.asarray(values)
    now = float(load(values[None])[0])
    while _gap(now, floor) > 0.0:
        moves = _single_moves(values, layers)
        values, found = _better(values, now, moves, load, floor)
        if found == now:
            break
        now = found
    if _gap(now, floor) > 0.0:
        moves = _pair_moves(values, layers)
        values, _ = _better(values, now, moves, load, floor)
    return values


def _gap(load: float, floor: float) -> float:
    """How far a load is from [floor, 1]."""
    return max(load - CEILING, floor - load, 0.0)


def _better(
    values: np.ndarray, now: float, moves: np.ndarray, load: LoadFunction, floor: float
) -> tuple[np.ndarray, float]:
    """Take the smallest move that lands inside, else the nearest, if it is nearer than now."""
    if not len(moves):
        return values, now
    loads = load(moves)
    gaps = np.maximum(np.maximum(loads - CEILING, floor - loads), 0.0)
    inside = np.flatnonzero(gaps <= 0.0)
    if inside.size:
        change = np.abs(moves[inside] - values).sum(axis=1)
        best = inside[np.lexsort((-loads[inside], change))[0]]
    else:
        best = int(np.argmin(gaps))
        if gaps[best] >= _gap(now, floor):
            return values, now
    return moves[best], float(loads[best])


def _single_moves(values: np.ndarray, layers: Sequence[ChoiceLayer]) -> np.ndarray:
    moves = []
    for index, layer in enumerate(layers):
        others = np.array([choice for choice in layer.choices if choice != values[index]], int)
        rows = np.repeat(values[None], others.size, axis=0)
        rows[:, index] = others
        moves.append(rows)
    return np.concatenate(moves)


def _pair_moves(values: np.ndarray, layers: Sequence[ChoiceLayer]) -> np.ndarray:
    if sum(len(layer.choices) for layer in layers) ** 2 > MAX_PAIR_MOVES:
        return np.empty((0, len(layers)), int)
    return np.concatenate([_single_moves(row, layers) for row in _single_moves(values, layers)])
