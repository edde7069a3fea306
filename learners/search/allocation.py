"""The answer of an additive table of errors where costs need not be additive.

Costs that add up over layers (bits, weights, multiply-adds of layers that share no other's) make
a knapsack, which `knapsack.py` solves exactly. But the multiply-adds of a layer between two that
are both chosen for are a product, latencies are interpolated, and a budget may limit several kinds.
For those the shares of the budget are linearised around a candidate, the knapsack is solved, and
again around what came of it; a kind that is exceeded counts more in the sum of shares. Every answer
is moved onto the true budget, and the best one improved by exchanges between two layers.
"""

from collections.abc import Sequence

import numpy as np

from learners.search.choices import CEILING, FLOOR, ChoiceLayer, Load, polish
from learners.search.knapsack import NUM_BUCKETS, least_error

MAX_ROUNDS = 12
DAMPING = 0.5  # how far the point of linearisation moves to the latest answer
MAX_EXCHANGES = 20_000  # exchanges that are looked at together; with more there are none
_NUM_PROBES = 8  # candidates at which costs are tested for adding up
_TOLERANCE = 1e-9

Columns = list[np.ndarray]
"""Per layer float64 [choices]."""


class Allocator:
    """Answers tables within one budget; see the module.

    Args:
        layers: the layers and their choices.
        load: what part of the budget candidates take.
        start: the candidate around which costs are linearised first, int [layers].
        floor: the least load of an answer, see `polish`.
        num_buckets: see `least_error`.

    Attributes:
        is_additive: whether costs add up over layers, so that answers are exact but for buckets.

    Example:
        >>> layers = [ChoiceLayer(name, (1, 2, 3), (), 0) for name in "ab"]
        >>> load = Load(lambda values: {"bits": values.sum(axis=1)}, {"bits": 5.0})
        >>> answer = Allocator(layers, load, np.array([2, 2]))
        >>> answer([np.array([9.0, 1.0, 0.0]), np.array([5.0, 1.5, 0.0])])
        array([2, 3])
    """

    def __init__(
        self,
        layers: Sequence[ChoiceLayer],
        load: Load,
        start: np.ndarray,
        *,
        floor: float = FLOOR,
        num_buckets: int = NUM_BUCKETS,
    ) -> None:
        self._layers = tuple(layers)
        self._load = load
        self._start = np.asarray(start)
        self._floor = floor
        self._num_buckets = num_buckets
        self._first = self._linearised(self._start)
        self.is_additive = len(load.targets) == 1 and self._adds_up()

    def __call__(self, errors: Sequence[np.ndarray]) -> np.ndarray:
        """Find the candidate of least error.

        Args:
            errors: per layer float [choices].

        Returns:
            int [layers], of a load of at most 1 where the choices allow it.
        """
        if not self.is_additive:
            return self._exchanged(self._iterated(errors), errors)
        ((kind, target),) = self._load.targets.items()
        columns, rest = self._first
        return self._moved(self._solved(errors, columns[kind], target - rest[kind]))

    def error(self, errors: Sequence[np.ndarray], values: np.ndarray) -> float:
        """Sum up what a table says of a candidate."""
        return float(self._errors(errors, values[None])[0])

    def _iterated(self, errors: Sequence[np.ndarray]) -> np.ndarray:
        """Linearise and solve until the answer stays; give the best answer on the way."""
        targets = self._load.targets
        parts = dict.fromkeys(targets, 1.0 / len(targets))  # of each kind in the sum of shares
        point, aim = self._start.astype(float), CEILING
        answers: dict[tuple[int, ...], tuple[bool, float]] = {}
        for number in range(MAX_ROUNDS):
            columns, rest = self._linearised(point) if number else self._first
            shares = [
                np.sum([parts[k] / targets[k] * columns[k][la] for k in targets], axis=0)
                for la in range(len(self._layers))
            ]
            used = sum(parts[kind] * rest[kind] / target for kind, target in targets.items())
            values = self._solved(errors, shares, aim - used)
            answer = self._moved(values)
            over = self._load.of(answer) > CEILING
            answers[tuple(answer.tolist())] = (over, self.error(errors, answer))
            cost = self._load.cost(values[None])
            loads = {kind: float(cost[kind][0]) / target for kind, target in targets.items()}
            together = sum(parts[kind] * loads[kind] for kind in targets)
            aim = float(np.clip(aim / together, CEILING / 2.0, 2.0 * CEILING))
            parts = {kind: parts[kind] * loads[kind] ** 2 for kind in targets}
            parts = {kind: part / sum(parts.values()) for kind, part in parts.items()}
            point = (1.0 - DAMPING) * point + DAMPING * values
        return np.array(min(answers, key=lambda key: answers[key]))

    def _solved(
        self, errors: Sequence[np.ndarray], costs: Sequence[np.ndarray], budget: float
    ) -> np.ndarray:
        places = least_error(errors, costs, budget, num_buckets=self._num_buckets)
        return np.array([la.choices[p] for la, p in zip(self._layers, places, strict=True)])

    def _moved(self, values: np.ndarray) -> np.ndarray:
        return polish(values, self._layers, self._load, floor=self._floor)

    def _linearised(self, point: np.ndarray) -> tuple[dict[str, Columns], dict[str, float]]:
        """Say what each choice costs beyond a point, alone; and what the point costs."""
        rows = [np.asarray(point)[None]]
        for index, layer in enumerate(self._layers):
            row = np.repeat(rows[0], len(layer.choices), axis=0)
            row[:, index] = layer.choices
            rows.append(row)
        costs = self._load.cost(np.concatenate(rows))
        ends = np.cumsum([len(layer.choices) for layer in self._layers])[:-1]
        columns, rest = {}, {}
        for kind in self._load.targets:
            rest[kind] = float(costs[kind][0])
            columns[kind] = np.split(costs[kind][1:] - costs[kind][0], ends)
        return columns, rest

    def _adds_up(self) -> bool:
        """Try at a few candidates whether the layers' costs are independent of each other."""
        generator = np.random.default_rng(0)
        rows = np.array(
            [[generator.choice(la.choices) for la in self._layers] for _ in range(_NUM_PROBES)]
        )
        costs = self._load.cost(rows)
        columns, rest = self._first
        return all(
            np.allclose(rest[kind] + self._errors(columns[kind], rows), costs[kind], _TOLERANCE)
            for kind in self._load.targets
        )

    def _errors(self, columns: Sequence[np.ndarray], rows: np.ndarray) -> np.ndarray:
        """Sum columns up for candidates int [n, layers]: [n]."""
        found = np.zeros(len(rows))
        for index, (layer, column) in enumerate(zip(self._layers, columns, strict=True)):
            found += column[np.searchsorted(layer.choices, rows[:, index])]
        return found

    def _exchanged(self, values: np.ndarray, errors: Sequence[np.ndarray]) -> np.ndarray:
        """Change one or two layers as long as that lowers the error within the budget."""
        if self._load.of(values) > CEILING:
            return values
        now, least = self.error(errors, values), min(self._floor, self._load.of(values))
        while True:
            rows = self._exchanges(values)
            found = self._errors(errors, rows)
            better = np.flatnonzero(found < now - _TOLERANCE * abs(now))
            loads = self._load(rows[better])
            inside = better[(loads <= CEILING) & (loads >= least)]
            if not inside.size:
                return values
            best = int(inside[np.argmin(found[inside])])
            values, now = rows[best], float(found[best])

    def _exchanges(self, values: np.ndarray) -> np.ndarray:
        """List what is 1, 2, 4, … choices away in one layer, or in each of two."""
        moves: list[tuple[int, int]] = []
        for index, layer in enumerate(self._layers):
            at = int(np.searchsorted(layer.choices, values[index]))
            steps = 2 ** np.arange(len(layer.choices).bit_length())
            places = {at + sign * int(step) for step in steps for sign in (1, -1)}
            moves += [(index, layer.choices[p]) for p in places if 0 <= p < len(layer.choices)]
        if len(moves) ** 2 > 2 * MAX_EXCHANGES:
            return np.empty((0, len(self._layers)), int)
        rows = np.repeat(values[None], len(moves), axis=0)
        layers, chosen = np.array(moves).T
        rows[np.arange(len(moves)), layers] = chosen
        first, second = np.triu_indices(len(moves), k=1)
        apart = layers[first] != layers[second]
        pairs = rows[first[apart]]
        pairs[np.arange(len(pairs)), layers[second[apart]]] = chosen[second[apart]]
        return np.concatenate([rows, pairs])
