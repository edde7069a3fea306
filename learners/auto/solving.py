"""One layer with fewer channels, zeros and few bits at once, from its second moments.

1. Rows and columns of channels that go are left out of the moments: what is solved for is the
   kernel of the cut network.
2. Weights go one after the other, the rest at its best (`learners/sparsity/obs.py`).
3. What is left is rounded to its grids, zeros staying zeros (`low_bits/rounding.py`).

Each step makes up for those before it: they share the moments, whose targets are the outputs of the
whole network.
"""

import dataclasses
from collections.abc import Sequence
from typing import Literal

import numpy as np

from learners.auto.offers import Option
from learners.auto.places import Kept
from learners.kernels.layers import KernelLayer
from learners.kernels.tables import Moments
from learners.low_bits.coding import Code, Places
from learners.low_bits.grids import GridCode, GridCoding
from learners.low_bits.rounding import round_to_code
from learners.low_bits.start import nearest_start, nearest_values
from learners.sparsity.obs import thinned
from utils.graph import Graph
from utils.quantization.grid import Grid, calibrate, scale
from utils.quantization.groups import Grouping

MAX_OWN_ORDER_BITS = 3  # with more bits, rows rounded in one order for all outputs serve as well
AFFINE_BITS = 4  # up to which zero points are chosen, where the file has room for them
WHOLE_RANGE_BITS = 6  # from which grids hold the largest weights
MAX_OWN_WORK = 3e9  # O P^3 up to which outputs round in orders of their own: many are made
NUM_MOVES = 4  # of a code's values, at most


@dataclasses.dataclass(frozen=True)
class Grids:
    """Implements `learners.low_bits.coding.Coding`: a grid for each output channel.

    Many are fitted, so it is looked at closely only where it matters: with few bits zero points are
    chosen, with many the whole range is taken.

    Attributes:
        kind: of the grids of few bits: `affine`, or `symmetric`: as many steps below zero as above,
            as those of more bits are.
    """

    kind: Literal["affine", "symmetric"]

    def fit(
        self, layer: KernelLayer, kernel: np.ndarray, bits: int, importance: np.ndarray | None
    ) -> GridCode:
        """Choose each channel's grid."""
        coding = self._coding(bits)
        if bits < WHOLE_RANGE_BITS:
            return coding.fit(layer, kernel, bits, importance)
        places, grid = (
            Places.of(layer, coding.grouping),
            Grid(bits=bits, kind="symmetric", narrow=True),
        )
        values = np.asarray(kernel, np.float64)
        return GridCode(places, grid, scale(calibrate(values, places.ids, places.num_groups), grid))

    def table_bits(self, layer: KernelLayer, bits: int) -> int:
        """A float32 scale for each channel, and its zero point."""
        return self._coding(bits).table_bits(layer, bits)

    def _coding(self, bits: int) -> GridCoding:
        is_affine = self.kind == "affine" and bits <= AFFINE_BITS
        return GridCoding(
            lambda axes: Grouping("channel", axes=axes),
            "affine" if is_affine else "symmetric",
            narrow=not is_affine and bits > 1,
        )


@dataclasses.dataclass(frozen=True, eq=False)
class Solved:
    """A layer's new kernel.

    Attributes:
        kernel: float32 [P, O], zero in what went.
        code: its grids, of the kernel that is left.
        present: boolean, shaped like that kernel: False for weights that went, or were not there
            before. Others that are zero were rounded to it.
    """

    kernel: np.ndarray
    code: Code
    present: np.ndarray


def part_of(moments: Moments, kept: Kept) -> Moments:
    """Leave the rows and columns of moments out that went."""
    rows, columns = kept.rows, kept.columns
    return Moments(
        moments.gram[np.ix_(rows, rows)],
        moments.cross[kept.index],
        moments.weights[columns],
        moments.energy,
    )


def solve(
    moments: Moments, kernel: np.ndarray, kept: Kept, option: Option, coding: Grids
) -> Solved:
    """Make a layer's kernel.

    Args:
        moments: of the whole layer, see `Moments`.
        kernel: float [P, O], as it was.
        kept: what is left of it.
        option: zeros and bits.
        coding: the grids.

    Returns:
        The kernel, on its grids.
    """
    part, small = part_of(moments, kept), kernel[kept.index]
    small = thinned_once(part, small, kept.layer, option)
    settled, code = rounded(part, small, kept.layer, option.bits, coding)
    values = kept.widened(on_grid(kept.layer, code, settled), kernel.shape)
    return Solved(values, code, small != 0)


def thinned_once(
    moments: Moments, kernel: np.ndarray, layer: KernelLayer, option: Option
) -> np.ndarray:
    """Take weights out of a kernel [P, O], as an option says; it stays as it is where none go."""
    grain = option.grain
    if grain is None or grain.why_not(layer):
        return kernel
    counts = [option.count(layer.size)]
    ((_, found),) = thinned(moments, kernel, layer, counts, grain, max_work=MAX_OWN_WORK)
    return found


def rounded(
    moments: Moments,
    kernel: np.ndarray,
    layer: KernelLayer,
    bits: int,
    coding: Grids,
) -> tuple[np.ndarray, Code]:
    """Round a kernel [P, O]; see `round_to_code`. Zeros stay zeros.

    Grids are fitted to the kernel at hand where it has zeros, else to that of least squares.
    """
    present = None if kernel.all() else kernel != 0

    def fit(values: np.ndarray, importance: np.ndarray | None) -> Code:
        return coding.fit(layer, values if present is None else kernel, bits, importance)

    is_small = layer.num_outputs * layer.num_rows**3 <= MAX_OWN_WORK
    return round_to_code(
        moments.gram,
        moments.cross,
        fit,
        kernel=kernel,
        present=present,
        num_moves=NUM_MOVES,
        own_orders=bits <= MAX_OWN_ORDER_BITS and is_small,
    )


def nearest(kernel: np.ndarray, kept: Kept, option: Option, coding: Grids) -> Solved:
    """Round a layer that cannot be sampled to the nearest points of grids for its weights."""
    small = kernel[kept.index]
    code = coding.fit(kept.layer, small, option.bits, None)
    values = on_grid(kept.layer, code, nearest_values(small, code))
    return Solved(kept.widened(values, kernel.shape), code, small != 0)


def on_grid(layer: KernelLayer, code: Code, values: np.ndarray) -> np.ndarray:
    """Give a kernel [P, O] as a network holds it, float32: with float32 scales."""
    arrays = {weight: t.dequantized() for (_, weight), t in code.tensors(values).items()}
    return layer.matrix({layer.layer: arrays})


def rounded_graph(
    graph: Graph,
    layers: Sequence[KernelLayer],
    bits: int,
    kind: Literal["affine", "symmetric"],
) -> Graph:
    """Round all kernels of a network to the nearest points of grids, without a look at data."""
    bits_of = dict.fromkeys((layer.name for layer in layers), bits)
    return nearest_start(graph, layers, bits_of, Grids(kind)).graph
