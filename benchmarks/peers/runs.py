"""One row of the peer, from the public weights to its figures."""

from __future__ import annotations

import copy
import dataclasses
import datetime
import functools
import importlib.metadata
import pathlib
import platform
import time
from typing import Any

import torch

from benchmarks.peers import images, network, plan, pruning, tuning
from benchmarks.peers.plan import PeerRow

TOLERANCE = 0.0005  # of the dense accuracy
FLOPS_TOLERANCE = 0.01
_TAYLOR_BATCHES = 20


class MismatchError(RuntimeError):
    """The peer is not measured on what ours is: weights, images or FLOPs differ."""


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a process finds what it needs.

    Attributes:
        data: folder of the binary batches.
        weights: folder of the public weights.
        device: `cpu`, `cuda`.
        threads: of torch on the CPU; 0 for its own choice.
    """

    data: pathlib.Path
    weights: pathlib.Path
    device: str
    threads: int = 0


def measure(row: PeerRow, place: Place) -> dict[str, Any]:
    """Prune, score, fine-tune, and score after each epoch.

    Args:
        row: what.
        place: from where.

    Returns:
        Accuracies in [0, 1] `dense`, `before` and `after` (a list, an epoch each); `flops`,
        `flops_kept`, `params`; `pruning_seconds` and `seconds` (of fine-tuning, scoring included).

    Raises:
        MismatchError: if the dense accuracy or the FLOPs are not those that ours is measured at.
    """
    if place.threads:
        torch.set_num_threads(place.threads)
    device = torch.device(place.device)
    torch.backends.cudnn.benchmark = True
    part = row.seed if row.held_out else None
    data, accuracy = _data(place, part), _dense_top1(row.network, place, part)
    if not row.held_out:
        check_dense(row.network, accuracy)
    dense = network.load(row.network, place.weights).to(device)
    start = time.perf_counter()
    small = pruned(dense, row, data)
    pruning_seconds = time.perf_counter() - start
    cost = check_cost(small, row.network, row.budget)
    before = data.top1(small)
    torch.manual_seed(row.seed)
    start = time.perf_counter()
    after = list(tuning.fine_tune(small, data, row, dense.eval() if row.distilled else None))
    return {
        "dense": accuracy,
        "before": before,
        "after": after,
        **cost,
        "pruning_seconds": round(pruning_seconds, 2),
        "seconds": round(time.perf_counter() - start, 2),
        "device": _device_name(device),
        "versions": {name: importlib.metadata.version(name) for name in ("torch", "torch-pruning")},
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def pruned(dense: network.ResNet, row: PeerRow, data: tuning.Data | None = None) -> Any:
    """Give a copy of the dense network, cut as a row says; `data` for `taylor` alone."""
    small = copy.deepcopy(dense)
    if row.importance == "taylor" and data is not None:
        batches = data.plain(row.batch_size, _TAYLOR_BATCHES, seed=row.seed)
        pruning.accumulate_gradients(small, batches)
    found = pruning.scores(small, pruning.importance_of(row.importance))
    small.zero_grad(set_to_none=True)
    goal = plan.load_counts(row.network)[row.budget]
    pruning.cut(small, pruning.choose(small, found, row.scope, goal))
    return small


def check_dense(name: str, accuracy: float) -> None:
    """Refuse weights or images of which the dense network does not reach its known accuracy."""
    wanted = plan.DENSE_TOP1[name]
    if abs(accuracy - wanted) > TOLERANCE + 1e-9:
        raise MismatchError(
            f"the dense {name} must have an accuracy of {wanted:.4f} on the test images. "
            f"Received: {accuracy:.4f}. Check the weights, the images and their normalization."
        )


def check_cost(small: Any, name: str, budget: str) -> dict[str, float]:
    """Count a pruned network and refuse one of other FLOPs than ours."""
    counts = plan.load_counts(name)
    found, wanted = network.cost(small), counts[budget]["flops"]
    if abs(found["flops"] / wanted - 1.0) > FLOPS_TOLERANCE:
        raise MismatchError(
            f"{name} at {budget} must have {wanted:,} multiply-adds, as ours has, within 1 %. "
            f"Received: {found['flops']:,}."
        )
    return {**found, "flops_kept": found["flops"] / counts["dense"]["flops"]}


@functools.lru_cache(maxsize=2)
def _data(place: Place, part: int | None) -> tuning.Data:
    """Load the images; a part of the training images stands for the test images, if not None."""
    found = images.load(place.data)
    divided = found if part is None else found.held_out(part)
    return tuning.Data(divided, torch.device(place.device))


@functools.lru_cache(maxsize=8)
def _dense_top1(name: str, place: Place, part: int | None) -> float:
    dense = network.load(name, place.weights).to(torch.device(place.device))
    return _data(place, part).top1(dense)


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    return f"{platform.machine()}, {torch.get_num_threads()} threads"
