"""Groups split further: into segments, or into one choice for each reader.

A residual stream that grows by zero padding (ResNets on CIFAR-10) is one group: its first 16
channels run through all three stages, 16 more join in the second, 32 in the third. What a channel
costs, and how many may go, depends on where it appears. A *segment* holds the channels with equal
sets of places; counts are settled and channels chosen segment by segment.
"""

import dataclasses
from collections.abc import Iterable, Mapping

import numpy as np

from utils.graph import ChannelGroup, Graph, Reader, channel_groups, shrink

_AT = "@"  # between a group's name and the reader that chooses for itself


def segments(group: ChannelGroup) -> list[ChannelGroup]:
    """Split a group by the places where its channels appear.

    Args:
        group: as `channel_groups` gives it.

    Returns:
        The group itself where all channels appear in the same places, else one group per segment,
        named `<group>#0`, `<group>#1`, … in the order of their first channels; readers count the
        other segments' channels as coming from elsewhere (-1).
    """
    members = _members(group)
    if len(members) == 1:
        return [group]
    return [_part(group, f"{group.name}#{i}", part) for i, part in enumerate(members)]


def merged(graph: Graph, keep: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Put masks of segments together to masks of groups, as `shrink` takes them.

    Args:
        graph: the network that the groups belong to.
        keep: boolean masks by segment (or group) name; what is missing is kept whole.

    Returns:
        Boolean masks by group name, for groups that are named in `keep`.
    """
    result = {}
    for group in channel_groups(graph):
        members = _members(group)
        names = (
            [group.name]
            if len(members) == 1
            else [f"{group.name}#{i}" for i in range(len(members))]
        )
        if not any(name in keep for name in names):
            continue
        mask = np.ones(group.size, dtype=bool)
        for name, part in zip(names, members, strict=True):
            if name in keep:
                mask[part] = keep[name]
        result[group.name] = mask
    return result


def per_reader(group: ChannelGroup) -> list[ChannelGroup]:
    """Let each reader of a group choose for itself, through a gather in front of it.

    Args:
        group: as `channel_groups` gives it.

    Returns:
        One group per reader, of the channels that it reads, named `<group>@<reader>`.
    """
    parts = []
    for reader in group.readers:
        members = np.unique(reader.channels[reader.channels >= 0])
        part = _part(group, f"{group.name}{_AT}{reader.node}", members)
        own = tuple(other for other in part.readers if other.node == reader.node)
        parts.append(dataclasses.replace(part, readers=own, loops=()))  # no unit goes itself
    return parts


def cut(graph: Graph, groups: Iterable[ChannelGroup], keep: Mapping[str, np.ndarray]) -> Graph:
    """Delete channels, whatever kind of group they were chosen in.

    Args:
        graph: the network.
        groups: what was chosen for: groups, segments, or those of `per_reader`.
        keep: boolean mask for each of them by name; what is missing is kept whole.

    Returns:
        The smaller network; in front of a reader that dropped a channel alone stands a
        `keras.ops.take`.
    """
    own: dict[str, np.ndarray] = {}
    for group in groups:
        if _AT in group.name and group.name in keep:
            (reader,) = group.readers
            from_elsewhere = reader.channels < 0
            mask = from_elsewhere | keep[group.name][np.maximum(reader.channels, 0)]
            own[reader.node] = own.get(reader.node, True) & mask
    shared = {name: mask for name, mask in keep.items() if _AT not in name}
    return shrink(graph, merged(graph, shared), own)


def _members(group: ChannelGroup) -> list[np.ndarray]:
    """List the channels of each segment, the segments by their first channels."""
    places = [*group.blocks, *(reader.channels[reader.channels >= 0] for reader in group.readers)]
    appears = np.zeros((group.size, len(places)), dtype=bool)
    for index, channels in enumerate(places):
        appears[channels, index] = True
    if not places:
        return [np.arange(group.size)]
    _, first, number = np.unique(appears, axis=0, return_index=True, return_inverse=True)
    number = number.reshape(-1)
    return [np.flatnonzero(number == which) for which in np.argsort(first)]


def _part(group: ChannelGroup, name: str, members: np.ndarray) -> ChannelGroup:
    local = np.full(group.size + 1, -1)  # the last entry serves -1 itself
    local[members] = np.arange(members.size)
    readers, loops = (
        tuple(
            Reader(reader.node, local[reader.channels])
            for reader in found
            if np.any(local[reader.channels] >= 0)
        )
        for found in (group.readers, group.loops)
    )
    channels = tuple(local[indices] for indices in group.producer_channels)
    return dataclasses.replace(
        group,
        name=name,
        size=members.size,
        readers=readers,
        loops=loops,
        producer_channels=channels,
        blocks=(np.arange(members.size),),
    )
