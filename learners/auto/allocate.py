"""The best joint choice for a number of bytes, and within budgets that follow from channels.

With a price for each byte, a layer's best option does not depend on its width: errors and bytes
both shrink with the share of its weights that is left. So for a price

    m_l = min over options c of  e_l(c) + price * bytes_l(c),
    minimise over widths w   sum_l m_l share_l(w) + sum_g E_g(w_g) + sum_g p_g(w_g)

with E_g the error of a group's width and p_g a price on what other budgets limit, by a dynamic
programme (`programme.py`); the prices are bisected. The answers are those of the lower convex hull
of error over cost.

Tables know one part of the network at a time. On the walk, layers behind make up for errors in
front, and for those of one way better than for those of another: so what the tables say of each
way is multiplied by `Scales`, which a few networks that were made settle (`search.py`).

Reference:
    Everett, "Generalized Lagrange Multiplier Method for Solving Problems of Optimum Allocation of
    Resources", Operations Research 11, 1963; Shoham & Gersho, "Efficient Bit Allocation for an
    Arbitrary Set of Quantizers", IEEE Transactions on ASSP 36, 1988.
"""

import dataclasses
import functools
import itertools
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from learners.auto.joint import Joint
from learners.auto.offers import DENSE, Option
from learners.auto.places import Places
from learners.auto.programme import Term, least_sum
from learners.auto.tables import LayerTable, Tables
from learners.channels.cost import NetworkCost
from learners.search.choices import ChoiceLayer, Load, polish

_BISECTIONS = 40
_MAX_PRICE = 1e9  # of what may be spent, in units of error
_MIN_PRICE = 1e-9
MAX_ROWS = 4096  # widths at which a layer's size is counted

CHANNELS, ZEROS, BITS = "channels", "zeros", "bits"
WAYS = (CHANNELS, ZEROS, BITS)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scales:
    """What an error of the tables counts, for each way of making a network smaller."""

    channels: float = 1.0
    zeros: float = 1.0
    bits: float = 1.0

    def __getitem__(self, way: str) -> float:
        """Give that of a way of `WAYS`."""
        return float(getattr(self, way))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Answer:
    """A choice and what is expected of it.

    Attributes:
        joint: the choice.
        bytes: of its kernels, as the tables have them.
        errors: way of `WAYS` -> the squared error of the outputs that is expected, scaled.
    """

    joint: Joint
    bytes: float
    errors: Mapping[str, float]

    @property
    def error(self) -> float:
        """All of it."""
        return sum(self.errors.values())


class Allocation:
    """Finds choices; see the module.

    Args:
        places: what is up for choice.
        tables: what it costs.
        widths: the groups with their channel counts, in the order of `places.groups`.
        counted: knows what a layer's size is, by the counts.
        load: what part of budgets other than bytes candidates of counts take; None without any.

    Attributes:
        scales: of the tables' errors; may be changed.
    """

    def __init__(
        self,
        places: Places,
        tables: Tables,
        widths: Sequence[ChoiceLayer],
        counted: NetworkCost | None,
        load: Load | None = None,
    ) -> None:
        self._places, self._tables, self._load = places, tables, load
        self.scales = Scales()
        self._widths = tuple(  # of groups of which nothing is known all channels stay
            layer
            if layer.name in tables.groups
            else dataclasses.replace(layer, choices=layer.choices[-1:])
            for layer in widths
        )
        self._full = np.array([layer.choices[-1] for layer in widths], int)
        self._shares = dict(_shares(places, counted, self._widths))

    def within(self, num_bytes: float, *, ways: Sequence[str] = WAYS) -> Answer:
        """Find the choice of least error.

        Args:
            num_bytes: what its kernels may take, as the tables have them.
            ways: of `WAYS`, those that may be used; bits are 8 where they are none of them.

        Returns:
            The choice; the smallest where all take more.
        """
        solve = functools.partial(self._at_price, ways=ways)
        cheap, dear = solve(_MIN_PRICE), solve(_MAX_PRICE)
        if cheap.bytes <= num_bytes or dear.bytes > num_bytes:
            return cheap if cheap.bytes <= num_bytes else dear
        low, high, best = _MIN_PRICE, _MAX_PRICE, dear
        for _ in range(_BISECTIONS):
            price = float(np.sqrt(low * high))
            found = solve(price)
            if found.bytes > num_bytes:
                low = price
            else:
                high, best = price, found
        return best

    def answer(self, joint: Joint) -> Answer:
        """Say what the tables expect of a choice."""
        values = np.array([joint.widths[group.name] for group in self._places.groups], int)
        errors = dict.fromkeys(WAYS, 0.0)
        errors[CHANNELS] = sum(
            table.error(joint.widths[name]) for name, table in self._tables.groups.items()
        )
        stored = 0.0
        for layer in self._places.layers:
            table, share = self._tables.layers[layer.name], self._shares[layer.name].at(values)
            option = joint.options[layer.name]
            place = _nearest(table, option)
            errors[ZEROS] += share * table.zeros[place]
            errors[BITS] += share * table.rounding[place]
            stored += share * table.bytes[place]
        scaled = {way: float(self.scales[way] * error) for way, error in errors.items()}
        return Answer(joint=joint, bytes=float(stored), errors=scaled)

    def _at_price(self, price: float, *, ways: Sequence[str]) -> Answer:
        minima, options = {}, {}
        for layer in self._places.layers:
            table = self._tables.layers[layer.name]
            errors = self.scales[ZEROS] * table.zeros + self.scales[BITS] * table.rounding
            costs = errors + price * table.bytes
            place = int(np.argmin(np.where(_open(table, ways), costs, np.inf)))
            minima[layer.name], options[layer.name] = float(costs[place]), table.options[place]
        widths = self._full
        if CHANNELS in ways or self._load is not None:
            widths = self._settled(minima)
        counts = {
            group.name: int(width) for group, width in zip(self._places.groups, widths, strict=True)
        }
        return self.answer(Joint(widths=counts, options=options))

    def _settled(self, minima: Mapping[str, float]) -> np.ndarray:
        """Settle the widths; with other budgets at the least price that keeps them."""
        terms = self._terms(minima)
        if self._load is None:
            return self._least(terms)
        load = self._load
        point = self._least(terms)
        if load.of(point) <= 1.0:
            return point
        low, high, best = 1e-9, 1e9, None
        for _ in range(_BISECTIONS):
            price = float(np.sqrt(low * high))
            found = self._least([*terms, *self._priced(price, point)])
            if load.of(found) > 1.0:
                low = price
            else:
                high, best = price, found
            point = found if best is None else best  # costs need not add up: linear around it
        # What the hull leaves over, and what costs that do not add up exceed.
        moved = polish(point if best is None else best, self._widths, load)
        return moved if best is None or load.of(moved) <= 1.0 else best

    def _priced(self, price: float, point: np.ndarray) -> list[Term]:
        """Say what each width adds to the load, the others as at a point."""
        load = self._load
        if load is None:
            return []
        rows = []
        for index, layer in enumerate(self._widths):
            row = np.repeat(point[None], len(layer.choices), axis=0)
            row[:, index] = layer.choices
            rows.append(row)
        found = np.split(
            price * load(np.concatenate(rows)),
            np.cumsum([len(layer.choices) for layer in self._widths])[:-1],
        )
        return [Term((la.name,), column) for la, column in zip(self._widths, found, strict=True)]

    def _terms(self, minima: Mapping[str, float]) -> list[Term]:
        terms = [Term(s.names, minima[name] * s.table) for name, s in self._shares.items()]
        for layer in self._widths:
            table = self._tables.groups.get(layer.name)
            if table is not None:
                errors = np.array([table.error(width) for width in layer.choices])
                terms.append(Term((layer.name,), self.scales[CHANNELS] * errors))
        return terms

    def _least(self, terms: Sequence[Term]) -> np.ndarray:
        sizes = {layer.name: len(layer.choices) for layer in self._widths}
        places = least_sum([term for term in terms if term.names], sizes)
        return np.array([la.choices[places[la.name]] for la in self._widths], int)


def _open(table: LayerTable, ways: Sequence[str]) -> np.ndarray:
    """Say which options may be taken; those that are there where none may."""
    most = max(option.bits for option in table.options)
    found = np.array(
        [
            (ZEROS in ways or option.pattern == DENSE) and (BITS in ways or option.bits == most)
            for option in table.options
        ]
    )
    return found if found.any() else np.ones(found.shape, bool)


def _nearest(table: LayerTable, option: Option) -> int:
    """Find an option in a table; a choice that was edited may have another."""

    def distance(place: int) -> tuple[float, ...]:
        own = table.options[place]
        return (
            abs(own.percent - option.percent),
            own.pattern != option.pattern,
            abs(own.bits - option.bits),
        )

    return min(range(len(table.options)), key=distance)


@dataclasses.dataclass(frozen=True, eq=False)
class _Share:
    """What share of a layer's weights is left, by the widths of the groups that it depends on."""

    names: tuple[str, ...]
    table: np.ndarray
    of: Callable[[np.ndarray], float]

    def at(self, values: np.ndarray) -> float:
        """Give the share at counts of all groups, in their order."""
        return self.of(values)


def _shares(
    places: Places, counted: NetworkCost | None, widths: Sequence[ChoiceLayer]
) -> dict[str, _Share]:
    """Count every layer's kernel at all widths that it depends on."""
    if counted is None:
        return {la.name: _Share((), np.ones(()), lambda values: 1.0) for la in places.layers}
    full = np.array([layer.choices[-1] for layer in widths], int)
    names = [(layer, weight) for layer, own in places.graph.params.items() for weight in own]
    number = {key: place for place, key in enumerate(names)}
    found = {}
    for layer in places.layers:
        columns = [number[layer.layer, weight] for weight in layer.weights]
        count = functools.partial(_count, counted, columns)
        whole = float(count(full[None])[0])
        owners, num_rows = [], 1  # beyond, a layer of many groups is taken not to depend on them
        for owner in counted.owners(layer.layer):
            num_rows *= len(widths[owner].choices)
            if num_rows <= MAX_ROWS:
                owners.append(owner)
        axes = [widths[owner].choices for owner in owners]
        grid = np.array(list(itertools.product(*axes)), int)  # one empty row without owners
        rows = np.repeat(full[None], len(grid), axis=0)
        if owners:
            rows[:, owners] = grid
        table = count(rows) / whole
        found[layer.name] = _Share(
            tuple(widths[owner].name for owner in owners),
            table.reshape(tuple(len(axis) for axis in axes)),
            functools.partial(_share_at, count, whole),
        )
    return found


def _count(counted: NetworkCost, columns: Sequence[int], rows: np.ndarray) -> np.ndarray:
    """Count the entries of some weights for candidates [n, groups]: [n]."""
    return np.asarray(counted.per_weight(rows)["params"][:, columns].sum(axis=1))


def _share_at(count: Callable[[np.ndarray], np.ndarray], whole: float, values: np.ndarray) -> float:
    return float(count(values[None])[0]) / whole
