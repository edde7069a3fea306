"""On which samples a network is right, found from labels and outputs alone.

An accuracy says how many samples are right, not which. Two networks on the same samples are
compared far more sharply sample by sample, so the rule behind the accuracy is looked for: the usual
ones are counted along, and the one whose mean *is* the accuracy is taken. None is guessed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True)
class Choices:
    """What was chosen among classes.

    Attributes:
        labels: int [samples], the classes that samples are of.
        chosen: int [samples], the classes that they were taken for.
    """

    labels: np.ndarray
    chosen: np.ndarray


class Hits:
    """Counts along, batch by batch, by every rule that fits the shapes."""

    def __init__(self) -> None:
        self._found: dict[str, list[np.ndarray]] = {}
        self._choices: dict[str, list[np.ndarray]] = {}
        self._num_batches = 0

    def add(self, labels: Any, outputs: Any) -> None:
        """Take a batch; labels and outputs that are no single arrays fit no rule."""
        self._num_batches += 1
        if not (hasattr(labels, "shape") and hasattr(outputs, "shape")):
            return
        truth, given = np.asarray(labels), np.asarray(outputs)
        if truth.dtype.kind not in "biuf" or given.ndim < 1:
            return
        for rule, chosen, wanted in _rules(truth, given):
            right = chosen == wanted
            per_sample = right.reshape(len(right), -1).mean(axis=1)
            self._found.setdefault(rule, []).append(per_sample)
            if rule in _CLASS_RULES and right.size == len(right):
                pairs = np.stack([wanted.ravel(), chosen.ravel()]).astype(np.int64)
                self._choices.setdefault(rule, []).append(pairs)

    def of(self, accuracy: float) -> np.ndarray | None:
        """Give the share that is right of each sample.

        Args:
            accuracy: over all samples, as the metric says.

        Returns:
            float64 [samples] in [0, 1] whose mean is the accuracy, to a quarter of a sample and
            float32's rounding; None if no rule gives that.
        """
        rule = self._rule_of(accuracy)
        return None if rule is None else np.concatenate(self._found[rule])

    def choices(self, accuracy: float) -> Choices | None:
        """Give what was chosen, by the rule behind `of`.

        Args:
            accuracy: over all samples, as the metric says.

        Returns:
            None unless that rule chooses one class for every sample.
        """
        rule = self._rule_of(accuracy)
        if rule is None or len(self._choices.get(rule, ())) != self._num_batches:
            return None
        return Choices(*np.concatenate(self._choices[rule], axis=1))

    def _rule_of(self, accuracy: float) -> str | None:
        for rule, parts in self._found.items():
            if len(parts) == self._num_batches:  # a rule that fitted every batch
                hits = np.concatenate(parts)
                if abs(float(hits.mean()) - accuracy) <= max(0.25 / len(hits), 1e-6):
                    return rule
        return None


_CLASS_RULES = ("class", "class of one-hot labels")


def _rules(labels: np.ndarray, outputs: np.ndarray) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield the rules that fit the shapes, with what is chosen by them and what is right."""
    classes = outputs.shape[-1] if outputs.ndim >= 2 else 1
    if classes >= 2:
        chosen = outputs.argmax(axis=-1)
        if labels.size == chosen.size:
            yield "class", chosen, labels.reshape(chosen.shape)
        elif labels.shape == outputs.shape:
            yield "class of one-hot labels", chosen, labels.argmax(axis=-1)
    if labels.size == outputs.size and len(labels) == len(outputs):
        truth = labels.reshape(outputs.shape)
        for threshold in (0.5, 0.0):
            yield f"above {threshold}", outputs > threshold, truth > 0.5
        yield "equal", outputs, truth
