"""What a kernel of few bits may be made of: grids, codebooks, whatever a learner brings.

A `Coding` settles, for a kernel as a matrix [P, O], which values its weights may take; the result,
a `Code`, rounds to them, may be improved where the weights' places are known, and is handed to
training. Rounding (`rounding.py`) and the recipe (`learner.py`) know no more of it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np

from learners.kernels.layers import KernelLayer
from utils.quantization.groups import Grouping
from utils.quantization.tensor import QuantizedTensor
from utils.training.latent import Quantizer

Weight = tuple[str, str]
"""(layer, weight), by their names in the graph."""


class Code(Protocol):
    """The values that a kernel's weights may take."""

    def nearest(self, values: np.ndarray, rows: np.ndarray, outputs: np.ndarray) -> np.ndarray:
        """Give the allowed value nearest to each, as `learners.reconstruction.elimination.Target`.

        Args:
            values: float64.
            rows: int, broadcast to `values`: where in the kernel they are.
            outputs: int, likewise.
        """

    @property
    def reach(self) -> np.ndarray | None:
        """How far, at most, a weight inside the code's range is from its value: float64 [P, O].

        None where that differs from value to value.
        """

    def improved(self, gram: np.ndarray, cross: np.ndarray, kernel: np.ndarray) -> Code:
        """Move the values for a kernel that is settled: its weights keep their indices.

        Args:
            gram: G, float64 [P, P]; see `learners.reconstruction.elimination` for G and C.
            cross: C, float64 [P, O].
            kernel: float64 [P, O], every weight at a value of this code.

        Returns:
            A code with which J, with the same indices, is not larger.
        """

    def moved(self, kernel: np.ndarray, improved: Code) -> np.ndarray:
        """Give the kernel that the same indices stand for in an improved code, float64 [P, O]."""

    def quantizers(self) -> Mapping[Weight, Quantizer]:
        """Make what training needs, for each weight of the layer."""

    def tensors(self, kernel: np.ndarray) -> Mapping[Weight, QuantizedTensor]:
        """Store a kernel, float [P, O], by indices."""

    def facts(self) -> Mapping[str, Any]:
        """Say for the report what the layer got: `bits`, `granularity`, and more."""


class Coding(Protocol):
    """Settles codes."""

    def fit(
        self, layer: KernelLayer, kernel: np.ndarray, bits: int, importance: np.ndarray | None
    ) -> Code:
        """Choose the values for a kernel.

        Args:
            layer: whose kernel it is.
            kernel: float [P, O].
            bits: of each weight.
            importance: float64 [P] >= 0, what a unit of squared error counts in each row (the
                energy of its input); None = all alike.
        """

    def table_bits(self, layer: KernelLayer, bits: int) -> int:
        """Count the bits of what stands for a layer's indices: scales, codebooks."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Places:
    """Which weights of a kernel's matrix share a grid or codebook.

    Attributes:
        layer: whose kernel it is.
        groupings: of each of its weights.
        ids: int32 [P, O], the group of each; the groups of a layer's weights follow each other.
        starts: first group of each weight, and behind the last the number of groups.
    """

    layer: KernelLayer
    groupings: tuple[Grouping, ...]
    ids: np.ndarray
    starts: tuple[int, ...]

    @classmethod
    def of(cls, layer: KernelLayer, grouping: Callable[[tuple[int, ...]], Grouping]) -> Places:
        """Number the groups of a layer.

        Args:
            layer: the layer.
            grouping: gives the grouping of a weight from the axes of its output channels.
        """
        groupings, arrays, starts = [], {}, [0]
        for weight, shape in zip(layer.weights, layer.shapes, strict=True):
            found = grouping(layer.out_axes)
            groupings.append(found)
            arrays[weight] = found.ids(shape) + np.int32(starts[-1])
            starts.append(starts[-1] + found.num_groups(shape))
        ids = layer.matrix({layer.layer: arrays})
        return cls(layer=layer, groupings=tuple(groupings), ids=ids, starts=tuple(starts))

    @property
    def num_groups(self) -> int:
        """Groups of the layer."""
        return self.starts[-1]

    @property
    def is_by_output(self) -> bool:
        """Whether every group is one whole column of the matrix."""
        return all(grouping.kind == "channel" for grouping in self.groupings)

    def at(self, rows: np.ndarray, outputs: np.ndarray) -> np.ndarray:
        """Give the groups of some weights.

        Args:
            rows: int, where in the kernel they are.
            outputs: int, broadcast to it.

        Returns:
            int32, broadcast to both; shaped like `outputs` where an output's weights share one.
        """
        return self.ids[0, outputs] if self.is_by_output else self.ids[rows, outputs]

    def parts(self) -> list[tuple[Weight, tuple[int, ...], Grouping, slice]]:
        """List the weights: (layer, weight), shape, grouping, places of its groups."""
        rows = zip(self.layer.weights, self.layer.shapes, self.groupings, strict=True)
        return [
            ((self.layer.layer, weight), shape, grouping, slice(*self.starts[i : i + 2]))
            for i, (weight, shape, grouping) in enumerate(rows)
        ]
