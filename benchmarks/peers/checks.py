"""What can be checked of the peer without images, in seconds: shapes, FLOPs, cut against masked."""

from __future__ import annotations

import copy
import pathlib
from collections.abc import Iterator
from typing import Any

import torch

from benchmarks.peers import network, plan, pruning, runs, tuning
from benchmarks.peers.plan import PeerRow

_LARGEST_DIFFERENCE = 1e-5


def self_test(weights: pathlib.Path) -> Iterator[str]:
    """Cut every network to every budget and compare with what is expected.

    Args:
        weights: folder of the public weights.

    Yields:
        A line for each check that held.

    Raises:
        MismatchError: for the first that did not.
    """
    torch.manual_seed(0)
    images, labels = torch.randn(8, 3, 32, 32), torch.arange(8)
    for name in plan.DENSE_TOP1:
        dense = network.load(name, weights).eval()
        counts, found = plan.load_counts(name), network.cost(dense)
        if found != counts["dense"]:
            raise runs.MismatchError(f"{name}: ours counts {counts['dense']}, the peer {found}.")
        yield f"{name}: {found['flops']:,} multiply-adds, {found['params']:,} parameters, as ours"
        for budget in plan.BUDGETS:
            for scope in plan.SCOPES:
                row = PeerRow(network=name, budget=budget, importance="l2", scope=scope)
                small = runs.pruned(dense, row)
                cost = runs.check_cost(small, name, budget)
                difference = _difference_from_masked(dense, small, row, images)
                if difference > _LARGEST_DIFFERENCE:
                    raise runs.MismatchError(
                        f"{name} at {budget}: cut and masked differ by {difference:.1e}."
                    )
                yield (
                    f"{name} {budget} {scope}: {cost['flops_kept']:.4f} of the FLOPs, "
                    f"{cost['params']:,} parameters, cut and masked differ by {difference:.1e}"
                )
        loss = tuning.loss_of(small.train(), images, labels, dense)
        loss.backward()
        if not torch.isfinite(loss):
            raise runs.MismatchError(f"{name}: the loss of a step is {loss.item()}.")
        yield f"{name}: a distilled step has a finite loss ({loss.item():.3f})"


def _difference_from_masked(dense: Any, small: Any, row: PeerRow, images: Any) -> float:
    """Compare with the dense network whose second convolutions do not read what was cut."""
    masked = copy.deepcopy(dense)
    found = pruning.scores(masked, pruning.importance_of(row.importance))
    keep = pruning.choose(masked, found, row.scope, plan.load_counts(row.network)[row.budget])
    with torch.no_grad():
        for name, block in network.blocks(masked).items():
            mask = torch.zeros(block.conv1.out_channels)
            mask[keep[name]] = 1.0
            block.conv2.weight *= mask[None, :, None, None]
        outputs, wanted = small.eval()(images), masked.eval()(images)
    return float((outputs - wanted).abs().max() / wanted.abs().max())
