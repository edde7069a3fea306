"""Codebooks as codes: fitted by k-means where errors count by curvature, moved by least squares.

Of a layer with inputs X (as quantized so far) and targets Y (of the network before) the error of a
kernel W depends on G = X^T X and C = X^T Y alone:

    J(W) = tr(W^T G W) - 2 tr(W^T C) + const,     W_po = c[g(p, o), z(p, o)],              (1)

g the group of a weight, z its code. For fixed codes J is quadratic in the levels c, and its
gradient is that of the kernel, summed over clusters: 2 S(G W - C), as in training. Its minimum is
found by conjugate gradients: no matrix of all levels is made. Groups that share no output have
nothing to do with each other, so each has step lengths of its own.

Reference:
    Choi, El-Khamy & Lee, "Towards the Limit of Network Quantization", ICLR 2017, arXiv:1612.01543,
    section 3.3: k-means weighted by the diagonal of the Hessian.

Departs from the paper: the Hessian is that of the layer's own error, and after the assignment the
levels are those of least error by the whole of it, not by its diagonal.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from learners.kernels.layers import KernelLayer
from learners.low_bits.coding import Code, Places, Weight
from utils.quantization.codebook import above, cluster_sums, fit_codebook, middles, nearest
from utils.quantization.groups import Grouping
from utils.quantization.learned_codebook import CodebookQuantizer
from utils.quantization.tensor import QuantizedTensor

MAX_STEPS = 64  # of conjugate gradients
MAX_COMPARED = 20_000  # values times levels that are compared at once
_SMALL = 1e-12  # of the first residual, squared: where they end


@dataclasses.dataclass(frozen=True, eq=False)
class CodebookCode:
    """Implements `learners.low_bits.coding.Code`: every group of weights has a codebook.

    Attributes:
        places: which weights share one.
        levels: float64 [G, 2 ** bits], ascending.
        keep_zero: 0 is a level of every group and stays one.
        mode: what is trained, see `utils.quantization.learned_codebook`.
        ranks: int [G, 2 ** bits], of a code that came of another one by `improved`: where each
            level of that stands here. None = it did not.
    """

    places: Places
    levels: np.ndarray
    keep_zero: bool = False
    mode: str = "weights"
    ranks: np.ndarray | None = None

    def nearest(self, values: np.ndarray, rows: np.ndarray, outputs: np.ndarray) -> np.ndarray:
        """See `Code`."""
        if len(self.levels) == 1:
            return self.levels[0, np.searchsorted(self._middles[0], values)]
        ids = self.places.at(rows, outputs)
        if values.size * self.levels.shape[1] <= MAX_COMPARED:  # one row: calls would cost more
            codes = np.sum(values[..., None] > self._middles[ids], axis=-1)
        elif ids.shape == (len(values), 1):  # many values of few codebooks
            limits = self._middles[ids[:, 0]]
            codes = np.stack([np.searchsorted(*pair) for pair in zip(limits, values, strict=True)])
        else:
            codes = above(values, ids, self._middles)
        return self.levels[ids, codes]

    @functools.cached_property
    def _middles(self) -> np.ndarray:
        return middles(self.levels)

    @property
    def reach(self) -> np.ndarray:
        """Half of the widest gap in the codebook."""
        return np.diff(self.levels, axis=1).max(axis=1)[self.places.ids] / 2.0

    def improved(self, gram: np.ndarray, cross: np.ndarray, kernel: np.ndarray) -> CodebookCode:
        """Give each level the value that is best for the codes: conjugate gradients, see (1)."""
        ids, codes = self.places.ids, self._codes(kernel)
        fixed = (self.levels == 0) if self.keep_zero else np.zeros(self.levels.shape, bool)

        def sums(values: np.ndarray) -> np.ndarray:
            return np.where(fixed, 0.0, cluster_sums(values, ids, codes, self.levels.shape))

        moved = self.levels + least_squares_step(
            lambda levels: sums(gram @ levels[ids, codes]),
            sums(cross - gram @ self.levels[ids, codes]),
            sums(np.broadcast_to(np.diag(gram)[:, None], ids.shape)),
            separate=self.places.is_by_output,
        )
        order = np.argsort(moved, axis=1, kind="stable")
        return dataclasses.replace(
            self,
            levels=np.take_along_axis(moved, order, axis=1),
            ranks=np.argsort(order, axis=1),
        )

    def moved(self, kernel: np.ndarray, improved: Code) -> np.ndarray:
        """See `Code`."""
        if not isinstance(improved, CodebookCode) or improved.ranks is None:
            raise TypeError("a codebook that came of another one is needed.")
        ids, codes = self.places.ids, self._codes(kernel)
        return improved.levels[ids, improved.ranks[ids, codes]]

    def _codes(self, kernel: np.ndarray) -> np.ndarray:
        return nearest(np.asarray(kernel, np.float64), self.places.ids, self.levels)

    def quantizers(self) -> Mapping[Weight, CodebookQuantizer]:
        """Learn what the mode says."""
        return {
            weight: CodebookQuantizer(
                shape, grouping, self.levels[groups], mode=self.mode, keep_zero=self.keep_zero
            )
            for weight, shape, grouping, groups in self.places.parts()
        }

    def tensors(self, kernel: np.ndarray) -> Mapping[Weight, QuantizedTensor]:
        """See `Code`; the levels are the kernel's own values, which training may have moved."""
        arrays = self.places.layer.tensors(np.asarray(kernel, np.float32))
        found = {}
        for weight, shape, grouping, _ in self.places.parts():
            ids = grouping.ids(shape)
            values = arrays[weight]
            levels = fit_codebook(values, ids, self.bits).astype(np.float32)
            found[weight] = QuantizedTensor(
                # In float64 no middle between two levels can be rounded to one of them.
                indices=nearest(np.float64(values), ids, np.float64(levels)).astype(np.uint16),
                bits=self.bits,
                grouping=grouping,
                levels=levels,
            )
        return found

    @property
    def bits(self) -> int:
        """Of a code."""
        return (self.levels.shape[1] - 1).bit_length()

    def facts(self) -> Mapping[str, Any]:
        """See `Code`."""
        grouping = self.places.groupings[0]
        names = {"tensor": "layer", "channel": "output channel"}
        return {
            "bits": self.bits,
            "granularity": names.get(grouping.kind, f"bucket of {grouping.size}"),
        }


@dataclasses.dataclass(frozen=True)
class CodebookCoding:
    """Implements `learners.low_bits.coding.Coding`.

    Where codebooks would have as many values as there are weights, the layer has one codebook for
    all: in the first layer, say, with 8 bits and 27 weights in an output channel.

    Attributes:
        grouping: gives the grouping of a weight from the axes of its output channels.
        style: how codebooks are fitted, see `utils.quantization.codebook`.
        mode: what is trained.
    """

    grouping: Callable[[tuple[int, ...]], Grouping]
    style: str = "kmeans"
    mode: str = "weights"

    def fit(
        self, layer: KernelLayer, kernel: np.ndarray, bits: int, importance: np.ndarray | None
    ) -> CodebookCode:
        """Fit a codebook to each group; exact zeros, which were pruned, stay a level of theirs."""
        places, there = self._places(layer, bits), kernel != 0
        keep_zero = not there.all()
        counts = np.ones(len(kernel)) if importance is None else importance
        # Rows without input count too, else a codebook of theirs would have no level at all.
        counts = np.maximum(counts, 1e-6 * np.mean(counts) or 1.0)
        levels = fit_codebook(
            kernel,
            places.ids,
            bits,
            style=self.style,
            weights=counts[:, None] * there,
            keep_zero=keep_zero,
        )
        return CodebookCode(places, levels, keep_zero, self.mode)

    def table_bits(self, layer: KernelLayer, bits: int) -> int:
        """The float32 levels of each group."""
        return 32 * self._places(layer, bits).num_groups * 2**bits

    def _places(self, layer: KernelLayer, bits: int) -> Places:
        found = Places.of(layer, self.grouping)
        if layer.size > found.num_groups * 2**bits:
            return found
        return Places.of(layer, lambda axes: Grouping("tensor"))


def least_squares_step(
    apply: Callable[[np.ndarray], np.ndarray],
    residual: np.ndarray,
    diagonal: np.ndarray,
    *,
    separate: bool,
    max_steps: int = MAX_STEPS,
) -> np.ndarray:
    """Solve `A x = r` by conjugate gradients with the diagonal as preconditioner.

    Args:
        apply: x -> A x, symmetric and positive semi-definite, [G, L].
        residual: r, float64 [G, L].
        diagonal: of A, float64 [G, L]; where it is 0, x stays 0.
        separate: rows have nothing to do with each other in A.
        max_steps: steps at most; each one lowers `x A x - 2 x r`.

    Returns:
        x, float64 [G, L].

    Example:
        >>> matrix, wanted = np.array([[2.0, 1.0], [1.0, 3.0]]), np.array([[1.0, 2.0]])
        >>> found = least_squares_step(
        ...     lambda x: x @ matrix, wanted, np.diag(matrix)[None], separate=False
        ... )
        >>> found.round(6)
        array([[0.2, 0.6]])
    """

    def dot(one: np.ndarray, other: np.ndarray) -> np.ndarray:
        sums = np.sum(one * other, axis=1, keepdims=True)
        return sums if separate else np.sum(sums, keepdims=True)

    scale = np.where(diagonal > 0, 1.0 / np.where(diagonal > 0, diagonal, 1.0), 0.0)
    found = np.zeros_like(residual)
    way = scale * residual
    size = first = dot(residual, way)
    for _ in range(max_steps):
        if not (size > _SMALL * first).any():
            break
        image = apply(way)
        length = _divided(size, dot(way, image))
        found = found + length * way
        residual = residual - length * image
        downhill = scale * residual
        size, before = dot(residual, downhill), size
        way = downhill + _divided(size, before) * way
    return found


def _divided(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    usable = denominator > 0
    return np.where(usable, numerator / np.where(usable, denominator, 1.0), 0.0)
