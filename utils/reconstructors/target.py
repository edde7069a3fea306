"""The steps that a network is rebuilt in: what PyTorch and ONNX both can do.

Tensors are handles that only the target understands. Axes and sizes are those of the stored tensor
(see `values`); maps have their channels behind the batch. Arrays are in the layout of PyTorch,
which ONNX shares: kernels [outputs, inputs / groups, positions …], of transposed convolutions
[inputs, outputs / groups, positions …].
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from utils.graph.ir import Shape

SAME = "same"
"""Padding of an axis of unknown size as TensorFlow has it, the odd one behind."""

Pads = Sequence[tuple[int, int]] | str
Handle = Any


@dataclasses.dataclass(frozen=True, kw_only=True)
class Window:
    """How a convolution or pooling walks over a map.

    Attributes:
        size: of the kernel, per spatial axis.
        strides: per spatial axis.
        dilation: per spatial axis.
        pads: (before, behind) per spatial axis, or `SAME`.
        groups: of a convolution.
        extra: of a transposed convolution: rows behind that no input reaches, per axis; its `pads`
            are the rows that are cut off.
    """

    size: tuple[int, ...]
    strides: tuple[int, ...]
    dilation: tuple[int, ...]
    pads: Pads
    groups: int = 1
    extra: tuple[int, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cell:
    """A recurrent layer in one direction.

    Attributes:
        kind: `rnn`, `gru` or `lstm`.
        kernel: float array [inputs, gates * units], gates as in Keras.
        recurrent: float array [units, gates * units].
        bias: float array [gates * units], of a GRU with `reset_after` [2, gates * units]; or None.
        activation: of the new state.
        gate: activation of the gates.
        reset_after: whether a GRU resets behind the product with its state.
    """

    kind: str
    kernel: np.ndarray
    recurrent: np.ndarray
    bias: np.ndarray | None
    activation: str
    gate: str
    reset_after: bool = True

    @property
    def units(self) -> int:
        """Size of the state."""
        return len(self.recurrent)


class Target(Protocol):
    """Writes the steps of a network down."""

    units: Mapping[str, Any]
    """The functions of one tensor that it has by itself, by name."""

    def begin(self, layer: str, call: str) -> None:
        """Say which layer the next steps belong to, and which call of it."""

    def input(self, name: str, shape: Shape, dtype: str) -> Handle:
        """Add an input of the network."""

    def output(self, name: str, x: Handle, shape: Shape, dtype: str) -> None:
        """Add an output of the network."""

    def constant(self, name: str, values: np.ndarray, *, trained: bool = False) -> Handle:
        """Add an array of the current layer; `trained`: training changes it."""

    def unary(self, name: str, x: Handle, **settings: float) -> Handle:
        """Apply a function of the table `units` to each value."""

    def binary(self, name: str, x: Handle | float, y: Handle | float) -> Handle:
        """Combine two tensors value by value; see `ops_pointwise.BINARY` for the names."""

    def where(self, condition: Handle, x: Handle | float, y: Handle | float) -> Handle:
        """Choose value by value."""

    def clip(self, x: Handle, low: float | None, high: float | None) -> Handle:
        """Limit each value."""

    def cast(self, x: Handle, dtype: str) -> Handle:
        """Change the type."""

    def reduce(self, name: str, x: Handle, axes: Sequence[int], keepdims: bool) -> Handle:
        """Reduce over axes: `mean`, `sum`, `max`, `min` or `prod`."""

    def softmax(self, x: Handle, axis: int, *, log: bool = False) -> Handle:
        """Apply softmax over an axis."""

    def transpose(self, x: Handle, perm: Sequence[int]) -> Handle:
        """Move axes."""

    def reshape(self, x: Handle, sizes: Sequence[int | None]) -> Handle:
        """Give another shape: None keeps the size at that place, one -1 takes what is left."""

    def squeeze(self, x: Handle, axes: Sequence[int]) -> Handle:
        """Drop axes of size 1."""

    def unsqueeze(self, x: Handle, axes: Sequence[int]) -> Handle:
        """Add axes of size 1, at their places in the result."""

    def tile(self, x: Handle, repeats: Sequence[int]) -> Handle:
        """Repeat a tensor along its axes."""

    def concat(self, parts: Sequence[Handle], axis: int) -> Handle:
        """Join tensors."""

    def slice(self, x: Handle, parts: Mapping[int, tuple[int, int | None, int]]) -> Handle:
        """Cut (start, stop, step) out of axes; steps are positive."""

    def flip(self, x: Handle, axes: Sequence[int]) -> Handle:
        """Reverse axes."""

    def take(self, x: Handle, indices: np.ndarray, axis: int) -> Handle:
        """Pick positions of an axis."""

    def look_up(self, table: Handle, indices: Handle) -> Handle:
        """Pick rows of a table by a tensor of integers."""

    def pad(self, x: Handle, widths: Sequence[tuple[int, int]], value: float) -> Handle:
        """Pad with a constant."""

    def convolution(
        self, x: Handle, kernel: np.ndarray, bias: np.ndarray | None, window: Window
    ) -> Handle:
        """Convolve."""

    def transposed(
        self, x: Handle, kernel: np.ndarray, bias: np.ndarray | None, window: Window
    ) -> Handle:
        """Convolve, transposed."""

    def linear(self, x: Handle, kernel: np.ndarray, bias: np.ndarray | None) -> Handle:
        """Multiply the last axis by a kernel [outputs, inputs]."""

    def matmul(self, x: Handle, y: Handle) -> Handle:
        """Multiply matrices on the last two axes."""

    def einsum(self, equation: str, *operands: Handle) -> Handle:
        """Compute a sum of products."""

    def choose(self, name: str, x: Handle, axis: int, keepdims: bool) -> Handle:
        """Give the place of the greatest (`argmax`) or least (`argmin`) value, as int64."""

    def pool(self, name: str, x: Handle, window: Window, sizes: Sequence[int | None]) -> Handle:
        """Pool (`max` or `mean`, padding left out); `sizes`: of the map's spatial axes."""

    def resize(self, x: Handle, sizes: Sequence[int], scales: Sequence[float], mode: str) -> Handle:
        """Resize maps to sizes, or where these are empty by factors: `nearest` or `bilinear`."""

    def batch_norm(
        self,
        x: Handle,
        rank: int,
        arrays: Mapping[str, np.ndarray],
        epsilon: float,
        momentum: float,
    ) -> Handle:
        """Normalize channels (axis 1) by `mean` and `variance`, then `gamma` and `beta`."""

    def layer_norm(
        self, x: Handle, gamma: np.ndarray | None, beta: np.ndarray | None, shape: Sequence[int],
        epsilon: float,
    ) -> Handle:  # fmt: skip
        """Normalize each sample over its last axes, of the given sizes."""

    def group_norm(
        self, x: Handle, groups: int, gamma: np.ndarray, beta: np.ndarray, epsilon: float
    ) -> Handle:
        """Normalize groups of channels (axis 1)."""

    def prelu(self, x: Handle, slopes: np.ndarray) -> Handle:
        """Multiply negative values by slopes [… broadcast without the batch]."""

    def drop(self, x: Handle, rate: float, shared: Sequence[int]) -> Handle:
        """Drop values in training, together along the shared axes."""

    def noise(self, name: str, x: Handle, amount: float) -> Handle:
        """Disturb values in training: `gaussian_noise`, `gaussian_dropout` or `alpha_dropout`."""

    def stop_gradient(self, x: Handle) -> Handle:
        """Let no gradient pass."""

    def rounded(self, x: Handle, settled: Handle) -> Handle:
        """Give `settled`, with the gradient of x."""

    def recurrent(
        self, x: Handle, cell: Cell, states: Sequence[Handle]
    ) -> tuple[Handle, Sequence[Handle]]:
        """Run over [batch, steps, features]; give all states in order, and the last ones."""
