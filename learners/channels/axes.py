"""Where in a network's weights the channels of a group are read."""

from collections.abc import Iterator

import numpy as np

from utils.graph import ChannelGroup, Graph, ops
from utils.graph.row import SELF


def read_axes(graph: Graph, group: ChannelGroup) -> Iterator[tuple[str, str, int, np.ndarray]]:
    """Find all rows by which a group's channels are read, in its readers and in its loops.

    Args:
        graph: the network.
        group: the group.

    Yields:
        Layer, weight, axis (counted from the back), and the group's channel of each index there, -1
        for what is not the group's.
    """
    for reader in group.readers:
        node = graph.node(reader.node)
        for weight, axis in ops.input_axes(graph, node):
            yield node.layer, weight, axis, reader.channels
    for loop in group.loops:
        node = graph.node(loop.node)
        for weight, axis in ops.weight_axes(graph, node, SELF):
            yield node.layer, weight, axis, loop.channels


def dropped(channels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Say which indices of an axis go.

    Args:
        channels: int [size of the axis], the channel of each index, -1 for none of the group's.
        mask: boolean [channels], True = keep.

    Returns:
        Boolean [size of the axis].

    Example:
        >>> dropped(np.array([0, 1, -1]), np.array([True, False]))
        array([False,  True, False])
    """
    return (channels >= 0) & ~mask[np.maximum(channels, 0)]
