"""Learned step sizes (LSQ): the scale of a grid is trained with the weights.

Of q(v) = s k, with the step k = clip(round(v / s)) between the ends -Q_N and Q_P, the derivatives
are taken as (straight through the rounding)

    dq/ds = k - v / s  inside the ends,  -Q_N or Q_P beyond,                               (1)
    dq/dv = 1          inside the ends,   0          beyond.                               (2)

A scale's gradient is multiplied by `1 / sqrt(n Q_P)`, n the values that share it, so that scales
and weights move about as fast, relative to their sizes.

Reference:
    Esser, McKinstry, Bablani, Appuswamy & Modha, "Learned Step Size Quantization", ICLR 2020,
    arXiv:1902.08153, equations (3) and (5), section 2.2.

Departs from the paper: a scale begins where the squared error is least (`ranges.py`), not at
`2 mean|v| / sqrt(Q_P)`. Of a group of nothing but zeros that is next to 0, and by (2) it would stay
what it is: it begins as the median of the others does, its zero point in the middle of the grid.
And a weight's scale moves the largest weight of its group, Q_P steps away from zero, by Q_P^2 times
its gradient's factor. That is at most `REACH`, in units of what the weight itself would move: with
the paper's factor it is 119 for 144 weights of 8 bits, and training diverges.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from utils.quantization.grid import SMALLEST_SCALE, Grid, Scaling, rounded
from utils.quantization.groups import Grouping

Tensors = Mapping[str, Any]
REACH = 2.0  # the factor is the paper's where Q_P^3 / 4 weights share a scale: 7 of 3, 86 of 4 bits


def gradient_factor(num_values: Any, grid: Grid, zero_point: Any, xp: Any = np) -> Any:
    """Give what the gradient of a scale is multiplied by.

    Args:
        num_values: n, that share the scale.
        grid: the ends.
        zero_point: z; Q_P is the number of steps above it, or below it where those are more.
        xp: `numpy` or `keras.ops`.

    Example:
        >>> round(float(gradient_factor(144, Grid(bits=3, kind="unsigned"), 0)), 4)
        0.0315
    """
    return 1.0 / xp.sqrt(num_values * _most_steps(grid, zero_point, xp))


def _most_steps(grid: Grid, zero_point: Any, xp: Any) -> Any:
    """Count the steps above the zero point, or below it where those are more; at least 1."""
    most = xp.maximum(grid.highest - zero_point, zero_point - grid.lowest)
    return xp.maximum(most, 1)


class LearnedStepQuantizer:
    """Implements `utils.training.latent.Quantizer`: a weight on grids whose scales are learned.

    Args:
        shape: of the weight.
        grid: the ends.
        grouping: which weights share a scale.
        scaling: where the grids begin; zero points stay as they are.
        learned: False: the scales stay too.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        grid: Grid,
        grouping: Grouping,
        scaling: Scaling,
        *,
        learned: bool = True,
    ) -> None:
        self._grid = grid
        self._ids = grouping.ids(shape)
        self._num_groups = grouping.num_groups(shape)
        self._learned = learned
        sizes = np.bincount(self._ids.ravel(), minlength=self._num_groups)
        self._sizes = sizes.astype(np.float32)
        # The zero point is one of them so that a resumed run finds the one that was chosen.
        scaling = _awake(scaling, sizes, grid)
        self._first = {
            "scale": scaling.scale.astype(np.float32),
            "zero_point": scaling.zero_point.astype(np.float32),
        }

    @property
    def parameters(self) -> Mapping[str, np.ndarray]:
        """Scale and zero point of each group, float32 [G]; the zero point is never trained."""
        return self._first

    def quantize(self, latent: Any, parameters: Tensors) -> Any:
        """Give the nearest points of the grid."""
        scales, zeros = self._spread(parameters)
        return rounded(latent, scales, zeros, self._grid, keras.ops)

    def gradients(
        self, gradient: Any, latent: Any, parameters: Tensors
    ) -> tuple[Any, Mapping[str, Any]]:
        """Derive both gradients: (1), (2)."""
        ops = keras.ops
        scales, zeros = self._spread(parameters)
        steps = latent / scales
        inside = ops.logical_and(
            steps >= self._grid.lowest - zeros, steps <= self._grid.highest - zeros
        )
        settled = rounded(steps, 1.0, zeros, self._grid, ops)
        moves = ops.where(inside, settled - steps, settled)
        passed = ops.where(inside, gradient, ops.zeros_like(gradient))
        if not self._learned:
            return passed, {}
        sums = ops.segment_sum(
            ops.reshape(gradient * moves, [-1]), self._ids.ravel(), num_segments=self._num_groups
        )
        zero_points = parameters["zero_point"]
        factors = gradient_factor(self._sizes, self._grid, zero_points, ops)
        steady = REACH / ops.square(_most_steps(self._grid, zero_points, ops))
        return passed, {"scale": sums * ops.minimum(factors, steady)}

    def settled(self, latent: Any, parameters: Tensors) -> Mapping[str, Any]:
        """Keep scales positive."""
        return {"scale": keras.ops.maximum(parameters["scale"], SMALLEST_SCALE)}

    def _spread(self, parameters: Tensors) -> tuple[Any, Any]:
        return tuple(
            keras.ops.take(parameters[name], self._ids, axis=0) for name in ("scale", "zero_point")
        )


def _awake(scaling: Scaling, sizes: np.ndarray, grid: Grid) -> Scaling:
    """Let groups of nothing but zeros begin with a grid that their weights can move on.

    Args:
        scaling: of G groups; such groups have the smallest scale.
        sizes: int [G], weights of each.
        grid: the ends.
    """
    empty = scaling.scale <= SMALLEST_SCALE
    if not empty.any():
        return scaling
    # Of a layer of zeros: as of weights with the usual variance, one over their number.
    usual = 2.0 / np.sqrt(np.maximum(sizes, 1) * max(grid.highest, 1))
    others = usual if empty.all() else np.median(scaling.scale[~empty])
    zeros = grid.zero_points
    return Scaling(
        np.where(empty, others, scaling.scale),
        np.where(empty, zeros[len(zeros) // 2], scaling.zero_point).astype(np.int32),
    )
