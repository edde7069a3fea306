"""Groups of channels: what they are, and how they are collected from coupled elements."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from utils.graph.row import FIXED


@dataclasses.dataclass(frozen=True, eq=False)
class Reader:
    """A kernel that reads a group's channels.

    Attributes:
        node: name of the node that the kernel belongs to.
        channels: int array [in_features of the kernel]: for each index of the axis that the kernel
            reads, the group's channel there, -1 for inputs from elsewhere. After a Flatten several
            indices hold the same channel.
    """

    node: str
    channels: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class ChannelGroup:
    """Channels that can only be cut together, wherever they appear.

    Attributes:
        name: the first producer's node.
        size: number of channels to choose from.
        prunable: whether any may go.
        reason: why none may, else empty.
        producers: nodes whose output channels are the group's, in order (the first call of a
            shared layer).
        producer_channels: for each producer an int array [its output channels]: the group's channel
            of each. Usually 0, 1, 2, …; where a narrow stream continues in a wide one, or groups of
            channels go as a whole, it is not.
        readers: the kernels that read the group.
        loops: the recurrent layers whose units are the group's: each reads them through its own
            recurrent kernels (`row.SELF`), `channels` being the group's channel of each unit.
        is_stream: channels of several producers meet in an Add or the like.
        blocks: int arrays of channels: of each, at least one must stay, or a tensor would be empty.
    """

    name: str
    size: int
    prunable: bool
    reason: str
    producers: tuple[str, ...]
    producer_channels: tuple[np.ndarray, ...]
    readers: tuple[Reader, ...]
    loops: tuple[Reader, ...]
    is_stream: bool
    blocks: tuple[np.ndarray, ...]


class GroupBuilder:
    """Collects what belongs to each group."""

    def __init__(self, reasons: list[str], group_of: np.ndarray, channel_of: np.ndarray) -> None:
        self._reasons = reasons
        self._group_of = group_of
        self._channel_of = channel_of
        self._readers: dict[int, list[Reader]] = {}
        self._loops: dict[int, list[Reader]] = {}
        self._blocks: dict[int, dict[bytes, np.ndarray]] = {}
        self._streams: set[int] = set()
        self._seen: set[int] = set()

    def _parts(self, ids: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the groups among some elements, each with the group's channel of every element."""
        groups = np.where(ids == FIXED, FIXED, self._group_of[ids])
        for group in np.unique(groups):
            if group != FIXED:
                yield int(group), np.where(groups == group, self._channel_of[ids], FIXED)

    def add_reader(self, node: str, ids: np.ndarray) -> None:
        """Note a kernel that reads these elements."""
        for group, channels in self._parts(ids):
            self._readers.setdefault(group, []).append(Reader(node, channels))

    def add_loop(self, node: str, ids: np.ndarray) -> None:
        """Note a recurrent layer that these elements are the units of."""
        for group, channels in self._parts(ids):
            self._loops.setdefault(group, []).append(Reader(node, channels))

    def add_tensor(self, ids: np.ndarray) -> None:
        """Note a tensor whose channels all belong to one group: it would be empty without them."""
        if id(ids) in self._seen:
            return
        self._seen.add(id(ids))
        parts = list(self._parts(ids))
        if len(parts) == 1 and (parts[0][1] != FIXED).all():
            group, channels = parts[0]
            block = np.unique(channels)
            self._blocks.setdefault(group, {})[block.tobytes()] = block

    def add_stream(self, ids: np.ndarray) -> None:
        """Note channels that meet those of other producers."""
        self._streams.update(group for group, _ in self._parts(ids))

    def build(self, number: int, producers: list[tuple[str, np.ndarray]]) -> ChannelGroup:
        """Make a group out of what was noted, given its producers' nodes and elements."""
        channels = tuple(self._channel_of[ids] for _, ids in producers)
        size = int(max(vector.max(initial=-1) for vector in channels)) + 1
        reason = self._reasons[number]
        if not reason and size < 2:
            reason = "it is a single channel"
        return ChannelGroup(
            name=producers[0][0],
            size=size,
            prunable=not reason,
            reason=reason,
            producers=tuple(name for name, _ in producers),
            producer_channels=channels,
            readers=tuple(self._readers.get(number, ())),
            loops=tuple(self._loops.get(number, ())),
            is_stream=number in self._streams and len(producers) > 1,
            blocks=tuple(self._blocks.get(number, {}).values()),
        )


def components(first: np.ndarray, second: np.ndarray, size: int) -> np.ndarray:
    """Find the connected component of each of `size` vertices, given edges."""
    edges = coo_array((np.ones(first.size, dtype=np.int8), (first, second)), shape=(size, size))
    if size == 0:
        return np.empty(0, dtype=int)
    return connected_components(edges, directed=False)[1].astype(int)
