"""How many weights a kernel's buckets have, read off the first of them."""

from __future__ import annotations

import numpy as np

from utils.quantization.exact_grid import exact_step

FEWEST, MOST = 16, 1 << 13  # weights of a bucket
_MOST_ZEROS = 8  # that may lie on either side of a border
_SHORTEST_RUN = 4  # known numbers in a row: among any floats there are none


def bucket_sizes(kernel: np.ndarray) -> tuple[int, ...]:
    """Guess the size of buckets with grids or codebooks of their own.

    The first bucket ends at the latest where a number is on no grid with those before it, or where
    one is new after a long time: those of another grid or codebook are new. Zeros in front of that
    may belong to either bucket.

    Args:
        kernel: float32, of any shape, in memory order.

    Returns:
        Sizes in [`FEWEST`, `MOST`] to be tried, perhaps none.

    Example:
        >>> steps = np.arange(60, dtype=np.float32) % 5 - 2
        >>> bucket_sizes(np.concatenate([0.25 * steps, 0.3137 * steps]).astype(np.float32))
        (60,)
    """
    first = kernel.ravel()[: MOST + 1]
    if not first.any():
        return ()
    found = []
    for end in (_grid_end(first), _first_new_after_many(first)):
        found += [size for size in range(end, end - _MOST_ZEROS, -1) if not first[size:end].any()]
    most = min(MOST, kernel.size - 1)
    return tuple(size for size in dict.fromkeys(found) if FEWEST <= size <= most)


def _grid_end(numbers: np.ndarray) -> int:
    """Count the numbers, from the first on, that lie on one grid: by bisection."""
    low, high = 0, numbers.size
    while low < high:
        middle = (low + high + 1) // 2
        if exact_step(numbers[:middle][numbers[:middle] != 0]) is None:
            high = middle - 1
        else:
            low = middle
    return low


def _first_new_after_many(numbers: np.ndarray) -> int:
    """Find the first new number after a long run of known ones; 0 where there is no such run."""
    places = np.sort(np.unique(numbers, return_index=True)[1])
    gaps = np.diff(places)
    longest = gaps.max(initial=0)
    return int(places[1 + np.argmax(2 * gaps >= longest)]) if longest >= _SHORTEST_RUN else 0
