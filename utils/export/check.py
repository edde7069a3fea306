"""Run files on held-out data and compare them with their Keras model."""

from __future__ import annotations

import dataclasses
import os
import zlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np

from utils.errors import InputError
from utils.export.compare import CalcMetrics, Observation, Subject, observe
from utils.export.config import CheckConfig
from utils.export.errors import ExportError
from utils.export.exporters import EXPORTERS, load_function
from utils.export.layer_errors import LayerError
from utils.export.runner import TFLiteRunner, read_tflite
from utils.export.tflite import convert
from utils.traced import traced
from utils.training import Scores

#: Samples that layers are compared on when a file fails.
NUM_RANKING_SAMPLES = 32


@dataclasses.dataclass(frozen=True, kw_only=True)
class CheckResult:
    """What a file does on held-out data.

    Attributes:
        kind: a key of `utils.export.exporters.EXPORTERS`.
        network: which network it was made of, "after" where there is only one.
        path: where the file lies; None while it is not written.
        num_samples: held-out samples it was run on.
        scores: its loss and metrics by name.
        hits: on which samples it is right, see `utils.export.compare.Observation`.
        top1: its accuracy; None when the metrics have none.
        keras_top1: the Keras model's accuracy on the same samples.
        gap: how much worse the file is by the metric that decides, as `Metric.gap` counts it (of
            an accuracy `keras_top1 - top1`); negative when the file is better. None when that is
            no fraction and was not named by --metric.
        agreement: part of the samples where both choose the same class; None when the network
            chooses none or has several outputs.
        error: root mean square of the difference of the outputs over that of the Keras outputs;
            the worst of several outputs. None where it was not compared.
        file_bytes: size of the file; 0 where there is none.
        file_bytes_deflated: its size after deflate (zlib level 9), as in an app package.
        sha256: SHA-256 of the file, in hexadecimal digits; empty while it is not written.
        metric: name of the metric that decides.
        value: of it, for the file.
        keras_value: of it, for the Keras model.
        is_blind: whether that is the worst value there is, so that the gap says nothing.
        float_operators: operators of an int8 file that compute in float; empty for integers only.
        reasons: which limits it misses, in words; empty when it passed.
        layers: for a quantized file that missed a limit, its layers, worst first.
        notes: sentences on how the file came about.
        failed: why there is no file, or none that runs, and what to do; empty else.
        declined: why there is no file of an optional kind; empty else.
        checked: False for a file that could not be compared, for no fault of its own.
    """

    kind: str
    network: str = "after"
    path: str | None = None
    num_samples: int = 0
    scores: Mapping[str, float] = dataclasses.field(default_factory=dict)
    hits: np.ndarray | None = dataclasses.field(default=None, compare=False, repr=False)
    top1: float | None = None
    keras_top1: float | None = None
    gap: float | None = None
    agreement: float | None = None
    error: float | None = None
    file_bytes: int = 0
    file_bytes_deflated: int = 0
    sha256: str = ""
    metric: str = ""
    value: float | None = None
    keras_value: float | None = None
    is_blind: bool = False
    float_operators: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    layers: tuple[LayerError, ...] = ()
    notes: tuple[str, ...] = ()
    failed: str = ""
    declined: str = ""
    checked: bool = True

    @property
    def passed(self) -> bool:
        """Whether there is a file, and it keeps every limit it was held against."""
        return not (self.reasons or self.failed or self.declined)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportedFile:
    """A file to check.

    Attributes:
        network: key of the network it was made of.
        reference: key of the network that it is compared with; "" for `network`.
        kind: a key of `EXPORTERS`.
        content: its bytes.
        notes: sentences on how it came about.
    """

    network: str
    kind: str
    content: bytes
    notes: tuple[str, ...] = ()
    reference: str = ""

    @property
    def compared(self) -> str:
        """Key of the network that it is compared with."""
        return self.reference or self.network


class Checked(NamedTuple):
    """What networks and their files did on the same data."""

    networks: dict[str, Observation]
    files: list[CheckResult]


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
    """Run `.tflite` files and their Keras model over a data set, once, and compare.

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
    kinds = [TFLiteRunner(content).graph.kind() for content in files]
    exported = [
        ExportedFile(network="after", kind=kind, content=content)
        for kind, content in zip(kinds, files, strict=True)
    ]
    checked = check_all({"after": model}, exported, dataset, calc_metrics, limits)
    for failed in (result.failed for result in checked.files):
        if failed:
            raise InputError(failed)
    return checked.files


def check_all(
    networks: Mapping[str, keras.Model],
    files: Sequence[ExportedFile],
    dataset: Iterable[Any],
    calc_metrics: CalcMetrics,
    limits: CheckConfig | None = None,
    *,
    unlimited: Collection[str] = (),
) -> Checked:
    """Run networks and files of them over a data set, once, side by side.

    Args:
        networks: Keras models by name.
        files: files of these networks.
        dataset: held-out batches (inputs, labels, …), see `check_files`.
        calc_metrics: see `check_files`.
        limits: how far a file may be from its network.
        unlimited: networks whose files are compared and held against no limit.

    Returns:
        An observation of each network, and a result for each file in their order; one that cannot
        be run has `failed`.

    Raises:
        InputError: if the data set is empty, or no metric can decide.
    """
    runs = [_FileRun(file, networks[file.compared]) for file in files]
    subjects = [
        Subject(name=name, run=_prediction(model), variables=model.trainable_variables)
        for name, model in networks.items()
    ]
    subjects += [
        Subject(
            name=f"file {number}",
            run=run,
            reference=run.file.compared,
            variables=run.model.trainable_variables,
        )
        for number, run in enumerate(runs)
    ]
    seen = observe(subjects, dataset, calc_metrics)
    results = [
        run.result(seen[f"file {number}"], seen[run.file.compared])
        for number, run in enumerate(runs)
    ]
    judged = [
        result if result.network in unlimited else _judge(result, limits or CheckConfig())
        for result in results
    ]
    judged = [_declined(result) for result in judged]
    return Checked({name: seen[name] for name in networks}, _rank_failures(runs, judged))


def _declined(result: CheckResult) -> CheckResult:
    """Turn down a file of an optional kind that misses a limit or does not run."""
    reason = result.failed or ", ".join(result.reasons)
    if not reason or not EXPORTERS[result.kind].optional:
        return result
    return CheckResult(kind=result.kind, network=result.network, declined=reason)


def unchecked(file: ExportedFile) -> CheckResult:
    """Say of a file what is known without running it."""
    return CheckResult(
        kind=file.kind,
        network=file.network,
        file_bytes=len(file.content),
        file_bytes_deflated=len(zlib.compress(file.content, 9)),
        notes=file.notes,
        checked=False,
    )


def require_passed(results: Sequence[CheckResult]) -> None:
    """Refuse results of which one missed a limit, or has no file.

    Raises:
        ExportError: says why, and lists the worst layers; carries the results.
    """
    failed = [result for result in results if not result.passed and not result.declined]
    if not failed:
        return
    messages = []
    for result in failed:
        if result.failed:
            messages.append(f"there is no {result.kind} file: {result.failed}")
            continue
        ending = EXPORTERS[result.kind].ending
        worst = "; ".join(worst_layers(result))
        layers = f" Layers by the error they add: {worst}." if worst else ""
        messages.append(
            f"the {result.kind} {ending} file differs too much from its Keras model: "
            f"{', '.join(result.reasons)}.{layers}"
        )
    raise ExportError(" ".join(messages), results)


def worst_layers(result: CheckResult) -> list[str]:
    """Say of the three layers that lose most how much, and what to do."""
    return [f"{row.layer} (SNR {row.snr_db:.1f} dB: {row.suggestion})" for row in result.layers[:3]]


def _prediction(model: keras.Model) -> Callable[[Any], Any]:
    return traced(lambda inputs: model(inputs, training=False))


class _FileRun:
    """A file as a function of the data set's inputs; opened when it is first called."""

    def __init__(self, file: ExportedFile, model: keras.Model) -> None:
        self.file = file
        self.model = model
        self.first_inputs: dict[str, np.ndarray] = {}
        self._names = [tensor.name for tensor in model.inputs]
        self._runner: Any = None

    def __call__(self, inputs: Any) -> Any:
        if self._runner is None:
            open_file = load_function(EXPORTERS[self.file.kind].runner)
            self._runner = open_file(self.file.content, num_threads=os.cpu_count() or 1)
        flat = _flat_inputs(inputs, self._names)
        arrays = dict(zip(self._names, map(np.asarray, flat), strict=True))
        self.first_inputs = self.first_inputs or {
            name: array[:NUM_RANKING_SAMPLES] for name, array in arrays.items()
        }
        return self._runner(arrays if len(arrays) > 1 else arrays[self._names[0]])

    def result(self, seen: Observation, network: Observation) -> CheckResult:
        """Put together what was seen of the file and of its network."""
        result = unchecked(self.file)
        if network.scores is None:
            return result
        result = dataclasses.replace(result, checked=True)
        if seen.scores is None:
            return dataclasses.replace(result, failed=seen.failed)
        return dataclasses.replace(
            result,
            num_samples=seen.num_samples,
            scores=dict(seen.scores),
            hits=seen.hits,
            top1=seen.scores.top1,
            keras_top1=network.scores.top1,
            agreement=seen.agreement,
            error=seen.error,
            float_operators=self._runner.float_operators(),
            **_by_what_decides(seen.scores, network.scores),
        )


def _by_what_decides(scores: Scores, reference: Scores) -> dict[str, Any]:
    """Compare a file with its network by the metric that decides."""
    deciding = reference.deciding
    value, wanted = (each.get(deciding.name) for each in (scores, reference))
    found = {"metric": deciding.name, "value": value, "keras_value": wanted}
    if value is None or wanted is None or not (deciding.is_share or deciding.is_chosen):
        return found
    return found | {"gap": deciding.gap(wanted, value), "is_blind": deciding.is_blind(wanted)}


def _flat_inputs(inputs: Any, names: list[str]) -> list[Any]:
    if isinstance(inputs, Mapping):
        return [inputs[name] for name in names]
    return list(inputs) if isinstance(inputs, list | tuple) else [inputs]


def _judge(result: CheckResult, limits: CheckConfig) -> CheckResult:
    """List the limits that a result misses; written so that NaN misses them."""
    if result.failed or not result.checked or result.error is None:
        return result
    max_error = EXPORTERS[result.kind].max_error
    if max_error is not None:
        reason = (
            f"its outputs differ by {result.error:.2g} of their size, rounding explains "
            f"{max_error:g}"
        )
        reasons = [] if result.error <= max_error else [reason]
    else:
        reasons = _missed(result, limits)
    return dataclasses.replace(result, reasons=tuple(reasons))


def _missed(result: CheckResult, limits: CheckConfig) -> list[str]:
    """List the limits of `CheckConfig` that a result misses."""
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
    if by_error and result.error is not None and not result.error <= limits.tflite_max_error:
        reasons.append(
            f"its outputs differ by {result.error:.3g} of their size "
            f"(--tflite_max_error={limits.tflite_max_error:g})"
        )
    return reasons


def _rank_failures(runs: Sequence[_FileRun], results: list[CheckResult]) -> list[CheckResult]:
    """Add the layers to results that failed by quantization."""
    floats = {run.file.network: run.file.content for run in runs if run.file.kind == "float32"}
    ranked = []
    for run, result in zip(runs, results, strict=True):
        ranks = EXPORTERS[result.kind].ranks
        if result.reasons and ranks is not None:
            try:
                reference = None if run.file.reference else floats.get(result.network)
                reference = reference or convert(run.model, "float32")
                rows = load_function(ranks)(
                    run.file.content, reference, run.first_inputs, run.model
                )
                result = dataclasses.replace(result, layers=rows)
            except Exception as error:  # the verdict stands without it
                note = f"Its layers could not be compared: {error}"
                result = dataclasses.replace(result, notes=(*result.notes, note))
        ranked.append(result)
    return ranked
