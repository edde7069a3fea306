"""Ranges that integer kernels can compute with: none is next to nothing beside what it is made of.

Where a ReLU was dead on all samples, a range is [0, 0] or nearly so. Kernels multiply their sums by
the step of the input times that of the weights over that of the output; optimized ones abort where
this is 256 or more. A range is therefore widened until the quotient is at most `LARGEST_MULTIPLIER`
(at 8 bits; at 4, where steps of weights are 18 times larger, it is 145), and until it is
`LEAST_PART` of the widest that a sum or another operator reads.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from utils.graph.ir import Graph, Node, Ref
from utils.quantization.integers import Ends, IntegerPlan

LARGEST_MULTIPLIER = 8.0
LEAST_PART = 1e-3
_LEAST_OF_ALL = 1e-6  # of the widest range of the network
_WEIGHT_STEPS, _STEPS = 127, 255
_NO_RANGE = 1e-3  # wide, where a network has nothing but zeros


def widened(graph: Graph, plan: IntegerPlan, ranges: Sequence[Ends]) -> tuple[Ends, ...]:
    """Widen ranges; see the module.

    Args:
        graph: the folded network.
        plan: its integers.
        ranges: least and greatest value of each range of the plan, 0 inside.

    Returns:
        The ranges; those that kernels settle are as the plan has them. The upper end is moved.
    """
    ends = [place.fixed or found for place, found in zip(plan.activations, ranges, strict=True)]
    least = _LEAST_OF_ALL * max(map(_width, ends), default=0.0) or _NO_RANGE
    ends = [_widened(each, least) for each in ends]
    kernels = {place.layer: place.weight for place in plan.weights}
    for node in graph.nodes:
        number = _written(graph, plan, node)
        read = [plan.range_of[ref] for ref in node.inputs if ref in plan.range_of]
        if number is None or number in read or not read or plan.activations[number].fixed:
            continue
        widths = [_width(ends[each]) for each in read]
        kernel = None
        if node.layer in kernels:
            kernel = graph.params[node.layer][kernels[node.layer]]
        ends[number] = _widened(ends[number], _needed(node, widths, kernel))
    return tuple(ends)


def _written(graph: Graph, plan: IntegerPlan, node: Node) -> int | None:
    """Find the range that a node's kernel writes: its own, or that of the ReLU behind it."""
    number = plan.range_of.get(Ref(node.name))
    if number is not None:
        return number
    readers = graph.consumers(node.name)
    return plan.range_of.get(Ref(readers[0].name)) if len(readers) == 1 else None


def _needed(node: Node, widths: Sequence[float], kernel: np.ndarray | None) -> float:
    if kernel is not None:
        step = float(np.max(np.abs(kernel), initial=0.0)) / _WEIGHT_STEPS
        return widths[0] * step / LARGEST_MULTIPLIER
    if node.op.endswith(".Multiply") and len(widths) == 2:
        return widths[0] * widths[1] / _STEPS / LARGEST_MULTIPLIER
    return LEAST_PART * max(widths)


def _width(ends: Ends) -> float:
    return ends[1] - ends[0]


def _widened(ends: Ends, width: float) -> Ends:
    return ends[0], max(ends[1], ends[0] + width)
