"""How often the entries of a kernel are used for one sample."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Sequence

import numpy as np

from utils.graph.ir import Graph, Node, Ref, Shape
from utils.graph.row import channel_axis


def position_uses(graph: Graph, node: Node, skip_padding: bool) -> np.ndarray:
    """Once per position of the output (Dense, 1x1 convolutions)."""
    return np.array(_num_positions(node, graph.shape(Ref(node.name))))


def window_uses(graph: Graph, node: Node, skip_padding: bool) -> np.ndarray:
    """Convolution: once per output position, or only where the input lies inside the image.

    Zeros that a layer in front adds around the image lie outside it, like those of "same".

    Returns:
        A scalar, or an array [kernel size of each spatial axis].
    """
    source, target = graph.shape(node.inputs[0]), graph.shape(Ref(node.name))
    if not skip_padding:
        return np.array(_num_positions(node, target))
    borders = _zeros_around(graph, node)
    counts = [
        _hits(old, new, axis, node, borders[axis])
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


def _zeros_around(graph: Graph, node: Node) -> list[tuple[int, int]]:
    """Count the zeros that a padding layer in front adds, per spatial axis before and behind."""
    source = graph.node(node.inputs[0].node)
    rank = len(graph.shape(node.inputs[0])) - 2
    if not re.fullmatch(r"keras\.layers\.ZeroPadding[123]D", source.op):
        return [(0, 0)] * rank
    padding = source.attrs["padding"]
    pairs = [padding] if rank == 1 else list(padding)
    return [(int(before), int(behind)) for before, behind in pairs]


def _hits(
    source: int, target: int, axis: int, node: Node, border: tuple[int, int] = (0, 0)
) -> np.ndarray:
    """For each kernel position along one axis: how many output positions read inside the image.

    Args:
        source: input size.
        target: output size.
        axis: number of the spatial axis.
        node: the convolution.
        border: entries of the input before and behind the image.

    Returns:
        int array [kernel size].
    """
    size = _entry(node.attrs["kernel_size"], axis)
    stride = _entry(node.attrs["strides"], axis)
    dilation = _entry(node.attrs["dilation_rate"], axis)
    total = max((target - 1) * stride + (size - 1) * dilation + 1 - source, 0)
    before = {"same": total // 2, "causal": (size - 1) * dilation}.get(node.attrs["padding"], 0)
    places = np.arange(target) * stride - before + np.arange(size)[:, None] * dilation
    return ((places >= border[0]) & (places < source - border[1])).sum(axis=1)


def _entry(value: int | Sequence[int], axis: int) -> int:
    return value if isinstance(value, int) else value[axis]
