"""On which samples a network is right, found from labels and outputs alone.

An accuracy says how many samples are right, not which. Two networks on the same samples are
compared far more sharply sample by sample, so the rule behind the accuracy is looked for: the usual
ones are counted along, and the one whose mean *is* the accuracy is taken. None is guessed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np


class Hits:
    """Counts along, batch by batch, by every rule that fits the shapes."""

    def __init__(self) -> None:
        self._found: dict[str, list[np.ndarray]] = {}
        self._num_batches = 0

    def add(self, labels: Any, outputs: Any) -> None:
        """Take a batch; labels and outputs that are no single arrays fit no rule."""
        self._num_batches += 1
        if not (hasattr(labels, "shape") and hasattr(outputs, "shape")):
            return
        truth, given = np.asarray(labels), np.asarray(outputs)
        if truth.dtype.kind not in "biuf" or given.ndim < 1:
            return
        for rule, right in _rules(truth, given):
            per_sample = right.reshape(len(right), -1).mean(axis=1)
            self._found.setdefault(rule, []).append(per_sample)

    def of(self, accuracy: float) -> np.ndarray | None:
        """Give the share that is right of each sample.

        Args:
            accuracy: over all samples, as the metric says.

        Returns:
            float64 [samples] in [0, 1] whose mean is the accuracy, to a quarter of a sample and
            float32's rounding; None if no rule gives that.
        """
        for parts in self._found.values():
            if len(parts) == self._num_batches:  # a rule that fitted every batch
                hits = np.concatenate(parts)
                if abs(float(hits.mean()) - accuracy) <= max(0.25 / len(hits), 1e-6):
                    return hits
        return None


def _rules(labels: np.ndarray, outputs: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the rules that fit the shapes, with what is right by them: bool [batch, …]."""
    classes = outputs.shape[-1] if outputs.ndim >= 2 else 1
    if classes >= 2:
        chosen = outputs.argmax(axis=-1)
        if labels.size == chosen.size:
            yield "class", chosen == labels.reshape(chosen.shape)
        elif labels.shape == outputs.shape:
            yield "class of one-hot labels", chosen == labels.argmax(axis=-1)
    if labels.size == outputs.size and len(labels) == len(outputs):
        truth = labels.reshape(outputs.shape)
        for threshold in (0.5, 0.0):
            yield f"above {threshold}", (outputs > threshold) == (truth > 0.5)
        yield "equal", outputs == truth
