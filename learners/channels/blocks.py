"""Keeping channels such that each of a group's blocks has one: no tensor may become empty."""

import numpy as np

from learners.channels.lasso import largest
from utils.graph import ChannelGroup


def best_channels(scores: np.ndarray, num_keep: int, group: ChannelGroup) -> np.ndarray:
    """Mark the channels with the largest scores, of each block at least one.

    Args:
        scores: float [C].
        num_keep: how many, at least 1; more stay only where there are more blocks.
        group: its blocks.

    Returns:
        bool [C], True = keep.
    """
    return with_blocks(largest(scores, num_keep), scores, group, swap=True)


def with_blocks(
    mask: np.ndarray, scores: np.ndarray, group: ChannelGroup, *, swap: bool = False
) -> np.ndarray:
    """Let the best channel of each of a group's blocks stay, and of the group itself.

    Args:
        mask: bool [C], True = keep; not changed.
        scores: float [C].
        group: its blocks.
        swap: for each channel that stays so, the worst that can goes.

    Returns:
        bool [C].
    """
    mask = mask.copy()
    blocks = (np.arange(group.size), *group.blocks)
    for block in blocks:
        if mask[block].any():
            continue
        mask[block[np.argmax(scores[block])]] = True
        spare = [
            channel
            for channel in np.flatnonzero(mask)
            if all(mask[other].sum() > 1 or channel not in other for other in blocks)
        ]
        if swap and spare:
            mask[min(spare, key=lambda channel: scores[channel])] = False
    return mask
