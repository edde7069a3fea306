"""What follows a layer channel by channel, taken into it: a bias, a folded batch norm."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from utils.frontends.building import Building
from utils.frontends.source import SourceNode
from utils.frontends.values import Value

Scale = np.ndarray | float
_ADDS = frozenset({"Add", "AddV2", "BiasAdd"})
_OPERATORS = frozenset({*_ADDS, "Mul", "Sub"})  # of ONNX and TensorFlow, which call them alike


def with_affine(
    build: Building,
    node: SourceNode,
    width: int,
    make: Callable[[Scale, np.ndarray | None], Value],
) -> Value:
    """Build a layer with what its only readers do to each channel, one after the other.

    Args:
        build: the network.
        node: the layer; its `channel_axis`, if it has one, says where the channels of an image lie.
        width: its channels.
        make: makes the layer, its kernel times a factor per channel, with a bias [width] or None.

    Returns:
        The layer's value, which is that of the last of these readers, too.
    """
    scale: Scale = 1.0
    bias: np.ndarray | None = None
    end = ""
    while True:
        reader = build.only_reader(end or node.outputs[0])
        step = None if reader is None else _per_channel(build, node, reader, end, width)
        if reader is None or step is None:
            break
        factor, shift = step
        scale = scale * factor
        bias = None if bias is None else bias * factor
        if shift is not None:
            bias = shift if bias is None else bias + shift
        end = build.take_over(reader)
    value = make(scale, None if bias is None else np.asarray(bias, np.float32))
    if end:
        build.values[end] = value
    return value


def _per_channel(
    build: Building, node: SourceNode, reader: SourceNode, end: str, width: int
) -> tuple[Scale, np.ndarray | None] | None:
    """Read a node as a factor and a shift for each channel; None if it is another one."""
    if reader.op not in _OPERATORS or len(reader.inputs) != 2:
        return None
    read = end or node.outputs[0]
    place = 1 if reader.inputs[0] == read else 0
    if (reader.op == "Sub" and place == 0) or reader.inputs[1 - place] != read:
        return None
    other = build.values.get(reader.inputs[place])
    is_last = int(node.attrs.get("channel_axis", 3)) == 3 or reader.op == "BiasAdd"
    if other is None or other.array is None or other.array.shape != (width,) or not is_last:
        return None
    array = np.asarray(other.array, np.float64)
    if reader.op == "Mul":
        return array, None
    return 1.0, -array if reader.op == "Sub" else array
