"""How often the entries of a kernel are used for one sample."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import numpy as np

from utils.graph.ir import Graph, Node, Ref, Shape
from utils.graph.row import channel_axis


def position_uses(graph: Graph, node: Node, skip_padding: bool) -> np.ndarray:
    """Once per position of the output (Dense, 1x1 convolutions)."""
    return np.array(_num_positions(node, graph.shape(Ref(node.name))))


def window_uses(graph: Graph, node: Node, skip_padding: bool) -> np.ndarray:
    """Convolution: once per output position, or only where the input lies inside the image.

    Returns:
        A scalar, or an array [kernel size of each spatial axis].
    """
    source, target = graph.shape(node.inputs[0]), graph.shape(Ref(node.name))
    if not skip_padding:
        return np.array(_num_positions(node, target))
    counts = [
        _hits(old, new, axis, node)
        for axis, (old, new) in enumerate(
            zip(_spatial(node, source), _spatial(node, target), strict=True)
        )
    ]
    return functools.reduce(np.multiply.outer, counts)


def transposed_uses(graph: Graph, node: Node, skip_padding: bool) -> np.ndarray:
    """Transposed convolution: once per input position, or only where the output is kept."""
    source, target = graph.shape(node.inputs[0]), graph.shape(Ref(node.name))
    if not skip_padding:
        return np.array(_num_positions(node, source))
    # It is the gradient of a convolution from its output to its input: the same pairs meet.
    counts = [
        _hits(new, old, axis, node)
        for axis, (old, new) in enumerate(
            zip(_spatial(node, source), _spatial(node, target), strict=True)
        )
    ]
    return functools.reduce(np.multiply.outer, counts)


def _spatial(node: Node, shape: Shape) -> list[int]:
    axis = channel_axis(node.attrs, len(shape))
    return [size or 1 for i, size in enumerate(shape) if i not in (0, axis)]


def _num_positions(node: Node, shape: Shape) -> int:
    return math.prod(_spatial(node, shape))


def _hits(source: int, target: int, axis: int, node: Node) -> np.ndarray:
    """For each kernel position along one axis: how many output positions read inside the image.

    Args:
        source: input size.
        target: output size.
        axis: number of the spatial axis.
        node: the convolution.

    Returns:
        int array [kernel size].
    """
    size = _entry(node.attrs["kernel_size"], axis)
    stride = _entry(node.attrs["strides"], axis)
    dilation = _entry(node.attrs["dilation_rate"], axis)
    total = max((target - 1) * stride + (size - 1) * dilation + 1 - source, 0)
    before = {"same": total // 2, "causal": (size - 1) * dilation}.get(node.attrs["padding"], 0)
    places = np.arange(target) * stride - before + np.arange(size)[:, None] * dilation
    return ((places >= 0) & (places < source)).sum(axis=1)


def _entry(value: int | Sequence[int], axis: int) -> int:
    return value if isinstance(value, int) else value[axis]
