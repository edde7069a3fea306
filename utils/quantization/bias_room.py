"""Grids of weights that leave room for biases: these are int32 in steps of input times weight.

A channel whose weights are all zero, or nearly so, would have steps so fine that its bias does not
fit an int32: the kernel would clip it without a word. Pruned channels with a folded batch norm are
such. Its grid is therefore no finer than

    m >= L |b| / (s 2^30),

with m the largest absolute weight of the grid, L its steps above zero, b the bias, s the step of
the input: half of the range of an int32 is left to the sum of products. What that costs the weights
is at most `|b| / 2^30` for each step of the input.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from utils.graph.ir import Graph
from utils.quantization.integers import IntegerPlan

LARGEST_BIAS = 2.0**30  # in steps


def limit_with_room(limit: np.ndarray, bias: np.ndarray, step: float, bits: int) -> np.ndarray:
    """Widen the grids of channels whose biases would not fit.

    Args:
        limit: m, float [O], or one for all.
        bias: b, float [O].
        step: s, > 0.
        bits: of a weight.

    Returns:
        m, float32, shaped like `limit`.

    Example:
        >>> limit_with_room(np.array([0.5, 0.0]), np.array([1.0, 1.0]), 2.0**-10, 8)
        array([5.00000000e-01, 1.21116645e-04], dtype=float32)
    """
    needed = np.abs(np.asarray(bias, np.float64)) * (2 ** (bits - 1) - 1) / (step * LARGEST_BIAS)
    needed = needed if np.size(limit) > 1 else np.max(needed, initial=0.0)
    # The next float32 upwards: rounded down, the bias would lie just beyond.
    least = np.nextafter(np.asarray(needed, np.float32), np.float32(np.inf))
    found: np.ndarray = np.maximum(np.asarray(limit, np.float32), np.where(needed > 0, least, 0))
    return found.astype(np.float32).reshape(np.shape(limit))


def input_steps(graph: Graph, plan: IntegerPlan, steps: Sequence[float]) -> Mapping[str, float]:
    """Say how fine the inputs of layers with integer weights are.

    Args:
        graph: the folded network.
        plan: its integers.
        steps: of each range of the plan.

    Returns:
        Layer -> the step of its input; of a layer that is called several times the finest.
    """
    layers = {place.layer for place in plan.weights}
    found: dict[str, float] = {}
    for node in graph.nodes:
        number = plan.range_of.get(node.inputs[0]) if node.layer in layers else None
        if number is not None:
            found[node.layer] = min(found.get(node.layer, np.inf), float(steps[number]))
    return found
