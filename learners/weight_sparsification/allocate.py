"""How much of each layer goes: the third of the four axes (score, schedule, allocate, mask).

All functions that share a total out have one signature, (sizes, num_left) -> how many weights of
each layer stay, and meet the total exactly. Every layer keeps at least one weight.
"""

from collections.abc import Callable, Mapping

import numpy as np

from learners.sparsity.masks import largest

Counts = dict[str, int]
"""Layer name -> weights that stay."""


def total_left(sizes: Mapping[str, int], ratio: float) -> int:
    """Say how many weights stay where a fraction of all is removed.

    Args:
        sizes: layer name -> number of weights.
        ratio: fraction removed, in [0, 1).

    Returns:
        At least one for each layer.

    Raises:
        ValueError: if `ratio` is outside [0, 1).

    Example:
        >>> total_left({"a": 100, "b": 300}, 0.75)
        100
    """
    if not 0.0 <= ratio < 1.0:
        raise ValueError(f"`ratio` must be in [0, 1). Received: {ratio}.")
    total = sum(sizes.values())
    return max(total - round(ratio * total), len(sizes))


def uniform(sizes: Mapping[str, int], num_left: int) -> Counts:
    """Give every layer the same ratio.

    Args:
        sizes: layer name -> number of weights, at least 1.
        num_left: weights that stay in all, in [layers, sum of sizes].

    Returns:
        Weights that stay, `num_left` in all.

    Example:
        >>> uniform({"a": 10, "b": 30}, 11)
        {'a': 3, 'b': 8}
    """
    share = num_left / sum(sizes.values())
    return _rounded(sizes, {name: share * size for name, size in sizes.items()}, num_left)


def heurist(sizes: Mapping[str, int], num_left: int) -> Counts:
    """Give a layer with more weights a higher ratio: it grows with their logarithm.

    ratio_l = min(alpha ln(n_l), 1 - 1 / n_l), with the alpha that meets the total.

    Args:
        sizes: layer name -> number of weights, at least 1.
        num_left: weights that stay in all, in [layers, sum of sizes].

    Returns:
        Weights that stay, `num_left` in all.

    Example:
        >>> heurist({"small": 100, "large": 10000}, 5050)
        {'small': 75, 'large': 4975}
    """
    numbers = np.array(list(sizes.values()), np.float64)
    slopes, caps = np.log(numbers), 1.0 - 1.0 / numbers
    wanted = numbers.sum() - num_left

    def removed(alpha: float) -> float:
        return float(numbers @ np.minimum(alpha * slopes, caps))

    low, high = 0.0, 1.0 / max(float(slopes[slopes > 0].min(initial=1.0)), 1e-9)
    for _ in range(100):  # to the last bit of a float64
        middle = (low + high) / 2.0
        low, high = (middle, high) if removed(middle) < wanted else (low, middle)
    left = numbers * (1.0 - np.minimum(high * slopes, caps))
    return _rounded(sizes, dict(zip(sizes, left.tolist(), strict=True)), num_left)


PROTOCOLS: dict[str, Callable[[Mapping[str, int], int], Counts]] = {
    "uniform": uniform,
    "heurist": heurist,
}


def by_rank(scores: Mapping[str, np.ndarray], num_left: int) -> Counts:
    """Rank the weights of all layers together: those with the highest scores stay.

    Args:
        scores: layer name -> float array, comparable over layers.
        num_left: weights that stay in all, in [layers, sum of sizes].

    Returns:
        Weights that stay, `num_left` in all; the best of each layer at least.

    Example:
        >>> by_rank({"a": np.array([5.0, 4.0]), "b": np.array([1.0, 3.0, 2.0])}, 3)
        {'a': 2, 'b': 1}
    """
    flat = [np.ravel(values) for values in scores.values()]
    together = np.concatenate([values.astype(np.float64) for values in flat])
    ends = np.cumsum([values.size for values in flat])
    firsts = ends - [values.size for values in flat]
    best = firsts + [int(values.argmax()) for values in flat]
    together[best] = np.inf
    staying = np.concatenate([[0], np.cumsum(largest(together, num_left))])
    counts = staying[ends] - staying[firsts]
    return dict(zip(scores, counts.tolist(), strict=True))


def _rounded(sizes: Mapping[str, int], wanted: Mapping[str, float], num_left: int) -> Counts:
    """Round to whole weights so that the total is met: the largest remainders go up."""
    low, total = len(sizes), sum(sizes.values())
    if not low <= num_left <= total:
        raise ValueError(f"`num_left` must be in [{low}, {total}]. Received: {num_left}.")
    counts = {n: min(max(int(wanted[n]), 1), size) for n, size in sizes.items()}
    remainders = sorted(sizes, key=lambda n: counts[n] - wanted[n])
    missing = num_left - sum(counts.values())
    step = 1 if missing > 0 else -1
    while missing:
        for name in remainders if step > 0 else remainders[::-1]:
            if missing and 1 <= counts[name] + step <= sizes[name]:
                counts[name] += step
                missing -= step
    return counts
