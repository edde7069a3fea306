"""How much working memory candidates take: the feature maps that are alive at once.

What a runtime takes for a network's activations is the most that lies in memory at any step: every
feature map from the step that makes it to the last that reads it. Batch normalization and
activations work in place. The runtime's own lay-out adds to that; the line through whole networks
(`measured.py`) takes that up.
"""

from __future__ import annotations

import math

import numpy as np

from learners.channels.cost import NetworkCost
from utils.graph import Graph, Node, ops
from utils.graph.ir import Ref


class PeakMemory:
    """Predicts the entries of feature maps that are alive at once, for many candidates.

    Args:
        cost: knows how to cut the network.
        full: the whole network as a candidate, int [groups].
    """

    def __init__(self, cost: NetworkCost, full: np.ndarray) -> None:
        whole = cost.cut(full)
        maps, self._alive = live_maps(whole)
        self._sizes = _entries(whole, maps)
        self._slopes = np.zeros((len(full), len(maps)))
        self._full = np.asarray(full)
        for number, size in enumerate(full):
            if size > 1:
                values = self._full.copy()
                values[number] = 1
                less = self._sizes - _entries(cost.cut(values), maps)
                self._slopes[number] = less / (size - 1)

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Predict candidates int [n, groups]: entries float64 [n]."""
        sizes = self._sizes + (values - self._full) @ self._slopes
        peaks: np.ndarray = (sizes @ self._alive.T).max(axis=1)
        return peaks


def live_maps(graph: Graph) -> tuple[list[Ref], np.ndarray]:
    """Say which feature maps there are and when each is alive.

    Args:
        graph: a network.

    Returns:
        The maps, each by the first name of its values, and bool [nodes, maps]: alive while a node
        is computed.
    """
    first: dict[Ref, Ref] = {}
    spans: dict[Ref, tuple[int, int]] = {}
    for step, node in enumerate(graph.nodes):
        for ref in node.inputs:
            start, _ = spans[first[ref]]
            spans[first[ref]] = (start, step)
        in_place = _is_in_place(graph, node)
        for index in range(len(node.output_shapes)):
            ref = Ref(node.name, index)
            first[ref] = first[node.inputs[0]] if in_place else ref
            spans.setdefault(first[ref], (step, step))
    for ref in graph.outputs:
        spans[first[ref]] = (spans[first[ref]][0], len(graph.nodes) - 1)
    steps = np.arange(len(graph.nodes))[:, None]
    starts, ends = np.array(list(spans.values())).T
    return list(spans), (steps >= starts) & (steps <= ends)


def _is_in_place(graph: Graph, node: Node) -> bool:
    """Whether a node may write over its input: one entry becomes one entry, without a kernel."""
    row = ops.find(graph, node)
    alone = len(node.inputs) == len(node.output_shapes) == 1
    if row is None or row.uses or not alone:
        return False
    return graph.shape(node.inputs[0]) == node.output_shapes[0]


def _entries(graph: Graph, maps: list[Ref]) -> np.ndarray:
    """Count the entries of feature maps of one sample, float64 [maps]."""
    shapes = [graph.shape(ref)[1:] for ref in maps]
    return np.array([math.prod(size or 1 for size in shape) for shape in shapes], float)
