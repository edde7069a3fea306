"""Which entries of an array share a scale or a table: all, a channel's, or a bucket's."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator

import numpy as np

#: Bucket sizes that are looked for in any kernel, beside those that it suggests (`buckets.py`).
BUCKETS = tuple(1 << power for power in range(13, 3, -1))


@dataclasses.dataclass(frozen=True)
class Slicing:
    """How an array falls into slices.

    Attributes:
        axes: entries with the same indices on these axes, ascending, are a slice; () is one slice
            for all. Slices are numbered in C order of those indices.
        bucket: instead, so many entries that follow each other in C order are a slice, the last
            one perhaps fewer; 0 for none.
    """

    axes: tuple[int, ...] = ()
    bucket: int = 0

    def count(self, shape: tuple[int, ...]) -> int:
        """Give the number of slices of an array of this shape."""
        if self.bucket:
            return -(-math.prod(shape) // self.bucket)
        return math.prod(shape[axis] for axis in self.axes)

    def numbers(self, shape: tuple[int, ...], places: np.ndarray | None = None) -> np.ndarray:
        """Say in which slice entries are.

        Args:
            shape: of the array.
            places: of the entries, counted in C order, int64 [n]; None for all.

        Returns:
            int64 [n].

        Example:
            >>> Slicing(axes=(1,)).numbers((2, 3))
            array([0, 1, 2, 0, 1, 2])
            >>> Slicing(bucket=4).numbers((2, 3))
            array([0, 0, 0, 0, 1, 1])
        """
        places = np.arange(math.prod(shape)) if places is None else places
        if self.bucket:
            return places // self.bucket
        numbers = np.zeros(places.shape, np.int64)
        for axis in self.axes:
            on_axis = places // math.prod(shape[axis + 1 :]) % shape[axis]
            numbers = numbers * shape[axis] + on_axis
        return numbers

    def rows(self, array: np.ndarray) -> Iterator[np.ndarray]:
        """Give the entries of each slice; fewer in a last bucket that is not full."""
        if self.bucket:
            flat = array.ravel()
            yield from (flat[i : i + self.bucket] for i in range(0, flat.size, self.bucket))
        else:
            moved = np.moveaxis(array, self.axes, range(len(self.axes)))
            yield from moved.reshape(self.count(array.shape), -1)

    def positions(self, shape: tuple[int, ...]) -> list[np.ndarray]:
        """Give the places, in C order, of each slice's entries."""
        numbers = self.numbers(shape)
        order = np.argsort(numbers, kind="stable")
        ends = np.cumsum(np.bincount(numbers, minlength=self.count(shape)))
        return np.split(order, ends[:-1])


def slicings(shape: tuple[int, ...]) -> Iterator[Slicing]:
    """List the slicings that a kernel may have been quantized with.

    Args:
        shape: of the kernel, two or more axes.

    Yields:
        The whole, each axis, the last two together (depthwise kernels), buckets; none of them
        twice, and none whose slices have one entry.
    """
    size = math.prod(shape)
    wide = [axis for axis, length in enumerate(shape) if length > 1]
    sets = [(), *((axis,) for axis in wide)]
    if len(wide) > 2 and wide[-2:] == [len(shape) - 2, len(shape) - 1]:
        sets.append((wide[-2], wide[-1]))
    for axes in sets:
        if Slicing(axes=axes).count(shape) < size:
            yield Slicing(axes=axes)
    yield from (Slicing(bucket=bucket) for bucket in BUCKETS if bucket < size)
