"""A layer at every sparsity: what the search of `optimal` looks up.

The kernels are those of one elimination pass (`learners/sparsity/obs.py`), each weight that stays
at its optimum: nearer to what training makes of them than kernels with holes.
"""

from collections.abc import Iterator

import numpy as np

from learners.kernels.layers import KernelLayer
from learners.kernels.tables import Moments
from learners.sparsity.masks import Granularity, make_mask
from learners.sparsity.obs import thinned
from learners.sparsity.score import magnitude

# Of a layer's weights: closer together where the error rises faster.
SHARES = (
    *(0.01, 0.02, 0.03, 0.04, 0.05, 0.065, 0.08, 0.1, 0.125, 0.15, 0.175, 0.2),
    *(0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8, 1.0),
)


class SparseVersions:
    """Implements `learners.kernels.tables.Method`: a choice is the number of weights that stay.

    Args:
        granularity: what goes together; it divides the layers.
        ratio: fraction removed in all: one of the choices of each layer is right on it.
    """

    def __init__(self, granularity: Granularity, ratio: float) -> None:
        self._grain = granularity
        self._shares = sorted({*SHARES, 1.0 - ratio})

    def choices(self, layer: KernelLayer, kernel: np.ndarray) -> tuple[int, ...]:
        """List the numbers of weights that may stay, in whole tiles; the last is all of them.

        Zeros that the kernel has are taken for weights: the first to go.
        """
        del kernel
        tiles = layer.size // self._grain.unit
        counts = {max(round(share * tiles), 1) for share in self._shares}
        return tuple(sorted(count * self._grain.unit for count in counts))

    def versions(
        self, layer: KernelLayer, kernel: np.ndarray, moments: Moments | None
    ) -> Iterator[tuple[int, np.ndarray]]:
        """Make the kernels, by magnitude where the layer cannot be sampled.

        With all its weights a layer is refitted too: it makes up for what is in front of it.
        """
        counts = self.choices(layer, kernel)
        if moments is not None:
            yield from thinned(moments, kernel, layer, counts, self._grain)
            return
        for count in counts[:-1]:
            mask = make_mask(magnitude(kernel), count, self._grain, layer.num_channels)
            yield count, kernel * mask
