"""Sparse constants of `.tflite` files: what DENSIFY writes out, computed exactly.

A constant is a tree of levels (TACO's format, as the schema documents it). Level i runs over one
axis, or over one axis of the blocks that an axis is divided into; a dense level visits all its
coordinates, a compressed one those between `segments[p]` and `segments[p + 1]` of its `indices`,
where p counts the paths of the levels above. The leaves are the stored values, in order.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from utils.errors import InputError


@dataclasses.dataclass(frozen=True)
class Level:
    """One level.

    Attributes:
        size: coordinates of a dense level; 0 for a compressed one.
        segments: int array of a compressed level; None for a dense one.
        indices: likewise.
    """

    size: int
    segments: np.ndarray | None = None
    indices: np.ndarray | None = None


@dataclasses.dataclass(frozen=True)
class Layout:
    """How the levels lie over the axes.

    Attributes:
        order: for each level, the axis that it runs over; numbers from the rank on are the block
            axes, in the order of `blocks`.
        blocks: for each block axis, the axis that it divides.
        levels: one per entry of `order`.
    """

    order: Sequence[int]
    blocks: Sequence[int]
    levels: Sequence[Level]


def densify(values: np.ndarray, shape: tuple[int, ...], layout: Layout) -> np.ndarray:
    """Write out a sparse constant.

    Args:
        values: the stored values, flat.
        shape: of the constant; the caller has checked that there is room for it.
        layout: where the values belong.

    Returns:
        The array, with zeros where nothing is stored.

    Raises:
        InputError: if the layout contradicts itself, the shape or the number of values.

    Example:
        >>> rows = Level(2)
        >>> columns = Level(0, np.array([0, 1, 3]), np.array([2, 0, 1]))
        >>> densify(np.array([5, 6, 7]), (2, 3), Layout([0, 1], [], [rows, columns]))
        array([[0, 0, 5],
               [6, 7, 0]])
    """
    sizes = _sizes(shape, layout)
    total = int(np.prod(shape, dtype=np.int64))
    paths = np.zeros(1, np.int64)
    found: dict[int, np.ndarray] = {}  # per axis, the coordinate of each path
    for axis, level in zip(layout.order, layout.levels, strict=True):
        parents, coordinates, paths = _descend(level, sizes[axis], paths, total)
        found = {known: each[parents] for known, each in found.items()}
        found[axis] = coordinates
    if len(paths) != values.size:
        raise InputError(f"it stores {values.size:,} values for {len(paths):,} places.")
    places = [found[axis] for axis in range(len(shape))]
    for number, axis in enumerate(layout.blocks):
        block = len(shape) + number
        places[axis] = places[axis] * sizes[block] + found[block]
    dense = np.zeros(shape, values.dtype)
    dense[tuple(places)] = values
    return dense


def _sizes(shape: tuple[int, ...], layout: Layout) -> dict[int, int]:
    """Find the number of coordinates of every axis, block axes included."""
    rank, num_blocks = len(shape), len(layout.blocks)
    axes = list(range(rank + num_blocks))
    if sorted(layout.order) != axes or len(layout.levels) != len(axes):
        raise InputError(f"its levels run over the axes {list(layout.order)}, not {axes}.")
    if len(set(layout.blocks)) != num_blocks or not set(layout.blocks) <= set(range(rank)):
        raise InputError(f"its blocks divide the axes {list(layout.blocks)} of {rank}.")
    sizes = dict(enumerate(shape))
    for number, axis in enumerate(layout.blocks):
        level = layout.levels[list(layout.order).index(rank + number)]
        if level.segments is not None or level.size < 1 or shape[axis] % level.size:
            raise InputError(f"blocks of {level.size} do not divide an axis of {shape[axis]}.")
        sizes[rank + number] = level.size
        sizes[axis] = shape[axis] // level.size
    return sizes


def _descend(
    level: Level, size: int, paths: np.ndarray, total: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Go down one level: per new path, the path above, its coordinate and its number."""
    if level.segments is None or level.indices is None:
        if level.size != size or len(paths) * size > total:
            raise InputError(f"a level of {level.size} lies over an axis of {size}.")
        coordinates = np.tile(np.arange(size), len(paths))
        parents = np.repeat(np.arange(len(paths)), size)
        return parents, coordinates, paths[parents] * size + coordinates
    segments, indices = level.segments.astype(np.int64), level.indices.astype(np.int64)
    counts = np.diff(segments)
    if len(counts) != len(paths) or segments[0] != 0 or segments[-1] != len(indices):
        raise InputError("the segments of a level do not cover its indices.")
    if (counts < 0).any() or (len(indices) and not 0 <= indices.min() <= indices.max() < size):
        raise InputError(f"the indices of a level leave its axis of {size}.")
    if len(indices) > total:
        raise InputError(f"a level has {len(indices):,} indices for {total:,} places.")
    # Paths come in order, so those of a level are its entries from the first to the last.
    return np.repeat(np.arange(len(paths)), counts), indices, np.arange(len(indices))
