"""Score and fine-tune a network in PyTorch, on the same batches and at the same rates as ours."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from benchmarks.peers.images import MEAN, PADDING, STD, Images, epoch_draws, padded, places
from benchmarks.peers.muon import Muon
from benchmarks.peers.plan import PeerRow

MOMENTUM = 0.9
WEIGHT_DECAY = 2e-4  # not of batch norm
LOSS_W_DST = 4.0
TEMPERATURE = 4.0
_SCORED_AT_ONCE = 1000


class Data:
    """A data set on the device.

    Args:
        images: what to train on and to score.
        device: where the networks are.
    """

    def __init__(self, images: Images, device: torch.device) -> None:
        self.device = device
        self._train = torch.tensor(padded(images.train), device=device)
        self._train_labels = torch.tensor(images.train_labels, device=device)
        self._test = torch.tensor(images.test, device=device)
        self._test_labels = torch.tensor(images.test_labels, device=device)
        scale = 1.0 / (255.0 * np.array(STD))
        self._scale = torch.tensor(scale, dtype=torch.float32, device=device)
        shift = np.array(MEAN) / np.array(STD)
        self._shift = torch.tensor(shift, dtype=torch.float32, device=device)
        self.num_train = len(images.train)

    def epoch(self, batch_size: int, *, seed: int, epoch: int) -> Iterator[tuple[Any, Any]]:
        """Give the moved batches of an epoch; the last images, too few for one, are left out."""
        order, moves = epoch_draws(self.num_train, seed=seed, epoch=epoch)
        rows, columns = places(moves[order])
        at = [torch.tensor(array, device=self.device) for array in (order, rows, columns)]
        for start in range(0, self.num_train - batch_size + 1, batch_size):
            index, row, column = (array[start : start + batch_size] for array in at)
            pixels = self._train[index[:, None, None], row[:, :, None], column[:, None, :]]
            yield self._inputs(pixels), self._train_labels[index]

    def plain(self, batch_size: int, num_batches: int, *, seed: int) -> Iterator[tuple[Any, Any]]:
        """Give training images as they are, in a seeded order."""
        order = np.random.default_rng(seed).permutation(self.num_train)[: batch_size * num_batches]
        inner = slice(PADDING, -PADDING)
        for index in torch.tensor(order, device=self.device).split(batch_size):
            yield self._inputs(self._train[index, inner, inner]), self._train_labels[index]

    def top1(self, network: nn.Module) -> float:
        """Score a network on the images that are not trained on; in [0, 1]."""
        network.eval()
        hits = 0
        with torch.no_grad():
            for start in range(0, len(self._test), _SCORED_AT_ONCE):
                stop = start + _SCORED_AT_ONCE
                found = network(self._inputs(self._test[start:stop])).argmax(1)
                hits += int((found == self._test_labels[start:stop]).sum())
        return hits / len(self._test)

    def _inputs(self, pixels: Any) -> Any:
        values = pixels.to(torch.float32) * self._scale - self._shift
        return values.permute(0, 3, 1, 2).contiguous()


def fine_tune(
    network: nn.Module, data: Data, row: PeerRow, teacher: nn.Module | None
) -> Iterator[float]:
    """Train in place: half a cosine from the row's rate to 0.

    Args:
        network: the pruned one.
        data: the images.
        row: epochs, rate, batch and seed.
        teacher: the dense network, for a distilled row.

    Yields:
        The accuracy after each epoch.
    """
    steps = row.epochs * (data.num_train // row.batch_size)
    optimizer = _optimizer(network, row)
    step = 0
    for epoch in range(row.epochs):
        network.train()
        for images, labels in data.epoch(row.batch_size, seed=row.seed, epoch=epoch):
            for group in optimizer.param_groups:
                group["lr"] = row.rate * 0.5 * (1.0 + math.cos(math.pi * step / steps))
            loss_of(network, images, labels, teacher).backward()
            optimizer.step()
            optimizer.zero_grad()
            step += 1
        yield data.top1(network)


def loss_of(network: nn.Module, images: Any, labels: Any, teacher: nn.Module | None) -> Any:
    """Compute cross-entropy, plus `LOSS_W_DST` KL(teacher || network) at `TEMPERATURE`."""
    outputs = network(images)
    loss = functional.cross_entropy(outputs, labels)
    if teacher is None:
        return loss
    with torch.no_grad():
        wanted = functional.log_softmax(teacher(images) / TEMPERATURE, 1)
    found = functional.log_softmax(outputs / TEMPERATURE, 1)
    return loss + LOSS_W_DST * functional.kl_div(
        found, wanted, reduction="batchmean", log_target=True
    )


def _optimizer(network: nn.Module, row: PeerRow) -> torch.optim.Optimizer:
    norms = [part for part in network.modules() if isinstance(part, nn.BatchNorm2d)]
    undecayed = {id(array) for part in norms for array in part.parameters()}
    every = list(network.parameters())
    groups: list[dict[str, Any]] = [
        {"params": [array for array in every if id(array) not in undecayed]},
        {"params": [array for array in every if id(array) in undecayed], "weight_decay": 0.0},
    ]
    make = {"sgd": torch.optim.SGD, "muon": Muon}[row.optimizer]
    return make(groups, lr=row.rate, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY)
