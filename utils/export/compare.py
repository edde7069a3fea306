"""Networks and files on the same data, in one pass: scores, errors, who is right on what."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import keras
import numpy as np
import tensorflow as tf

from utils.errors import InputError
from utils.export.hits import Hits

#: (labels, outputs) -> {metric name: mean over the batch}; "accuracy" is what a check goes by.
CalcMetrics = Callable[[Any, Any], Mapping[str, Any]]


class Scorer(Protocol):
    """Collects batches; its figures are those of the whole data set."""

    def update(self, labels: Any, outputs: Any) -> None:
        """Take a batch."""

    def result(self) -> dict[str, float]:
        """Give the figures of all batches by name; "accuracy" is what a check goes by."""


class MeanScorer:
    """A scorer whose figures are means of the batches' own, weighted by their sizes.

    Args:
        calc_metrics: figures of one batch.
    """

    def __init__(self, calc_metrics: CalcMetrics) -> None:
        self._calc_metrics = calc_metrics
        self._totals: dict[str, float] = {}
        self._count = 0

    def update(self, labels: Any, outputs: Any) -> None:
        """Take a batch."""
        size = len(keras.tree.flatten(outputs)[0])
        self._count += size
        for name, value in self._calc_metrics(labels, outputs).items():
            self._totals[name] = self._totals.get(name, 0.0) + size * float(value)

    def result(self) -> dict[str, float]:
        """Give the means over all samples."""
        return {name: total / self._count for name, total in self._totals.items()}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Subject:
    """Something that maps inputs to outputs.

    Attributes:
        name: key of its observation.
        run: a batch of the data set's inputs -> outputs [batch, …].
        reference: name of an earlier subject that it should equal; its outputs are packed like
            that one's.
    """

    name: str
    run: Callable[[Any], Any]
    reference: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Observation:
    """What a subject did.

    Attributes:
        num_samples: samples it was run on.
        metrics: its scores.
        hits: float [num_samples]: 1 where it is right, 0 where it is wrong, between them a share
            of positions; None where its accuracy is no mean of such figures.
        agreement: part of the samples where it chooses the same class as its reference; None when
            it has no accuracy, several outputs or no reference.
        error: root mean square of the difference to its reference's outputs over that of those;
            the worst of several outputs; None without a reference.
        failed: what it raised, with everything else empty.
    """

    num_samples: int = 0
    metrics: Mapping[str, float] = dataclasses.field(default_factory=dict)
    hits: np.ndarray | None = None
    agreement: float | None = None
    error: float | None = None
    failed: str = ""


def observe(
    subjects: Sequence[Subject],
    dataset: Iterable[Any],
    make_scorer: Callable[[], Scorer],
) -> dict[str, Observation]:
    """Run subjects over a data set, once, side by side: it may give another order every time.

    Args:
        subjects: references before those that refer to them.
        dataset: finite batches (inputs, labels, …).
        make_scorer: makes a scorer for each subject.

    Returns:
        An observation by subject name. A subject that raises has failed, and so have those that
        refer to it; the others go on.

    Raises:
        InputError: if the data set is empty.
    """
    runs = {subject.name: _Run(subject, make_scorer()) for subject in subjects}
    empty = True
    for inputs, labels, *_ in dataset:
        empty = False
        outputs: dict[str, Any] = {}
        for name, run in runs.items():
            reference = run.subject.reference
            if reference is not None and runs[reference].failed:
                run.failed = run.failed or f"{reference}: {runs[reference].failed}"
            if not run.failed:
                expected = outputs[reference] if reference is not None else None
                outputs[name] = run.step(inputs, labels, expected)
    if empty:
        raise InputError("the data set to check .tflite files with is empty. Give some batches.")
    return {name: run.observation() for name, run in runs.items()}


class _Run:
    """A subject and what it did so far."""

    def __init__(self, subject: Subject, scorer: Scorer) -> None:
        self.subject = subject
        self.failed = ""
        self._scorer = scorer
        self._tally = _Tally()
        self._hits = Hits()
        self._count = 0

    def step(self, inputs: Any, labels: Any, expected: Any) -> Any:
        """Run a batch; what the subject raises is kept, what the scorer raises is not."""
        try:
            outputs = self.subject.run(inputs)
        except Exception as error:  # an interpreter, or a network's own code
            self.failed = str(error).strip() or type(error).__name__
            return None
        if expected is not None:
            outputs = _like(expected, outputs)
            self._tally.add(expected, outputs)
        self._count += len(keras.tree.flatten(outputs)[0])
        self._scorer.update(labels, outputs)
        self._hits.add(labels, outputs)
        return outputs

    def observation(self) -> Observation:
        """Sum up."""
        if self.failed:
            return Observation(failed=self.failed)
        metrics = self._scorer.result()
        accuracy = metrics.get("accuracy")
        compared = self.subject.reference is not None
        classes = compared and accuracy is not None and self._tally.classes
        return Observation(
            num_samples=self._count,
            metrics=metrics,
            hits=None if accuracy is None else self._hits.of(accuracy),
            agreement=self._tally.equal / self._count if classes else None,
            error=self._tally.error if compared else None,
        )


class _Tally:
    """Running sums of outputs against those they should be."""

    def __init__(self) -> None:
        self.equal = 0.0
        self.classes = True
        self._errors: np.ndarray | float = 0.0
        self._squares: np.ndarray | float = 0.0

    def add(self, expected: Any, outputs: Any) -> None:
        wanted = [np.asarray(value, np.float64) for value in keras.tree.flatten(expected)]
        given = [np.asarray(value, np.float64) for value in keras.tree.flatten(outputs)]
        self._errors = self._errors + np.array(
            [np.sum((a - b) ** 2) for a, b in zip(given, wanted, strict=True)]
        )
        self._squares = self._squares + np.array([np.sum(b**2) for b in wanted])
        self.classes = self.classes and _chooses_class(wanted)
        if self.classes:
            same = np.argmax(given[0], axis=-1) == np.argmax(wanted[0], axis=-1)
            self.equal += float(np.mean(same)) * len(same)

    @property
    def error(self) -> float:
        # A constant zero output leaves any difference infinitely large, and none fine.
        with np.errstate(divide="ignore", invalid="ignore"):
            ratios = np.sqrt(np.asarray(self._errors) / np.asarray(self._squares))
        return float(np.max(np.where(np.asarray(self._errors) == 0.0, 0.0, ratios)))


def _chooses_class(outputs: list[np.ndarray]) -> bool:
    return len(outputs) == 1 and outputs[0].ndim >= 2 and outputs[0].shape[-1] >= 2


def _like(structure: Any, outputs: Any) -> Any:
    """Pack a file's outputs as the Keras model packs its own."""
    flat = outputs if isinstance(outputs, list) else [outputs]
    return keras.tree.pack_sequence_as(structure, [tf.convert_to_tensor(value) for value in flat])
