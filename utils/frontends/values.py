"""What stands for a tensor of the source while its network is built."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from utils.frontends.layout import Layout
from utils.frontends.source import NotConvertible


@dataclasses.dataclass(frozen=True, eq=False)
class Value:
    """A constant, or a Keras tensor with the order of its axes.

    Attributes:
        array: of a constant, in the source's order of axes.
        tensor: of any other value: the Keras tensor.
        layout: how the tensor's axes lie against the source's.
        other: of a constant worked out from sizes that are known only when the network runs, what
            it would be with other stand-ins for them; None if it does not depend on any.
        nonnegative: whether nothing in it can be below zero.
        parts: of a sequence of tensors, and then nothing else: its elements.
    """

    array: np.ndarray | None = None
    tensor: Any = None
    layout: Layout | None = None
    other: np.ndarray | None = None
    nonnegative: bool = False
    parts: tuple[Value, ...] = ()

    @property
    def is_constant(self) -> bool:
        """Whether the value is known before the network runs."""
        return self.array is not None

    @property
    def is_shape(self) -> bool:
        """Whether a constant holds stand-ins of sizes that are open."""
        return self.other is not None

    @property
    def axes(self) -> Layout:
        """The layout of a value that is no constant.

        Raises:
            NotConvertible: if it is one.
        """
        if self.layout is None:
            raise NotConvertible("reads a constant where only a computed tensor can stand")
        return self.layout

    @property
    def shape(self) -> tuple[int, ...]:
        """The source's shape, with stand-ins for sizes that are not known."""
        return self.array.shape if self.array is not None else self.axes.shape

    @property
    def rank(self) -> int:
        """Number of the source's axes."""
        return len(self.shape)

    def replace(self, **changes: Any) -> Value:
        """Copy with some fields changed."""
        return dataclasses.replace(self, **changes)
