"""What the rows of pruning are measured against: the original's refit, and plain L1 pruning."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import keras


def adam_least_squares(moments: Any, kernel: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """The original's refit: 100 steps of Adam at 1e-3 on the mean squared error."""
    gram, cross = moments.gram(False), moments.cross_gram(False)
    scale = 2.0 / (moments.count * kernel.shape[1])
    mean, square = np.zeros_like(kernel), np.zeros_like(kernel)
    for step in range(1, 101):
        gradient = scale * (gram @ kernel - cross) * kept[:, None]
        mean = 0.9 * mean + 0.1 * gradient
        square = 0.999 * square + 0.001 * gradient**2
        move = (mean / (1 - 0.9**step)) / (np.sqrt(square / (1 - 0.999**step)) + 1e-8)
        kernel = kernel - 1e-3 * move * kept[:, None]
    return kernel


def squared_error(moments: Any, kernel: np.ndarray, offset: np.ndarray | float) -> float:
    """`||Y - X W - offset||^2 / ||Y||^2`."""
    full = np.vstack([kernel, np.broadcast_to(offset, (1, kernel.shape[1]))])
    residual = (
        np.sum(moments.target_squares)
        - 2.0 * np.sum(full * moments.cross)
        + np.sum(full * (moments.moment @ full))
    )
    return float(residual / np.sum(moments.target_squares))


def l1_pruned(model: keras.Model, budget: str) -> keras.Model:
    """Cut the channels whose producing filters have the smallest L1 norms; nothing is refitted."""
    from learners.budget import parse_budget
    from learners.channel_pruning_rmt.config import ChannelPrunedRmtConfig
    from learners.channels.groups import budget_counts, prunable_groups
    from learners.channels.lasso import largest
    from utils.graph import from_keras, shrink, to_keras

    config = ChannelPrunedRmtConfig()
    graph = from_keras(model)
    groups = prunable_groups(graph, config)
    counts = budget_counts(graph, groups, config, parse_budget(budget))
    keep = {}
    for group in groups:
        kernel = graph.params[graph.node(group.producers[0]).layer]["kernel"]
        norms = np.sum(np.abs(kernel), axis=(0, 1, 2))
        keep[group.name] = largest(norms, counts[group.name])
    return to_keras(shrink(graph, keep))
