"""Cross-layer equalization: channels of two layers in a row are scaled so that one grid fits all.

For a layer, an activation with f(s x) = s f(x) for s > 0, and a layer that alone reads it,

    W2 f(W1 x + b1) = (W2 S) f(S^-1 W1 x + S^-1 b1),    S = diag(s) > 0,                    (1)

with r1, r2 the largest absolute weight that makes, and that reads, each channel,

    s = sqrt(r1 r2) / r2                                                                  (2)

makes both ranges sqrt(r1 r2). A channel that is nearly dead (r1 next to nothing beside its bias)
would have its bias blown up, and with it the range of the whole tensor. So

    s_c >= |b_c| m / max |b|,    m the median of all s by (2):                            (3)

no bias gets larger than the largest would in the middle of the layer. Where a layer stands in two
pairs, passes are repeated until no s moves.

Reference:
    Nagel, van Baalen, Blankevoort & Welling, "Data-Free Quantization Through Weight Equalization
    and Bias Correction", ICCV 2019, arXiv:1906.04721, section 4.1, equations (7) and (11).

Departs from the paper: high biases are bounded by (3), not absorbed (section 4.1.3), for which it
takes the moments of batch norms; ranges of activations are calibrated here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from utils.graph import Graph, Node, Ref, ops
from utils.graph.row import IN, channel_axis

MAX_PASSES = 20
_CLOSE = 1e-3  # to 1, of all s: no more passes
_SCALED_WITH_INPUT = ("linear", "relu", None)
BOUNDED = "relu6"
"""An activation that has to become a ReLU to be scaled."""


@dataclasses.dataclass(frozen=True)
class Pair:
    """Two layers in a row.

    Attributes:
        first: the node that makes the channels.
        second: the only node that reads them.
    """

    first: str
    second: str


def equalizing_scales(
    first: np.ndarray, second: np.ndarray, bias: np.ndarray | None = None
) -> np.ndarray:
    """Compute (2), within (3).

    Args:
        first: r1, float [C], >= 0.
        second: r2, float [C], >= 0.
        bias: b, float [C], of the layer that makes the channels; None without one.

    Returns:
        s, float64 [C], > 0; 1 for a channel that is zero on either side.

    Example:
        >>> equalizing_scales(np.array([4.0, 1.0, 0.0]), np.array([1.0, 4.0, 2.0]))
        array([2. , 0.5, 1. ])
        >>> equalizing_scales(np.array([1.0, 1.0, 1e-6]), np.ones(3), np.array([0.5, 0.0, 0.5]))
        array([1., 1., 1.])
    """
    there = (first > 0) & (second > 0)
    quotient = np.where(there, first, 1.0) / np.where(there, second, 1.0)
    scales: np.ndarray = np.sqrt(np.asarray(quotient, np.float64))
    sizes = np.zeros(len(scales)) if bias is None else np.abs(np.asarray(bias, np.float64))
    largest = np.max(sizes, initial=0.0)
    if largest > 0 and there.any():
        least = sizes * np.median(scales[there]) / largest
        scales = np.where(there, np.maximum(scales, least), scales)
    return scales


def unbounded(graph: Graph) -> Graph:
    """Let bounded activations in front of a pair's second layer be ReLUs, as the paper does.

    Args:
        graph: the folded network.

    Returns:
        Another network: outputs change where a value was beyond the bound.
    """
    changed = {
        node.name: node.with_attrs(activation="relu")
        for node in graph.nodes
        if node.attrs.get("activation") == BOUNDED
        and _reader(graph, node.with_attrs(activation="relu")) is not None
    }
    return graph.replace(nodes=tuple(changed.get(node.name, node) for node in graph.nodes))


def pairs(graph: Graph) -> list[Pair]:
    """List the layers in a row that (1) holds for, in the order of the network.

    Args:
        graph: the folded network (`utils.graph.fold`).
    """
    found = []
    for node in graph.nodes:
        reader = _reader(graph, node)
        if reader is not None:
            found.append(Pair(node.name, reader.name))
    return found


def _reader(graph: Graph, node: Node) -> Node | None:
    """Find the layer that makes a pair with a node, None where there is none."""
    row = ops.find(graph, node)
    if row is None or row.folds is None or len(graph.calls(node.layer)) > 1:
        return None
    if node.attrs.get("activation") not in _SCALED_WITH_INPUT or Ref(node.name) in graph.outputs:
        return None
    readers = graph.consumers(node.name)
    if len(readers) != 1 or len(graph.calls(readers[0].layer)) > 1:
        return None
    second = readers[0]
    second_row = ops.find(graph, second)
    reads_channels = ops.weight_axes(graph, second, IN)
    if second_row is None or second_row.folds is None or len(reads_channels) != 1:
        return None
    rank = len(graph.shape(Ref(node.name)))
    same_axis = channel_axis(node.attrs, rank) == channel_axis(second.attrs, rank)
    weight, axis = reads_channels[0]
    size = graph.params[second.layer][weight].shape[axis]
    return second if same_axis and size == _num_channels(graph, node, row.folds) else None


def _num_channels(graph: Graph, node: Node, folds: tuple[str, tuple[int, ...]]) -> int:
    weight, axes = folds
    shape = graph.params[node.layer][weight].shape
    return int(np.prod([shape[axis] for axis in axes]))


def equalize(graph: Graph, max_passes: int = MAX_PASSES) -> Graph:
    """Equalize all pairs of a network; its outputs stay the same up to rounding of floats.

    Args:
        graph: the folded network.
        max_passes: over all pairs.

    Returns:
        The network with scaled weights.
    """
    found = pairs(graph)
    params = {layer: dict(arrays) for layer, arrays in graph.params.items()}
    for _ in range(max_passes):
        furthest = 0.0
        for pair in found:
            scales = _equalize(graph, params, pair)
            furthest = max(furthest, float(np.max(np.abs(scales - 1.0), initial=0.0)))
        if furthest <= _CLOSE:
            break
    return graph.replace(params=params)


def _equalize(graph: Graph, params: Mapping[str, dict[str, np.ndarray]], pair: Pair) -> np.ndarray:
    first, second = graph.node(pair.first), graph.node(pair.second)
    row = ops.find(graph, first)
    if row is None or row.folds is None:
        raise ValueError(f"{pair.first!r} makes no pair.")
    made, read = params[first.layer], params[second.layer]
    weight, out_axes = row.folds
    ((reader, in_axis),) = ops.weight_axes(graph, second, IN)
    ranges = _range(made[weight], out_axes), _range(read[reader], (in_axis,))
    scales = equalizing_scales(*ranges, made.get("bias"))
    made[weight] = _times(made[weight], 1 / scales, out_axes)
    if "bias" in made:
        made["bias"] = (made["bias"] / scales).astype(made["bias"].dtype)
    read[reader] = _times(read[reader], scales, (in_axis,))
    return scales


def _range(kernel: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    """Largest absolute value of each channel, float64 [C]."""
    others = tuple(axis for axis in range(-kernel.ndim, 0) if axis not in axes)
    return np.max(np.abs(kernel), axis=others).astype(np.float64).ravel()


def _times(kernel: np.ndarray, scales: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    shape = [size if axis - kernel.ndim in axes else 1 for axis, size in enumerate(kernel.shape)]
    return (kernel * scales.reshape(shape)).astype(kernel.dtype)
