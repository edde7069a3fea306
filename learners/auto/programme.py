"""The least sum of functions of a few choices each: a dynamic programme over the network's shape.

    minimise  sum_f  f(x_i, x_j, …)

Choices are settled one after the other. Where x_i is settled, the functions in which it occurs are
added up to one table, of which the minimum over x_i is a new function of its neighbours. Along a
chain of layers that is Viterbi's algorithm; choices inside residual blocks have no neighbours. The
choice whose table is smallest goes first. Where every table would be too large, what is left is
improved one choice at a time.

Reference:
    Bertele & Brioschi, "Nonserial Dynamic Programming", Academic Press 1972, chapter 2.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

MAX_CELLS = 2_000_000  # of a table
_MAX_ROUNDS = 50


@dataclasses.dataclass(frozen=True, eq=False)
class Term:
    """A function of some choices.

    Attributes:
        names: the choices.
        table: float64, an axis for each of them.
    """

    names: tuple[str, ...]
    table: np.ndarray


def least_sum(
    terms: Sequence[Term], sizes: Mapping[str, int], *, max_cells: int = MAX_CELLS
) -> dict[str, int]:
    """Settle all choices.

    Args:
        terms: the functions.
        sizes: choice -> number of its values.
        max_cells: of a table.

    Returns:
        Choice -> its value: the exact minimum where no table has more than `max_cells`; of equal
        ones the last value.

    Raises:
        ValueError: if a table has not the shape that its choices say.

    Example:
        >>> pair = Term(("a", "b"), np.array([[0.0, 9.0], [9.0, 1.0]]))
        >>> least_sum([pair, Term(("a",), np.array([2.0, 0.0]))], {"a": 2, "b": 2})
        {'a': 1, 'b': 1}
    """
    for term in terms:
        wanted = tuple(sizes[name] for name in term.names)
        if term.table.shape != wanted:
            raise ValueError(f"the table of {term.names} must be {wanted}: {term.table.shape}.")
    open_terms, left = list(terms), dict(sizes)
    settled: list[tuple[str, Term]] = []
    while left:
        name, around = _next(open_terms, left)
        if np.prod([sizes[each] for each in (name, *around)], dtype=float) > max_cells:
            break
        joined = _joined([t for t in open_terms if name in t.names], (name, *around), sizes)
        open_terms = [term for term in open_terms if name not in term.names]
        open_terms.append(Term(around, joined.table.min(axis=0)))
        settled.append((name, joined))
        del left[name]
    values = _improved(open_terms, left)
    for name, joined in reversed(settled):
        column = joined.table.reshape(sizes[name], -1)[:, _place(joined, values)]
        values[name] = int(column.size - 1 - np.argmin(column[::-1]))
    return {name: values[name] for name in sizes}


def total(terms: Sequence[Term], values: Mapping[str, int]) -> float:
    """Add the functions up at given values."""
    return float(sum(term.table[tuple(values[name] for name in term.names)] for term in terms))


def _next(terms: Sequence[Term], left: Mapping[str, int]) -> tuple[str, tuple[str, ...]]:
    """Find the choice with the smallest table, and its neighbours."""
    best: tuple[float, str, tuple[str, ...]] | None = None
    for name, size in left.items():
        around = dict.fromkeys(n for t in terms if name in t.names for n in t.names if n != name)
        cells = size * float(np.prod([left[each] for each in around], dtype=float))
        if best is None or cells < best[0]:
            best = (cells, name, tuple(around))
    if best is None:
        raise ValueError("nothing is left.")
    return best[1:]


def _joined(terms: Sequence[Term], names: tuple[str, ...], sizes: Mapping[str, int]) -> Term:
    """Add functions up to one table, with an axis for each name."""
    table = np.zeros(tuple(sizes[name] for name in names))
    for term in terms:
        order = sorted(range(len(term.names)), key=lambda axis: names.index(term.names[axis]))
        placed = term.table.transpose(order)
        shape = tuple(sizes[name] if name in term.names else 1 for name in names)
        table += placed.reshape(shape)
    return Term(names, table)


def _place(joined: Term, values: Mapping[str, int]) -> int:
    """Say where in a table, flattened but for its first axis, given values of the others are."""
    if len(joined.names) == 1:
        return 0
    at = tuple(values[name] for name in joined.names[1:])
    return int(np.ravel_multi_index(at, joined.table.shape[1:]))


def _improved(terms: Sequence[Term], left: Mapping[str, int]) -> dict[str, int]:
    """Change one choice at a time, from the last values on, as long as that lowers the sum."""
    values = {name: size - 1 for name, size in left.items()}
    for _ in range(_MAX_ROUNDS):
        before = dict(values)
        for name, size in left.items():
            own = [term for term in terms if name in term.names]
            sums = [total(own, values | {name: value}) for value in range(size)]
            values[name] = size - 1 - int(np.argmin(sums[::-1]))
        if values == before:
            break
    return values
