"""The optimizer of `--optimizer_ft=muon` in PyTorch, so that the peer can be tuned by it as well.

The same steps as `utils/training/muon.py`, which says what they are and where they come from.
"""

from __future__ import annotations

from typing import Any

import torch

_A, _B, _C = 3.4445, -4.7750, 2.0315
_NUM_ITERATIONS = 5
_TINY = 1e-7
_FEWEST_INPUTS = 4


class Muon(torch.optim.SGD):
    """SGD with momentum whose steps of convolutions are orthogonal matrices; arguments of SGD."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Make the steps of the convolutions, and let SGD make the others."""
        for group in self.param_groups:
            for kernel in group["params"]:
                if is_convolution(kernel.shape) and kernel.grad is not None:
                    self._turn(kernel, group)
                    kernel.grad = None  # SGD leaves it alone
        return super().step(closure)

    def _turn(self, kernel: Any, group: dict[str, Any]) -> None:
        gradient = kernel.grad + group["weight_decay"] * kernel
        state = self.state[kernel]
        momentum = state.setdefault("turned_momentum", torch.zeros_like(kernel))
        momentum.mul_(group["momentum"]).add_(gradient)
        flat = (gradient + group["momentum"] * momentum).flatten(1)  # [outputs, all the rest]
        scale = kernel.norm() / min(flat.shape) ** 0.5
        kernel.sub_(group["lr"] * scale * orthogonalized(flat).view_as(kernel))


def is_convolution(shape: Any) -> bool:
    """Say whether an array is a kernel [outputs, inputs, height, width] between feature maps."""
    return len(shape) == 4 and shape[1] >= _FEWEST_INPUTS and shape[0] > 1


def orthogonalized(matrix: Any) -> Any:
    """Bring all singular values of a matrix [m, n] near 1, by a Newton-Schulz iteration."""
    is_tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if is_tall else matrix
    x = x / (x.norm() + _TINY)
    for _ in range(_NUM_ITERATIONS):
        gram = x @ x.T
        x = _A * x + (_B * gram + _C * gram @ gram) @ x
    return x.T if is_tall else x
