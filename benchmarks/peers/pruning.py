"""Cut the inner channels of the blocks with Torch-Pruning."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
import torch_pruning as tp
from torch.nn import functional

from benchmarks.peers.network import Block, ResNet, blocks, cost

MOST_CUT = 0.9  # of a layer's channels, where layers are ranked together


def importance_of(name: str) -> Callable[[Any], Any]:
    """Give Torch-Pruning's group importance by the name that rows have for it."""
    if name == "taylor":
        return tp.importance.TaylorImportance()
    return tp.importance.MagnitudeImportance(p={"l2": 2, "l1": 1}[name])


def accumulate_gradients(network: ResNet, batches: Iterable[tuple[Any, Any]]) -> None:
    """Leave the gradient of the loss over some training batches in the weights, for `taylor`."""
    network.eval()
    network.zero_grad()
    for images, labels in batches:
        functional.cross_entropy(network(images), labels).backward()


def scores(network: ResNet, importance: Callable[[Any], Any]) -> dict[str, Any]:
    """Score the inner channels of every block.

    Args:
        network: with gradients where the importance needs them.
        importance: see `importance_of`.

    Returns:
        Block -> scores [width], each group's divided by their mean.
    """
    graph = _graph(network)
    return {
        name: importance(_group(graph, block, range(block.conv1.out_channels))).detach().cpu()
        for name, block in blocks(network).items()
    }


def cut(network: ResNet, keep: Mapping[str, Any]) -> None:
    """Remove channels in place.

    Args:
        network: with no gradients left.
        keep: block -> indices of the inner channels that stay.
    """
    graph = _graph(network)
    for name, block in blocks(network).items():
        gone = sorted(set(range(block.conv1.out_channels)) - {int(index) for index in keep[name]})
        if gone:
            _group(graph, block, gone).prune()


def kept_by_count(found: Mapping[str, Any], counts: Mapping[str, int]) -> dict[str, Any]:
    """Keep the highest scores of each block.

    Args:
        found: block -> scores.
        counts: block -> how many stay.

    Returns:
        Block -> ascending indices.
    """
    return {
        name: torch.sort(torch.topk(found[name], count).indices).values
        for name, count in counts.items()
    }


def kept_by_rank(
    found: Mapping[str, Any], flops_per_channel: Mapping[str, int], dense: int, target: int
) -> dict[str, Any]:
    """Remove the lowest scores of all blocks together, until the multiply-adds fit.

    Args:
        found: block -> scores that can be compared.
        flops_per_channel: block -> multiply-adds that one inner channel takes.
        dense: multiply-adds of the whole network.
        target: how many may stay.

    Returns:
        Block -> ascending indices. Each block keeps at least a tenth of its channels.
    """
    order = sorted(
        (float(score), name, index)
        for name, values in found.items()
        for index, score in enumerate(values)
    )
    left = {name: set(range(len(values))) for name, values in found.items()}
    for _, name, index in order:
        if dense <= target:
            break
        if len(left[name]) - 1 >= max(1, round((1 - MOST_CUT) * len(found[name]))):
            left[name].remove(index)
            dense -= flops_per_channel[name]
    return {name: torch.tensor(sorted(indices)) for name, indices in left.items()}


def flops_per_channel(network: ResNet) -> dict[str, int]:
    """Count the multiply-adds of one inner channel of each block.

    That is a filter of its first convolution and what its second reads, at every position.
    """
    size, found = 32, {}
    for name, block in blocks(network).items():
        size //= block.stride
        entries = 9 * (block.conv1.in_channels + block.conv2.out_channels)
        found[name] = entries * size * size
    return found


def choose(network: ResNet, found: Mapping[str, Any], scope: str, goal: Mapping[str, Any]) -> Any:
    """Say which channels stay, for a row's scope; `goal` is the budget's entry of `counts.json`."""
    if scope == "local":
        return kept_by_count(found, goal["keep"])
    dense = cost(network)["flops"]
    return kept_by_rank(found, flops_per_channel(network), dense, goal["flops"])


def _graph(network: ResNet) -> Any:
    device = next(network.parameters()).device
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return tp.DependencyGraph().build_dependency(
            network.eval(), torch.zeros(1, 3, 32, 32, device=device)
        )


def _group(graph: Any, block: Block, channels: Iterable[int]) -> Any:
    return graph.get_pruning_group(block.conv1, tp.prune_conv_out_channels, idxs=list(channels))
