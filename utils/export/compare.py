"""Networks and files on the same data, in one pass: scores, errors, who is right on what."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from utils.errors import InputError
from utils.export.hits import Choices, Hits
from utils.training import Scorer, Scores

#: What scores outputs: a `Scorer`, or a function (labels, outputs) -> {metric name: mean over the
#: batch}, whose "accuracy" decides.
CalcMetrics = Scorer | Callable[[Any, Any], Mapping[str, Any]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Subject:
    """Something that maps inputs to outputs.

    Attributes:
        name: key of its observation.
        run: a batch of the data set's inputs -> outputs [batch, …].
        reference: name of an earlier subject that it should equal; its outputs are packed like
            that one's.
        variables: of the network, for a `calc_loss` that looks at their names.
    """

    name: str
    run: Callable[[Any], Any]
    reference: str | None = None
    variables: Sequence[Any] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Observation:
    """What a subject did.

    Attributes:
        num_samples: samples it was run on.
        scores: its metrics; None where it failed.
        hits: float [num_samples]: 1 where it is right, 0 where it is wrong, between them a share
            of positions; None where its accuracy is no mean of such figures.
        choices: the class of every sample and the one it was taken for; None where a sample has
            none or several.
        agreement: part of the samples where it chooses the same class as its reference; None when
            it has no accuracy, several outputs or no reference.
        error: root mean square of the difference to its reference's outputs over that of those;
            the worst of several outputs; None without a reference.
        failed: what it raised, with everything else empty.
    """

    num_samples: int = 0
    scores: Scores | None = None
    hits: np.ndarray | None = None
    choices: Choices | None = None
    agreement: float | None = None
    error: float | None = None
    failed: str = ""


def observe(
    subjects: Sequence[Subject], dataset: Iterable[Any], calc_metrics: CalcMetrics
) -> dict[str, Observation]:
    """Run subjects over a data set, once, side by side: it may give another order every time.

    Args:
        subjects: references before those that refer to them.
        dataset: finite batches (inputs, labels, …).
        calc_metrics: says what is computed; for a ModelHelper `Scorer(helper)`.

    Returns:
        An observation by subject name. A subject that raises has failed, and so have those that
        refer to it; the others go on.

    Raises:
        InputError: if the data set is empty, or no metric can decide.
    """
    scorer = calc_metrics if isinstance(calc_metrics, Scorer) else Scorer(_no_loss)
    runs = {subject.name: _Run(subject, scorer, calc_metrics) for subject in subjects}
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
    if scorer.collects:  # what a helper collects, it collects of one network after the other
        for run in runs.values():
            run.collect(dataset)
    return {name: run.observation() for name, run in runs.items()}


class _Run:
    """A subject and what it did so far."""

    def __init__(self, subject: Subject, scorer: Scorer, calc_metrics: CalcMetrics) -> None:
        self.subject = subject
        self.failed = ""
        self._scorer = scorer
        self._calc_metrics = calc_metrics
        self._scores = scorer.tally(subject.variables)
        self._collected: dict[str, float] | None = None
        self._structure: Any = None
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
        size = len(keras.tree.flatten(outputs)[0])
        if expected is not None:
            self._structure = expected
            outputs = _like(expected, outputs)
            self._tally.add(expected, outputs)
        self._count += size
        if isinstance(self._calc_metrics, Scorer):
            self._scores.update(labels, outputs)
        else:
            self._scores.add(self._calc_metrics(labels, outputs), size)
        self._hits.add(labels, outputs)
        return outputs

    def collect(self, dataset: Iterable[Any]) -> None:
        """Let the helper collect the outputs of the whole set, in another pass."""
        collector = None if self.failed else self._scorer.collector(is_whole=True)
        if collector is not None:
            for inputs, labels, *_ in dataset:
                outputs = self.subject.run(inputs)
                if self._structure is not None:
                    outputs = _like(self._structure, outputs)
                collector.add(labels, outputs)
            self._collected = collector.result()

    def observation(self) -> Observation:
        """Sum up."""
        if self.failed:
            return Observation(failed=self.failed)
        scores = self._scores.scores(self._collected)
        compared = self.subject.reference is not None
        classes = compared and scores.picks_class and self._tally.classes
        return Observation(
            num_samples=self._count,
            scores=scores,
            hits=None if scores.top1 is None else self._hits.of(scores.top1),
            choices=None if scores.top1 is None else self._hits.choices(scores.top1),
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


def _no_loss(labels: Any, outputs: Any, variables: Any) -> tuple[float, dict[str, Any]]:
    return 0.0, {}


def _chooses_class(outputs: list[np.ndarray]) -> bool:
    return len(outputs) == 1 and outputs[0].ndim >= 2 and outputs[0].shape[-1] >= 2


def _like(structure: Any, outputs: Any) -> Any:
    """Pack a file's outputs as the Keras model packs its own."""
    flat = outputs if isinstance(outputs, list) else [outputs]
    return keras.tree.pack_sequence_as(structure, [tf.convert_to_tensor(value) for value in flat])
