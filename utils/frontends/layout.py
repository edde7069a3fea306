"""Where the axes of a source's tensor lie in the Keras tensor that stands for it.

Networks of other frameworks keep channels first; Keras layers on a CPU want them last. Instead of
transposing between the two, every value carries a `Layout`: its axes are products of *atoms*, and
the layout says in which order the atoms lie in the source and in the Keras tensor. A Transpose or a
Reshape of the source then only regroups atoms; data moves where a layer needs it to. A Flatten in
front of a fully connected layer becomes an order of that layer's rows, a channel shuffle one
reshape of the channels.

Axes of size 1 have no atoms. A *free* atom's size is decided when the network runs (the batch, an
image's height): its `size` is a stand-in that shape arithmetic of the source can be followed with.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from utils.frontends.source import check_size

BATCH_SIZE = 99991
"""Stand-in for the batch: a prime that no network has."""

FREE_SIZES = tuple(64 * prime for prime in (1601, 1607, 1609, 1613, 1619, 1621, 1627, 1637))
"""Stand-ins for other sizes that are not known: images that can be halved six times."""


@dataclasses.dataclass(frozen=True, eq=False, slots=True)
class Atom:
    """A factor of an axis; two atoms are the same only if they are one object.

    Attributes:
        size: number of steps, or the stand-in of a free atom.
        free: whether the size is known only when the network runs.
    """

    size: int
    free: bool = False


Axis = tuple[Atom, ...]
Axes = tuple[Axis, ...]


@dataclasses.dataclass(frozen=True)
class Layout:
    """The axes of a value in the source and in the Keras tensor.

    Attributes:
        source: atoms of each axis of the source's tensor, major to minor.
        built: atoms of each axis of the Keras tensor; the same atoms in another order.
    """

    source: Axes
    built: Axes

    @property
    def shape(self) -> tuple[int, ...]:
        """The source's shape, stand-ins for free sizes."""
        return tuple(axis_size(axis) for axis in self.source)

    @property
    def is_free(self) -> bool:
        """Whether any size but the batch's is free."""
        return any(atom.free for axis in self.source[1:] for atom in axis)


def axis_size(axis: Axis) -> int:
    """Number of steps of an axis.

    Example:
        >>> axis_size((Atom(2), Atom(3)))
        6
    """
    return math.prod(atom.size for atom in axis)


def is_free(axis: Axis) -> bool:
    """Whether an axis' size is known only when the network runs."""
    return any(atom.free for atom in axis)


def new_layout(sizes: Sequence[int], free: Sequence[bool], order: Sequence[int]) -> Layout:
    """Layout of a fresh value.

    Args:
        sizes: the source's shape, stand-ins for free sizes.
        free: for each axis, whether it is free.
        order: `order[i]` is the source axis that lies on axis i of the Keras tensor.

    Returns:
        The layout.

    Example:
        >>> layout = new_layout((2, 3, 4, 4), (False,) * 4, (0, 2, 3, 1))
        >>> axis_order(layout)
        (0, 2, 3, 1)
    """
    source = tuple(
        (Atom(size, is_open),) if size != 1 or is_open else ()
        for size, is_open in zip(sizes, free, strict=True)
    )
    return Layout(source, tuple(source[axis] for axis in order))


def transposed(layout: Layout, permutation: Sequence[int]) -> Layout:
    """Layout after the source transposes: nothing moves."""
    return Layout(tuple(layout.source[axis] for axis in permutation), layout.built)


def with_source(layout: Layout, source: Sequence[Axis]) -> Layout:
    """Layout with the same atoms grouped into other source axes."""
    return Layout(tuple(source), layout.built)


def axis_order(layout: Layout) -> tuple[int, ...] | None:
    """Which source axis lies on each axis of the Keras tensor; None if some are split or joined.

    Axes of size 1 stand for each other, in ascending order.
    """
    if len(layout.source) != len(layout.built):
        return None
    units = [axis for axis, atoms in enumerate(layout.source) if not atoms]
    whole = {atoms: axis for axis, atoms in enumerate(layout.source) if atoms}
    order = []
    for atoms in layout.built:
        if atoms and atoms not in whole:
            return None
        if not atoms and not units:
            return None
        order.append(whole[atoms] if atoms else units.pop(0))
    return tuple(order)


def natural_order(layout: Layout) -> tuple[int, ...]:
    """An order of whole source axes that moves little: the present one, or the nearest to it."""
    order = axis_order(layout)
    if order is not None:
        return order
    place = {atom: i for i, atom in enumerate(flat(layout.built))}
    rank = len(layout.source)
    keys: dict[int, tuple[int, int]] = {}
    last = -1
    for axis in range(rank):
        if layout.source[axis]:
            last = place[layout.source[axis][0]]
        keys[axis] = (last, axis)  # a unit axis stays behind the one in front of it
    return tuple(sorted(range(rank), key=lambda axis: keys[axis]))


def flat(axes: Axes) -> Axis:
    """All atoms, in order."""
    return tuple(atom for axis in axes for atom in axis)


def runs(have: Axis, want: Axis) -> list[Axis]:
    """Longest pieces of `want` that also stand together in `have`, in the order of `want`."""
    place = {atom: i for i, atom in enumerate(have)}
    pieces: list[list[Atom]] = []
    for atom in want:
        if pieces and place[atom] == place[pieces[-1][-1]] + 1:
            pieces[-1].append(atom)
        else:
            pieces.append([atom])
    return [tuple(piece) for piece in pieces]


def reshaped(layout: Layout, target: Sequence[int]) -> Layout | None:
    """Layout after the source reshapes, without moving anything.

    Args:
        layout: of the value.
        target: the new shape, stand-ins for free sizes, no -1 and no 0.

    Returns:
        The layout; None if an axis would have to be cut between its atoms' steps, as 3x4 to 2x6.

    Example:
        >>> shuffled = reshaped(new_layout((1, 6, 5), (False,) * 3, (0, 2, 1)), (1, 2, 3, 5))
        >>> shuffled.shape, [axis_size(axis) for axis in shuffled.built]
        ((1, 2, 3, 5), [1, 5, 6])
    """
    if math.prod(target) != math.prod(layout.shape):
        return None
    waiting = list(flat(layout.source))
    splits: dict[Atom, Axis] = {}
    source: list[Axis] = []
    for size in target:
        axis = _take(waiting, size, splits, is_first=not source)
        if axis is None:
            return None
        source.append(axis)
    if waiting:  # a free atom that counts as 1
        return None
    return Layout(tuple(source), _split(layout.built, splits))


def _take(waiting: list[Atom], size: int, splits: dict[Atom, Axis], is_first: bool) -> Axis | None:
    """Take the atoms of an axis of `size` from the front, cutting the last one if it is too big.

    A free batch that the source counts as 1 goes to an axis of size 1, or to the first axis;
    anywhere else it could belong to either neighbor.
    """
    taken: list[Atom] = []
    if waiting and waiting[0].size == 1:
        if size != 1 and not is_first:
            return None
        taken.append(waiting.pop(0))
    left = size
    while left > 1:
        if not waiting:
            return None
        atom = waiting.pop(0)
        if left % atom.size == 0:
            taken.append(atom)
            left //= atom.size
        elif atom.size % left == 0 and not atom.free:
            head, tail = Atom(left), Atom(atom.size // left)
            _record(splits, atom, (head, tail))
            waiting.insert(0, tail)
            taken.append(head)
            left = 1
        else:
            return None
    return tuple(taken)


def _record(splits: dict[Atom, Axis], atom: Atom, parts: Axis) -> None:
    """Note that an atom, perhaps a part of another one, is cut."""
    for whole, present in splits.items():
        if atom in present:
            place = present.index(atom)
            splits[whole] = (*present[:place], *parts, *present[place + 1 :])
            return
    splits[atom] = parts


def _split(axes: Axes, splits: dict[Atom, Axis]) -> Axes:
    return tuple(
        tuple(part for atom in axis for part in splits.get(atom, (atom,))) for axis in axes
    )


def arranged(array: np.ndarray, layout: Layout) -> np.ndarray:
    """Give a constant the shape that broadcasts against a value's Keras tensor.

    Args:
        array: in the source's order; each axis as long as the value's or 1, missing ones in front.
        layout: of the value.

    Returns:
        The array, without leading axes of size 1.

    Raises:
        NotConvertible: if it would become too large.
    """
    array = array.reshape((1,) * (len(layout.source) - array.ndim) + array.shape)
    atoms = flat(layout.source)
    sizes = [
        atom.size if steps != 1 else 1
        for axis, steps in zip(layout.source, array.shape, strict=True)
        for atom in axis
    ]
    array = array.reshape(sizes).transpose([atoms.index(atom) for atom in flat(layout.built)])
    shape, start = [], 0
    for axis in layout.built:
        present = array.shape[start : start + len(axis)]
        if any(size > 1 for size in present):  # all of a joined axis, or nothing of it
            whole = [atom.size for atom in axis]
            full = list(array.shape)
            full[start : start + len(axis)] = whole
            check_size(full)
            array = np.broadcast_to(array, full)
            shape.append(math.prod(whole))
        else:
            shape.append(1)
        start += len(axis)
    array = array.reshape(shape)
    while array.ndim and array.shape[0] == 1:
        array = array[0]
    return array


def to_built(array: np.ndarray, order: Sequence[int]) -> np.ndarray:
    """Turn a tensor of the source into the one that the Keras network takes or returns.

    Args:
        array: a tensor in the source's order of axes.
        order: `order[i]` is the source axis on axis i, as `Converted` records it.

    Example:
        >>> to_built(np.zeros((1, 3, 8, 9)), (0, 2, 3, 1)).shape
        (1, 8, 9, 3)
    """
    return np.transpose(array, tuple(order))


def to_source(array: np.ndarray, order: Sequence[int]) -> np.ndarray:
    """Turn a tensor of the Keras network back into the source's order of axes.

    Example:
        >>> to_source(np.zeros((1, 8, 9, 3)), (0, 2, 3, 1)).shape
        (1, 3, 8, 9)
    """
    return np.transpose(array, np.argsort(tuple(order)))
