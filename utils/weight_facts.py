"""What compression did to weights, read off the numbers themselves: exact zeros, few levels.

A quantized layer in a plain `.keras` file holds floats that lie on a grid, or are few different
numbers, per tensor or per channel. Nothing else says so, and nothing else is asked.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

#: More levels than this are not told from any float.
MAX_LEVELS = 4096
_FEWEST, _FEWEST_IN_ALL = 7, 16  # numbers that a grid is looked for in; fewer may lie on one
_OFF_GRID = 0.05  # how far a number may be from the grid, in steps: float32 rounding, 4096 levels
_EQUAL = 1e-5  # numbers that differ by less of their range are the same


def kernels(weights: Iterable[np.ndarray]) -> list[np.ndarray]:
    """Keep the arrays that are multiplied with inputs: floats of two or more axes."""
    return [w for w in weights if np.ndim(w) >= 2 and np.issubdtype(w.dtype, np.floating)]


def sparsity(weights: Iterable[np.ndarray]) -> float | None:
    """Measure the share of exact zeros in the kernels of a layer.

    Args:
        weights: its arrays.

    Returns:
        A fraction in [0, 1]; None without a kernel.

    Example:
        >>> sparsity([np.array([[0.0, 1.5], [0.0, 0.0]]), np.zeros(2)])
        0.75
    """
    found = kernels(weights)
    size = sum(kernel.size for kernel in found)
    return sum(int(np.sum(kernel == 0)) for kernel in found) / size if size else None


def scattered_zeros(weights: Iterable[np.ndarray]) -> float | None:
    """Measure the share of zeros in kernels that lie in no channel that is zero altogether.

    A channel is a slice along one of the last two axes: an output or an input of a Dense layer and
    a convolution. Such slices can be cut, and time is gained; scattered zeros stay.

    Args:
        weights: arrays of layers.

    Returns:
        A fraction in [0, 1] of all entries of the kernels; None without a kernel.

    Example:
        >>> kernel = np.ones((4, 4))
        >>> kernel[:, 0] = 0.0  # a whole output
        >>> kernel[0, 1] = kernel[2, 3] = 0.0
        >>> scattered_zeros([kernel])
        0.125
    """
    found = kernels(weights)
    size = sum(kernel.size for kernel in found)
    return sum(_num_scattered(kernel) for kernel in found) / size if size else None


def _num_scattered(kernel: np.ndarray) -> int:
    zero = kernel == 0
    inputs, outputs = (
        zero.all(axis=tuple(axis for axis in range(zero.ndim) if axis != own), keepdims=True)
        for own in (zero.ndim - 2, zero.ndim - 1)
    )
    return int(np.sum(zero & ~inputs & ~outputs))


def bits(weights: Iterable[np.ndarray]) -> int | None:
    """Find how many bits tell the values of a layer's kernels apart.

    Values are counted in each kernel as a whole and in its slices along each axis; the fewest
    count. They are levels of a grid (equal steps, whether all are taken or not), or different
    numbers where at most half of the entries differ. Zeros are left out of the numbers, so
    that a sparse kernel is not taken for one with few levels.

    Args:
        weights: the layer's arrays.

    Returns:
        Bits of the kernel that needs most: ceil(log2(levels)), the width of its number format
        where its values are any; None without a kernel.

    Example:
        >>> ternary = np.random.default_rng(0).integers(-1, 2, (20, 30)) * 0.25
        >>> bits([ternary]), bits([np.random.default_rng(0).normal(size=(20, 30))])
        (2, 64)
    """
    found = kernels(weights)
    return max((_kernel_bits(kernel) for kernel in found), default=None)


def _kernel_bits(kernel: np.ndarray) -> int:
    if not kernel.any():
        return 1
    best = 8 * kernel.dtype.itemsize
    whole = kernel.reshape(1, -1)
    along = [np.moveaxis(kernel, axis, 0).reshape(n, -1) for axis, n in enumerate(kernel.shape)]
    for slices in (whole, *along):
        levels = _most_levels(slices)
        if levels is not None:
            best = min(best, max(math.ceil(math.log2(levels)), 1))
    return best


def _most_levels(slices: np.ndarray) -> int | None:
    """Count the levels of the slice that has most; None if the values of one are any.

    A slice of which too few numbers differ speaks neither way; most must speak, and together be
    enough that chance cannot have put them there.
    """
    most = clear = numbers = 0
    for values in slices:
        levels = _levels(values)
        if levels is None:
            return None
        most = max(most, levels)
        clear += levels > 0
        numbers += int(np.count_nonzero(values)) if levels else 0
    return most if 2 * clear >= len(slices) and numbers >= _FEWEST_IN_ALL else None


def _levels(values: np.ndarray) -> int | None:
    """Count the levels of a slice: None where its values are any, 0 where that cannot be told."""
    numbers = values[values != 0].astype(np.float64)
    has_zero = numbers.size < values.size
    if not numbers.size:
        return 0
    different = _different(numbers)
    on_grid = None
    if different.size >= _FEWEST:
        on_grid = _grid_levels(np.append(different, 0.0) if has_zero else different)
    if on_grid is None and different.size <= min(numbers.size / 2, MAX_LEVELS):
        return different.size + has_zero
    return on_grid if different.size >= _FEWEST else 0


def _different(numbers: np.ndarray) -> np.ndarray:
    """Sort numbers and drop those that are equal to rounding."""
    ordered = np.unique(numbers)
    span = ordered[-1] - ordered[0]
    return ordered[np.append(True, np.diff(ordered) > _EQUAL * span)]


def _grid_levels(numbers: np.ndarray) -> int | None:
    """Find the coarsest grid that holds all numbers, and count its points between both ends."""
    offsets = np.sort(numbers - numbers.min())
    gap = np.diff(offsets).min()
    for parts in range(1, 17):  # neighbours may be several steps apart
        step = _fitted_step(offsets, gap / parts)
        if offsets[-1] >= step * MAX_LEVELS:
            return None
        places = offsets / step
        if (np.abs(places - np.rint(places)) <= _OFF_GRID).all():
            return int(np.rint(places[-1])) + 1
    return None


def _fitted_step(offsets: np.ndarray, step: float) -> float:
    """Fit a step by least squares, from the nearest offsets out, so that none is misnumbered.

    Args:
        offsets: ascending, the first is 0.
        step: a first guess.
    """
    reach = 8
    while True:
        inside = offsets[1 : np.searchsorted(offsets, step * reach, side="right")]
        places = np.rint(inside / step)
        if places.size:
            step = float(places @ inside / (places @ places))
        if step * reach >= offsets[-1] or reach > MAX_LEVELS:
            return step
        reach *= 8
