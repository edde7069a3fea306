"""The public CIFAR-10 ResNets in PyTorch, as their weights expect them, and what they cost."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

BLOCKS = {"resnet20": 3, "resnet56": 9}
WIDTHS = (16, 32, 64)


class Block(nn.Module):
    """Two 3 x 3 convolutions with batch norm; the shortcut has no parameters (option A)."""

    def __init__(self, num_inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(num_inputs, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.stride = stride
        self.missing = width - num_inputs

    def forward(self, x: Any) -> Any:
        """Add the block's output to its input."""
        y = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x)))))
        if self.stride > 1 or self.missing:
            x = x[:, :, :: self.stride, :: self.stride]
            x = functional.pad(x, (0, 0, 0, 0, self.missing // 2, self.missing - self.missing // 2))
        return functional.relu(y + x)


class ResNet(nn.Module):
    """ResNet-(6n + 2) of He et al. 2015, section 4.2."""

    def __init__(self, num_blocks: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, WIDTHS[0], 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(WIDTHS[0])
        before = WIDTHS[0]
        for stage, width in enumerate(WIDTHS, start=1):
            blocks = []
            for number in range(num_blocks):
                stride = 2 if stage > 1 and number == 0 else 1
                blocks.append(Block(before, width, stride))
                before = width
            setattr(self, f"layer{stage}", nn.Sequential(*blocks))
        self.linear = nn.Linear(WIDTHS[-1], 10)

    def forward(self, x: Any) -> Any:
        """Give logits [batch, 10] of images [batch, 3, 32, 32]."""
        x = functional.relu(self.bn1(self.conv1(x)))
        for stage in (1, 2, 3):
            x = getattr(self, f"layer{stage}")(x)
        return self.linear(x.mean((2, 3)))


def load(name: str, folder: pathlib.Path) -> ResNet:
    """Make a network with its public weights.

    Args:
        name: a key of `BLOCKS`.
        folder: holds `<name>.npz`, arrays by their PyTorch names.
    """
    network = ResNet(BLOCKS[name])
    with np.load(folder / f"{name}.npz", allow_pickle=False) as arrays:
        state = {key.removeprefix("module."): torch.tensor(arrays[key]) for key in arrays.files}
    missing, unknown = network.load_state_dict(state, strict=False)
    missing = [key for key in missing if not key.endswith("num_batches_tracked")]
    if missing or unknown:
        raise ValueError(f"{folder / name}.npz: missing {missing}, unknown {unknown}.")
    return network


def blocks(network: ResNet) -> Mapping[str, Block]:
    """Give the blocks by name, `layer1.0` first."""
    return {name: part for name, part in network.named_modules() if isinstance(part, Block)}


def cost(network: nn.Module) -> dict[str, int]:
    """Count parameters and multiply-adds (once, kernels only, at every position) for an image.

    Returns:
        `flops`, and `params` with the statistics of batch norm, as Keras counts.
    """
    macs = []

    def count(layer: Any, inputs: Any, output: Any) -> None:
        positions = output[0, 0].numel() if output.ndim == 4 else 1
        macs.append(layer.weight.numel() * positions)

    weighted = [part for part in network.modules() if isinstance(part, nn.Conv2d | nn.Linear)]
    hooks = [part.register_forward_hook(count) for part in weighted]
    device, was_training = next(network.parameters()).device, network.training
    with torch.no_grad():
        network.eval()(torch.zeros(1, 3, 32, 32, device=device))
    network.train(was_training)
    for hook in hooks:
        hook.remove()
    arrays = [*network.parameters(), *network.buffers()]
    params = sum(array.numel() for array in arrays if array.ndim > 0)  # no counter of batches
    return {"flops": sum(macs), "params": params}
