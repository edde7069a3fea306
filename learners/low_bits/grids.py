"""Grids of equal steps as codes: fitted by least squared error, moved by least squares."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from learners.kernels.layers import KernelLayer
from learners.low_bits.coding import Code, Places, Weight
from utils.quantization.grid import (
    SMALLEST_SCALE,
    Grid,
    Scaling,
    encode,
    quantize,
    rounded,
)
from utils.quantization.groups import Grouping
from utils.quantization.learned_step import LearnedStepQuantizer
from utils.quantization.ranges import least_squares
from utils.quantization.tensor import QuantizedTensor

MAX_FITTED_GROUPS = 2048  # that are moved together: a matrix of so many rows is solved


@dataclasses.dataclass(frozen=True, eq=False)
class GridCode:
    """Implements `Code`: every group of weights has a grid of its own.

    Attributes:
        places: which weights share one.
        grid: which grids there may be.
        scaling: those of the groups.
    """

    places: Places
    grid: Grid
    scaling: Scaling

    def nearest(self, values: np.ndarray, rows: np.ndarray, outputs: np.ndarray) -> np.ndarray:
        """See `Code`."""
        ids = self.places.at(rows, outputs)
        return rounded(values, self.scaling.scale[ids], self.scaling.zero_point[ids], self.grid)

    @property
    def reach(self) -> np.ndarray:
        """Half a step."""
        return self.scaling.scale[self.places.ids] / 2

    def improved(self, gram: np.ndarray, cross: np.ndarray, kernel: np.ndarray) -> Code:
        """Solve for the scales, given the steps.

        With K_g the steps of a group's weights, zero elsewhere, W = sum_g s_g K_g, and J is least
        where `sum_h <K_g, G K_h> s_h = <K_g, C>` for all g. A scale that would not be positive
        stays as it was, with all others.
        """
        steps, groups = self._steps(kernel), self.places.ids
        num_groups = self.places.num_groups
        if self.places.is_by_output:
            squares = np.sum(steps * (gram @ steps), axis=0)
            products = np.sum(steps * cross, axis=0)
            order = groups[0]
            fitted = np.ones(num_groups)
            fitted[order] = products / np.where(squares > 0, squares, 1.0)
            usable = np.zeros(num_groups, bool)
            usable[order] = squares > 0
            found = np.where(usable & (fitted > 0), fitted, self.scaling.scale)
        elif num_groups <= MAX_FITTED_GROUPS:
            found = self._solved_together(gram, cross, steps)
        else:
            return self
        scaling = Scaling(np.maximum(found, SMALLEST_SCALE), self.scaling.zero_point)
        return dataclasses.replace(self, scaling=scaling)

    def _solved_together(
        self, gram: np.ndarray, cross: np.ndarray, steps: np.ndarray
    ) -> np.ndarray:
        groups, num_groups = self.places.ids, self.places.num_groups
        products = np.bincount(groups.ravel(), (steps * cross).ravel(), num_groups)
        matrix = np.zeros((num_groups, num_groups))
        for output in range(steps.shape[1]):
            inside, members = np.unique(groups[:, output], return_inverse=True)
            parts = np.zeros((len(members), len(inside)))
            parts[np.arange(len(members)), members] = steps[:, output]
            matrix[np.ix_(inside, inside)] += parts.T @ gram @ parts
        found = np.linalg.lstsq(matrix, products, rcond=1e-9)[0]
        return found if (found > 0).all() else self.scaling.scale

    def moved(self, kernel: np.ndarray, improved: Code) -> np.ndarray:
        """See `Code`."""
        if not isinstance(improved, GridCode):
            raise TypeError("an improved grid is a grid.")
        return self._steps(kernel) * improved.scaling.scale[self.places.ids]

    def _steps(self, kernel: np.ndarray) -> np.ndarray:
        zeros = self.scaling.zero_point[self.places.ids]
        scales = self.scaling.scale[self.places.ids]
        return quantize(kernel, scales, zeros, self.grid) - zeros

    def quantizers(self) -> Mapping[Weight, LearnedStepQuantizer]:
        """Learn the scales with the weights."""
        return {
            weight: LearnedStepQuantizer(shape, self.grid, grouping, self._of(groups))
            for weight, shape, grouping, groups in self.places.parts()
        }

    def tensors(self, kernel: np.ndarray) -> Mapping[Weight, QuantizedTensor]:
        """See `Code`."""
        arrays = self.places.layer.tensors(kernel)
        return {
            weight: encode(arrays[weight], self._of(groups), self.grid, grouping)
            for weight, _, grouping, groups in self.places.parts()
        }

    def _of(self, groups: slice) -> Scaling:
        return Scaling(self.scaling.scale[groups], self.scaling.zero_point[groups])

    def facts(self) -> Mapping[str, Any]:
        """See `Code`."""
        grouping = self.places.groupings[0]
        names = {"tensor": "layer", "channel": "output channel"}
        return {
            "bits": self.grid.bits,
            "granularity": names.get(grouping.kind, f"bucket of {grouping.size}"),
        }


@dataclasses.dataclass(frozen=True)
class GridCoding:
    """Implements `learners.low_bits.coding.Coding`.

    Attributes:
        grouping: gives the grouping of a weight from the axes of its output channels.
        kind: of the grids, see `utils.quantization.grid`.
        narrow: see `Grid`.
    """

    grouping: Callable[[tuple[int, ...]], Grouping]
    kind: str = "affine"
    narrow: bool = False

    def fit(
        self, layer: KernelLayer, kernel: np.ndarray, bits: int, importance: np.ndarray | None
    ) -> GridCode:
        """Choose each group's grid by least squared error."""
        places = Places.of(layer, self.grouping)
        grid = Grid(bits=bits, kind=self.kind, narrow=self.narrow)  # type: ignore[arg-type]
        weights = None if importance is None else importance[:, None]
        scaling = least_squares(
            np.asarray(kernel, np.float64), places.ids, places.num_groups, grid, weights=weights
        )
        return GridCode(places, grid, scaling)

    def table_bits(self, layer: KernelLayer, bits: int) -> int:
        """A float32 scale for each group, and its zero point."""
        return Places.of(layer, self.grouping).num_groups * (32 + bits)
