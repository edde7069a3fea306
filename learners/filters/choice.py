"""Which groups of filters are pruned, how many of each stay, and which."""

from collections.abc import Mapping, Sequence

import numpy as np

from learners.budget import keep_count
from learners.channels.blocks import best_channels
from learners.channels.segments import segments
from learners.name_parts import require_known
from utils.errors import InputError
from utils.flags import nearest
from utils.graph import ChannelGroup, Graph, channel_groups


def makers(graph: Graph, group: ChannelGroup) -> list[str]:
    """Name the layers whose filters make a group's channels."""
    return list(dict.fromkeys(graph.node(name).layer for name in group.producers))


def all_groups(graph: Graph) -> list[ChannelGroup]:
    """List all groups, split where channels of one appear in different places."""
    return [part for group in channel_groups(graph) for part in segments(group)]


def filter_groups(
    graph: Graph, *, residual: str = "inner", skipped: Sequence[str] = (), prefix: str = ""
) -> list[ChannelGroup]:
    """List the groups that lose filters, in the order of the network.

    Args:
        graph: the network.
        residual: `inner` leaves residual streams whole, `joint` prunes them too, all layers that
            write one together.
        skipped: layers whose name contains one of these parts are left alone.
        prefix: of flags, for messages.

    Returns:
        The groups.

    Raises:
        InputError: if there are none, with the reasons; if a part is in no name.
    """
    chosen, left_out = [], []
    groups = all_groups(graph)
    names = sorted({name for group in groups for name in makers(graph, group)})
    require_known(skipped, names, source=f"`{prefix}skip_op_names`", which="that has filters")
    for group in groups:
        reason = _why_not(graph, group, residual, skipped)
        if reason:
            left_out.append(f"{group.name} ({reason})")
        else:
            chosen.append(group)
    if not chosen:
        raise InputError(
            f"{graph.name}: no filters can be pruned: {'; '.join(left_out[:5]) or 'no layers'}."
        )
    return chosen


def _why_not(graph: Graph, group: ChannelGroup, residual: str, skipped: Sequence[str]) -> str:
    if not group.prunable or group.size < 2:
        return group.reason or "a single channel"
    if group.is_stream and residual == "inner":
        return "a residual stream"
    if any(part in name for part in skipped for name in makers(graph, group)):
        return "left alone by its name"
    return ""


def named_ratios(
    graph: Graph, ratios: Mapping[str, float | None], source: str
) -> dict[str, float | None]:
    """Find the groups whose filters named layers make.

    Args:
        graph: the network.
        ratios: layer name -> fraction of its filters that go; None where a budget rules.
        source: what names them, for messages.

    Returns:
        Group name -> fraction. Layers that are coupled with a named one lose filters with it.

    Raises:
        InputError: for a layer that is not there or cannot lose filters, and for two that are
            coupled and have different ratios.
    """
    made: dict[str, list[ChannelGroup]] = {}
    for group in all_groups(graph):
        for name in makers(graph, group):
            made.setdefault(name, []).append(group)
    found: dict[str, tuple[str, float | None]] = {}
    for layer, ratio in ratios.items():
        if layer not in made:
            raise InputError(
                f"{source}: no layer with filters is named {layer!r}. {nearest(layer, made)}"
            )
        for group in made[layer]:
            if group.prunable and group.size < 2:  # a segment: one channel of a stream
                continue
            if not group.prunable:
                raise InputError(
                    f"{source}: the filters of {layer!r} cannot be pruned: {group.reason}."
                )
            other, before = found.get(group.name, (layer, ratio))
            if before != ratio:
                raise InputError(
                    f"{source}: {other!r} and {layer!r} are coupled, they lose the same filters. "
                    f"Received: ratios {before} and {ratio}. Give both the same."
                )
            found[group.name] = (layer, ratio)
    return {name: ratio for name, (_, ratio) in found.items()}


def count_left(size: int, removed: float, round_to: int = 1) -> int:
    """Say how many of a group's original `size` channels stay; see `keep_count`."""
    return keep_count(size, min(removed, 1.0), round_to)


def best(scores: np.ndarray, num_keep: int, group: ChannelGroup) -> np.ndarray:
    """Mark the channels that stay: those with the largest scores, of each block at least one.

    Args:
        scores: float [C].
        num_keep: how many, at least 1.
        group: its blocks may not lose all their channels, see `best_channels`.

    Returns:
        bool [C], True = keep.

    Raises:
        InputError: for scores that are not finite.
    """
    if not np.isfinite(scores).all():
        raise InputError(f"the scores of {group.name!r} are not finite. Give a trained network.")
    return best_channels(scores, num_keep, group)
