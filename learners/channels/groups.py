"""Which channel groups are pruned, and how many channels of each stay."""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from learners.budget import Budget, keep_count
from learners.channels.budget import ChannelBudget
from learners.channels.flags import BudgetFlags, ChannelFlags
from learners.channels.segments import per_reader, segments
from learners.name_parts import name_parts, require_known
from utils.errors import InputError
from utils.graph import ChannelGroup, Graph, channel_groups, ops


def prunable_groups(graph: Graph, config: ChannelFlags) -> list[ChannelGroup]:
    """List the groups that the flags let be pruned, in the order of their first readers.

    Args:
        graph: the network.
        config: `residual` and `skip_*`.

    Returns:
        The groups.

    Raises:
        InputError: if there are none; says why for the first ones that were left out.
    """
    gathers = config.residual == "gather"
    order = {node.name: index for index, node in enumerate(graph.nodes)}
    groups = [
        part
        for group in channel_groups(graph)
        for part in (per_reader(group) if gathers and group.is_stream else segments(group))
    ]
    readers = sorted({r.node for g in groups for r in g.readers}, key=order.__getitem__)
    skipped = _skipped_readers(graph, readers, config)
    chosen, left_out = [], []
    for group in groups:
        reason = _why_not(group, skipped, config)
        if reason:
            left_out.append(f"{group.name} ({reason})")
        else:
            chosen.append(group)
    if not chosen:
        raise InputError(
            f"{graph.name}: no channels can be pruned: {'; '.join(left_out[:5]) or 'no groups'}. "
            f"Try --{config.PREFIX}residual=joint, or fewer --{config.PREFIX}skip_* flags."
        )
    return sorted(chosen, key=lambda group: min(order[r.node] for r in group.readers))


def _skipped_readers(graph: Graph, readers: Sequence[str], config: ChannelFlags) -> dict[str, str]:
    skipped: dict[str, str] = {}
    rows = ((node.name, ops.find(graph, node)) for node in graph.nodes)
    weighted = [name for name, row in rows if row is not None and row.uses]
    if config.skip_frst_layer and weighted:
        skipped[weighted[0]] = f"--{config.PREFIX}skip_frst_layer"
    if config.skip_last_layer and weighted:
        skipped[weighted[-1]] = f"--{config.PREFIX}skip_last_layer"
    parts, flag = name_parts(config.skip_op_names), f"{config.PREFIX}skip_op_names"
    require_known(parts, readers, source=f"`{flag}`", which="that reads channels")
    matches = [name for name in readers if any(part in name for part in parts)]
    skipped |= dict.fromkeys(matches, f"--{flag}")
    return skipped


def _why_not(group: ChannelGroup, skipped: Mapping[str, str], config: ChannelFlags) -> str:
    if not group.prunable:
        return group.reason
    if group.size < 2:
        return "a single channel"
    if group.is_stream and config.residual == "inner":
        return f"a residual stream, --{config.PREFIX}residual=inner"
    flags = {skipped[reader.node] for reader in group.readers if reader.node in skipped}
    return ", ".join(sorted(flags))


def ratio_counts(groups: Sequence[ChannelGroup], config: ChannelFlags) -> dict[str, int]:
    """Say how many channels of each group stay at the ratio, or the ratios, of the flags.

    Args:
        groups: the groups that are pruned, in the order of the network.
        config: `prune_ratio`, or the ratios of `ratio_list`; `round_to`.

    Returns:
        Group name -> channels that stay.

    Raises:
        InputError: if a list has not as many ratios as there are groups; names the layers.
    """
    listed = config.ratio_list()
    ratios = [config.prune_ratio] * len(groups) if listed is None else listed.ratios
    if listed is not None and len(ratios) != len(groups):
        raise InputError(
            f"{listed.source} holds {len(ratios)} ratios, and {len(groups)} layers of this network "
            "can be pruned. Give one for each, in this order: "
            f"{', '.join(group.name for group in groups)}."
        )
    return {
        group.name: keep_count(group.size, ratio, config.round_to)
        for group, ratio in zip(groups, ratios, strict=True)
    }


def channel_budget(
    graph: Graph,
    groups: Sequence[ChannelGroup],
    config: BudgetFlags,
    budget: Budget,
    measurements_path: pathlib.Path | None = None,
) -> ChannelBudget:
    """Set a budget up for the groups, with the counts that the flags allow."""
    inner = getattr(config, "residual", "") == "inner"
    joint: Any = dataclasses.replace(config, residual="joint") if inner else None  # type: ignore[type-var]
    return ChannelBudget(
        graph,
        groups,
        budget,
        round_to=config.round_to,
        latency_step=config.channel_search.latency_step,
        measurements_path=measurements_path,
        prefix=config.PREFIX,
        wider=None if joint is None else lambda: prunable_groups(graph, joint),
    )


def budget_counts(
    graph: Graph,
    groups: Sequence[ChannelGroup],
    config: BudgetFlags,
    budget: Budget,
) -> dict[str, int]:
    """Say how many channels of each group stay within a budget, at one uniform ratio."""
    channels = channel_budget(graph, groups, config, budget)
    return channels.by_name(channels.refined(channels.uniform()))
