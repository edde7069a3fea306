"""Sparsity in closed form: single weights, N of M or tiles go, and the others make up for them.

Layer by layer, by the elimination kernel (`learners/reconstruction/elimination.py`): one pass gives
each output's error at every number of weights, by which the layer's total is shared out among its
outputs (`sharing.py`).

Where each output has an order of its own it needs an inverse of its own, O P^3 operations. Layers
too wide for that (`MAX_WORK`) go another way, P^3 + O P^2: weights are scored by what each alone
would cost, `w^2 / (2 [G^-1]_pp)`, chosen by a mask, the kernel is settled in one order for all
outputs, and then each weight in turn moves to its optimum given the others (`rounding.py`).

Reference:
    Frantar, Singh & Alistarh, "Optimal Brain Compression", NeurIPS 2022, arXiv:2208.11580, section
    4; for wide layers Frantar & Alistarh, "SparseGPT", ICML 2023, arXiv:2301.00774, section 3.

Departs from the papers: the network's own outputs are the targets, and inputs are those of the
network as thinned so far; a layer's total is shared out among its outputs by lower convex hulls of
their error curves; a wide layer's mask is chosen once, not block by block.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import scipy.linalg

from learners.kernels.layers import KernelLayer
from learners.kernels.tables import Moments
from learners.reconstruction.elimination import eliminate
from learners.reconstruction.ridge import factorised
from learners.reconstruction.rounding import MAX_WORK, settle_in_order, settle_in_turn
from learners.reconstruction.sharing import turns
from learners.sparsity.masks import Granularity, make_mask

PULL = 0.01  # towards the trained kernel, in units of the mean diagonal of the Gram matrix
LEAST_WEIGHT = 1e-3  # of the largest: outputs that count less are not told from each other
MAX_PASSES = 8  # over the weights of a wide layer that is settled in turn


def goes_by_outputs(layer: KernelLayer, max_work: float = MAX_WORK) -> bool:
    """Whether each output of a layer can have an order of its own, by what that costs."""
    return layer.num_outputs * layer.num_rows**3 <= max_work


def thinned(
    moments: Moments,
    kernel: np.ndarray,
    layer: KernelLayer,
    counts: Sequence[int],
    granularity: Granularity,
    *,
    pull: float = PULL,
    max_work: float = MAX_WORK,
) -> Iterator[tuple[int, np.ndarray]]:
    """Take weights out of a layer, the others at their best.

    Zeros that the kernel has stay zeros and count as gone. Under N:M the counts are not asked.

    Args:
        moments: of the layer.
        kernel: float [P, O], as it is.
        layer: which it is.
        counts: weights that stay, each in [1, P O]; of tiles multiples of their size.
        granularity: what goes together; it divides the layer.
        pull: towards `kernel`, in units of the mean diagonal of the Gram matrix; > 0.
        max_work: see `goes_by_outputs`.

    Yields:
        Each count and the kernel, float64 [P, O].
    """
    present = kernel != 0
    present = present if present.any() else np.ones(kernel.shape, dtype=bool)
    by_tiles = granularity.unit > 1 and not present.all()
    if goes_by_outputs(layer, max_work) and not by_tiles:
        yield from _in_own_orders(moments, kernel, layer, counts, granularity, present, pull)
        return
    chosen = _Together(moments, kernel, pull)
    for count in counts:
        mask = make_mask(chosen.scores * present, count, granularity, layer.num_channels)
        yield count, chosen.solved(mask & present)


def _in_own_orders(
    moments: Moments,
    kernel: np.ndarray,
    layer: KernelLayer,
    counts: Sequence[int],
    granularity: Granularity,
    present: np.ndarray,
    pull: float,
) -> Iterator[tuple[int, np.ndarray]]:
    """Let each output (each row of tiles) lose its weights in an order of its own."""
    # In units in which an error counts the same in each output.
    most = float(moments.weights.max(initial=0.0))
    scale = np.maximum(moments.weights, LEAST_WEIGHT * most) if most > 0 else np.ones(len(kernel.T))
    found = eliminate(
        moments.gram,
        moments.cross * scale,
        granularity.blocks(layer),
        kernel=kernel * scale,
        pull=pull,
        present=present,
    )
    if granularity.is_pattern:
        for count in counts:
            yield count, found.kernel_at(found.order.shape[1]) / scale
        return
    # Up to the last block that an output has: what was gone before takes no turn.
    sizes = np.count_nonzero(found.order >= 0, axis=1)
    order = turns([errors[: size + 1] for errors, size in zip(found.errors, sizes, strict=True)])
    for count in counts:
        num_gone = max(order.size - count // granularity.unit, 0)
        gone = np.bincount(order[:num_gone], minlength=len(found.order))
        yield count, found.kernel_at(gone) / scale


class _Together:
    """A layer whose outputs share one inverse.

    Attributes:
        scores: float64 [P, O], what each weight alone would cost.
    """

    def __init__(self, moments: Moments, kernel: np.ndarray, pull: float) -> None:
        factor, ridge = factorised(moments.gram, pull)
        self._moments, self._kernel, self._pull = moments, kernel, pull
        self._gram = moments.gram + ridge * np.eye(len(moments.gram))
        self._cross = moments.cross + ridge * kernel
        inverse = scipy.linalg.cho_solve(factor, np.eye(len(moments.gram)))
        best = scipy.linalg.cho_solve(factor, self._cross)
        self.scores = best**2 / np.diag(inverse)[:, None] * moments.weights**2

    def solved(self, mask: np.ndarray) -> np.ndarray:
        """Give the kernel under a mask, boolean [P, O]: float64 [P, O]."""

        def target(values: np.ndarray, rows: np.ndarray, outputs: np.ndarray) -> np.ndarray:
            return np.where(mask[rows, outputs], values, 0.0)

        settled, _ = settle_in_order(
            self._moments.gram, self._moments.cross, target, kernel=self._kernel, pull=self._pull
        )
        return settle_in_turn(self._gram, self._cross, settled, target, max_passes=MAX_PASSES)
