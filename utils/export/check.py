"""Run `.tflite` files on held-out data and compare them with their Keras model."""

from __future__ import annotations

import dataclasses
import functools
import os
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from utils.errors import InputError
from utils.export.config import CheckConfig
from utils.export.errors import ExportError
from utils.export.layer_errors import LayerError, rank_layers
from utils.export.runner import TFLiteRunner, read_tflite
from utils.export.tflite import convert
from utils.training.metrics import Scores
from utils.training.scorer import Scorer, Tally

#: A float32 file may differ by rounding only: root mean square of the difference over that of the
#: Keras outputs. ResNet-20 measures 2e-7.
MAX_FLOAT_ERROR = 1e-4

#: Samples that layers are compared on when a file fails.
NUM_RANKING_SAMPLES = 32

#: What scores outputs: a `Scorer`, or a function (labels, outputs) -> {metric name: mean over the
#: batch}, whose "accuracy" decides.
CalcMetrics = Scorer | Callable[[Any, Any], Mapping[str, Any]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class CheckResult:
    """What a `.tflite` file does on held-out data.

    Attributes:
        kind: "float32", "dynamic" or "int8".
        path: where the file lies; None while it is not written.
        num_samples: held-out samples it was run on.
        top1: its accuracy; None when the metrics have none.
        keras_top1: the Keras model's accuracy on the same samples.
        gap: how much worse the file is by the metric that decides, as `Metric.gap` counts it (of
            an accuracy `keras_top1 - top1`); negative when the file is better. None when that is
            no fraction and was not named by --metric.
        agreement: part of the samples where both choose the same class; None when the network
            chooses none or has several outputs.
        error: root mean square of the difference of the outputs over that of the Keras outputs;
            the worst of several outputs.
        file_bytes: size of the file.
        file_bytes_deflated: its size after deflate (zlib level 9), as in an app package.
        metric: name of the metric that decides.
        value: of it, for the file.
        keras_value: of it, for the Keras model.
        is_blind: whether that is the worst value there is, so that the gap says nothing.
        float_operators: operators of an int8 file that compute in float; empty for integers only.
        reasons: which limits it misses, in words; empty when it passed.
        layers: for a quantized file that missed a limit, its layers, worst first.
    """

    kind: str
    path: str | None
    num_samples: int
    top1: float | None
    keras_top1: float | None
    gap: float | None
    agreement: float | None
    error: float
    file_bytes: int
    file_bytes_deflated: int
    float_operators: tuple[str, ...]
    metric: str = ""
    value: float | None = None
    keras_value: float | None = None
    is_blind: bool = False
    reasons: tuple[str, ...] = ()
    layers: tuple[LayerError, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether every limit is kept."""
        return not self.reasons


def check_tflite(
    tflite: str | os.PathLike[str] | bytes,
    model: keras.Model,
    dataset: Iterable[tuple[Any, Any]],
    calc_metrics: CalcMetrics,
    limits: CheckConfig | None = None,
) -> CheckResult:
    """Check one file, see `check_files`."""
    path = None if isinstance(tflite, bytes) else os.fspath(tflite)
    (result,) = check_files([read_tflite(tflite)], model, dataset, calc_metrics, limits)
    return dataclasses.replace(result, path=path)


def check_files(
    files: Sequence[bytes],
    model: keras.Model,
    dataset: Iterable[tuple[Any, Any]],
    calc_metrics: CalcMetrics,
    limits: CheckConfig | None = None,
) -> list[CheckResult]:
    """Run files and their Keras model over a data set, once, and compare.

    Args:
        files: contents of `.tflite` files of this model.
        model: the Keras model.
        dataset: held-out batches (inputs, labels); inputs one array, or several in a list, tuple
            or dict.
        calc_metrics: says what is computed; for a ModelHelper `Scorer(helper)`.
        limits: how far a file may be from the model.

    Returns:
        One result per file, in their order. Files that miss a limit have `reasons` and `layers`.

    Raises:
        InputError: if a file cannot be run, takes other inputs, or the data set is empty.
    """
    runners = [TFLiteRunner(content, num_threads=os.cpu_count() or 1) for content in files]
    scorer = calc_metrics if isinstance(calc_metrics, Scorer) else Scorer(_no_loss)
    reference, *tallies = (
        _Tally(scorer.tally(model.trainable_variables), calc_metrics) for _ in range(1 + len(files))
    )
    predict = tf.function(lambda inputs: model(inputs, training=False), reduce_retracing=True)
    names = [tensor.name for tensor in model.inputs]
    first_inputs = expected = None
    for inputs, labels in dataset:
        first_inputs = first_inputs or {
            name: array[:NUM_RANKING_SAMPLES] for name, array in _named(inputs, names).items()
        }
        expected = predict(inputs)
        reference.score(labels, expected)
        for runner, tally in zip(runners, tallies, strict=True):
            tally.add(labels, expected, _run(runner, names, expected, inputs))
    if first_inputs is None:
        raise InputError("the data set to check .tflite files with is empty. Give some batches.")
    if scorer.collects:
        runs = [functools.partial(_run, runner, names, expected) for runner in runners]
        _collect(scorer, [reference, *tallies], [predict, *runs], dataset)
    results = [
        _result(content, runner, tally, reference.scores())
        for content, runner, tally in zip(files, runners, tallies, strict=True)
    ]
    judged = [_judge(result, limits or CheckConfig()) for result in results]
    return _rank_failures(files, judged, model, first_inputs)


def require_passed(results: Sequence[CheckResult]) -> None:
    """Refuse results of which one missed a limit.

    Raises:
        ExportError: says which limits and lists the worst layers; carries the results.
    """
    failed = [result for result in results if not result.passed]
    if not failed:
        return
    messages = []
    for result in failed:
        worst = "; ".join(
            f"{row.layer} (SNR {row.snr_db:.1f} dB: {row.suggestion})" for row in result.layers[:3]
        )
        layers = f" Layers by the error they add: {worst}." if worst else ""
        messages.append(
            f"the {result.kind} .tflite file differs too much from its Keras model: "
            f"{', '.join(result.reasons)}.{layers}"
        )
    raise ExportError(" ".join(messages), results)


class _Tally:
    """Running sums of one file against the Keras model, beside its scores."""

    def __init__(self, scores: Tally, calc_metrics: CalcMetrics) -> None:
        self._scores = scores
        self._calc_metrics = calc_metrics
        self.collected: dict[str, float] | None = None
        self.equal = 0.0
        self.classes = True
        self.errors: np.ndarray | float = 0.0
        self.squares: np.ndarray | float = 0.0

    def score(self, labels: Any, outputs: Any) -> None:
        """Add outputs to the scores alone."""
        if isinstance(self._calc_metrics, Scorer):
            self._scores.update(labels, outputs)
        else:
            size = len(keras.tree.flatten(outputs)[0])
            self._scores.add(self._calc_metrics(labels, outputs), size)

    def add(self, labels: Any, expected: Any, outputs: Any) -> None:
        """Add outputs and how far they are from those of the Keras model."""
        self.score(labels, outputs)
        wanted = [np.asarray(value, np.float64) for value in keras.tree.flatten(expected)]
        given = [np.asarray(value, np.float64) for value in keras.tree.flatten(outputs)]
        self.errors = self.errors + np.array(
            [np.sum((a - b) ** 2) for a, b in zip(given, wanted, strict=True)]
        )
        self.squares = self.squares + np.array([np.sum(b**2) for b in wanted])
        self.classes = self.classes and _chooses_class(wanted)
        if self.classes:
            same = np.argmax(given[0], axis=-1) == np.argmax(wanted[0], axis=-1)
            self.equal += float(np.mean(same)) * len(same)

    @property
    def num_samples(self) -> int:
        return self._scores.num_samples

    def scores(self) -> Scores:
        return self._scores.scores(self.collected)

    @property
    def agreement(self) -> float | None:
        picks = self.scores().picks_class
        return self.equal / self.num_samples if self.classes and picks else None

    @property
    def error(self) -> float:
        # A constant zero output leaves any difference infinitely large, and none fine.
        with np.errstate(divide="ignore", invalid="ignore"):
            ratios = np.sqrt(np.asarray(self.errors) / np.asarray(self.squares))
        return float(np.max(np.where(np.asarray(self.errors) == 0.0, 0.0, ratios)))


def _no_loss(labels: Any, outputs: Any, variables: Any) -> tuple[float, dict[str, Any]]:
    return 0.0, {}


def _chooses_class(outputs: list[np.ndarray]) -> bool:
    return len(outputs) == 1 and outputs[0].ndim >= 2 and outputs[0].shape[-1] >= 2


def _collect(
    scorer: Scorer,
    tallies: Sequence[_Tally],
    networks: Sequence[Callable[[Any], Any]],
    dataset: Iterable[tuple[Any, Any]],
) -> None:
    """Let the helper collect the outputs of each network, one network after the other."""
    for tally, network in zip(tallies, networks, strict=True):
        collector = scorer.collector(is_whole=True)
        if collector is not None:
            for inputs, labels in dataset:
                collector.add(labels, network(inputs))
            tally.collected = collector.result()


def _flat_inputs(inputs: Any, names: list[str]) -> list[Any]:
    if isinstance(inputs, Mapping):
        return [inputs[name] for name in names]
    return list(inputs) if isinstance(inputs, list | tuple) else [inputs]


def _named(inputs: Any, names: list[str]) -> dict[str, np.ndarray]:
    return dict(zip(names, map(np.asarray, _flat_inputs(inputs, names)), strict=True))


def _run(runner: TFLiteRunner, names: list[str], structure: Any, inputs: Any) -> Any:
    """Run a file; its outputs are packed as the Keras model packs its own."""
    arrays = _named(inputs, names)
    outputs = runner(arrays if len(names) > 1 else arrays[names[0]])
    flat = outputs if isinstance(outputs, list) else [outputs]
    return keras.tree.pack_sequence_as(structure, [tf.convert_to_tensor(value) for value in flat])


def _result(content: bytes, runner: TFLiteRunner, tally: _Tally, reference: Scores) -> CheckResult:
    scores, kind, deciding = tally.scores(), runner.graph.kind(), reference.deciding
    values = [each.get(deciding.name) for each in (scores, reference)]
    counts = None not in values and (deciding.is_share or deciding.is_chosen)
    return CheckResult(
        kind=kind,
        path=None,
        num_samples=tally.num_samples,
        top1=scores.top1,
        keras_top1=reference.top1,
        gap=deciding.gap(reference.value, scores.value) if counts else None,
        metric=deciding.name,
        value=values[0],
        keras_value=values[1],
        is_blind=bool(counts and deciding.is_blind(reference.value)),
        agreement=tally.agreement,
        error=tally.error,
        file_bytes=len(content),
        file_bytes_deflated=len(zlib.compress(content, 9)),
        float_operators=runner.graph.float_operators() if kind == "int8" else (),
    )


def _judge(result: CheckResult, limits: CheckConfig) -> CheckResult:
    """List the limits that a result misses; written so that NaN misses them."""
    if result.kind == "float32":
        reason = (
            f"its outputs differ by {result.error:.2g} of their size, rounding explains "
            f"{MAX_FLOAT_ERROR:g}"
        )
        reasons = [] if result.error <= MAX_FLOAT_ERROR else [reason]
        return dataclasses.replace(result, reasons=tuple(reasons))
    tolerance = 1e-9  # 0.92 - 0.91 is more than 0.01 in binary
    reasons = []
    if result.gap is not None and not result.gap <= limits.tflite_max_gap + tolerance:
        reasons.append(
            f"{result.metric} {result.value:.4f} against {result.keras_value:.4f} "
            f"(--tflite_max_gap={limits.tflite_max_gap:g})"
        )
    agreement, least = result.agreement, limits.tflite_min_agreement
    if agreement is not None and not agreement >= least - tolerance:
        reasons.append(
            f"the same class on {agreement:.4f} of the samples (--tflite_min_agreement={least:g})"
        )
    by_error = agreement is None or result.is_blind
    if by_error and not result.error <= limits.tflite_max_error:
        reasons.append(
            f"its outputs differ by {result.error:.3g} of their size "
            f"(--tflite_max_error={limits.tflite_max_error:g})"
        )
    return dataclasses.replace(result, reasons=tuple(reasons))


def _rank_failures(
    files: Sequence[bytes],
    results: list[CheckResult],
    model: keras.Model,
    inputs: dict[str, np.ndarray],
) -> list[CheckResult]:
    """Add the layers to results that failed by quantization."""
    if all(result.passed or result.kind == "float32" for result in results):
        return results
    kinds = [result.kind for result in results]
    reference = files[kinds.index("float32")] if "float32" in kinds else convert(model, "float32")
    return [
        result
        if result.passed or result.kind == "float32"
        else dataclasses.replace(result, layers=rank_layers(content, reference, inputs, model))
        for content, result in zip(files, results, strict=True)
    ]
