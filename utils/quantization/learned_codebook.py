"""Codebooks in training: the levels are learned, or the weights' choice among them, or both.

With z the codes and c the levels, q(v) = c[z(v)]. What is trained says the mode, as documented:

| mode | codes | levels |
|:--|:--|:--|
| `weights` | those of the levels nearest to v, which is trained straight through | stay |
| `clusters` | stay | trained |
| `both` | as in `weights` | trained |

The gradient of a level is the sum over the weights of its cluster, (1) of `codebook.py`. Here it is
divided by their number: then a step of plain SGD moves the levels as it would move the weights,
projected onto the moves that leave all weights of a cluster equal. Undivided, the levels of large
clusters would take steps as many times too long.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from utils.quantization.codebook import MODES, nearest
from utils.quantization.groups import Grouping

Tensors = Mapping[str, Any]


class CodebookQuantizer:
    """Implements `utils.training.latent.Quantizer`: a weight at the levels of codebooks.

    Args:
        shape: of the weight.
        grouping: which weights share a codebook.
        levels: where they begin, float [G, L], ascending.
        mode: what is trained, one of `codebook.MODES`.
        keep_zero: levels that are 0 stay so.

    Raises:
        ValueError: if the mode is unknown, or the levels are not one row for each group.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        grouping: Grouping,
        levels: np.ndarray,
        *,
        mode: str = "weights",
        keep_zero: bool = False,
    ) -> None:
        if mode not in MODES:
            raise ValueError(f"`mode` must be one of {', '.join(MODES)}. Received: {mode!r}.")
        if len(levels) != grouping.num_groups(shape):
            raise ValueError(
                f"`levels` must have {grouping.num_groups(shape)} rows. Received: {len(levels)}."
            )
        self._ids = grouping.ids(shape)
        self._mode = mode
        self._shape = levels.shape
        first = levels.astype(np.float32)
        self._first = {"levels": first}
        if mode != "weights":  # a resumed run could not tell a zero that stays from others
            self._first["pinned"] = ((first == 0) & keep_zero).astype(np.float32)
        if mode == "clusters":  # codes are those of the levels nearest to v at the beginning
            self._first["anchors"] = first

    @property
    def parameters(self) -> Mapping[str, np.ndarray]:
        """Levels, float32 [G, L].

        Beside them, untrained: where levels are trained, 1 for those that stay zero (`pinned`);
        where codes are fixed, the levels that give them (`anchors`).
        """
        return self._first

    def quantize(self, latent: Any, parameters: Tensors) -> Any:
        """Give each weight its level."""
        return keras.ops.take(parameters["levels"], self._places(latent, parameters))

    def gradients(
        self, gradient: Any, latent: Any, parameters: Tensors
    ) -> tuple[Any | None, Mapping[str, Any]]:
        """Pass the weights' gradient on, or take the mean over each cluster, or both."""
        if self._mode == "weights":
            return gradient, {}
        ops = keras.ops
        places = ops.reshape(self._places(latent, parameters), [-1])
        number = self._shape[0] * self._shape[1]
        flat = ops.reshape(gradient, [-1])
        sums = ops.segment_sum(flat, places, num_segments=number)
        sizes = ops.segment_sum(ops.ones_like(flat), places, num_segments=number)
        means = ops.reshape(sums / ops.maximum(sizes, 1.0), self._shape)
        means = ops.where(parameters["pinned"] > 0, ops.zeros_like(means), means)
        return (None if self._mode == "clusters" else gradient), {"levels": means}

    def settled(self, latent: Any, parameters: Tensors) -> Mapping[str, Any]:
        """Keep levels ascending where they are looked for by value.

        None passes a level that stays zero: that would get another's place, and with it the
        momentum of that.
        """
        if self._mode != "both":
            return {}
        ops = keras.ops
        levels, pinned = parameters["levels"], parameters["pinned"]
        passed = ops.cumsum(pinned, axis=1)
        is_below = ops.logical_and(passed == 0, ops.max(pinned, axis=1, keepdims=True) > 0)
        levels = ops.where(is_below, ops.minimum(levels, 0.0), levels)
        levels = ops.where(passed > 0, ops.maximum(levels, 0.0), levels)
        levels = ops.where(pinned > 0, ops.zeros_like(levels), levels)
        return {"levels": ops.sort(levels, axis=1)}

    def _places(self, latent: Any, parameters: Tensors) -> Any:
        """Give the place of each weight's level among all, int32, shaped like the weight."""
        known = parameters["anchors" if self._mode == "clusters" else "levels"]
        return self._ids * self._shape[1] + nearest(latent, self._ids, known, keras.ops)
