"""What a finished run is measured by: the file the user gets, before and after, in one run."""

import dataclasses
import pathlib
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from nets.abstract_model_helper import AbstractModelHelper
from pipeline.outcome import Outcome
from pipeline.plan import Plan
from utils import flags
from utils.export.check import CheckResult
from utils.export.config import LatencyConfig
from utils.export.errors import ExportError
from utils.export.files import export_files
from utils.export.runner import TFLiteRunner
from utils.export.tflite import convert
from utils.files import save_keras_model
from utils.graph import Complexity, Graph, capability_report, complexity, from_keras
from utils.latency import LatencyStats, measure
from utils.report import (
    Capability,
    Layer,
    Network,
    Report,
    TfliteFile,
    TrainingPoint,
    network_facts,
)
from utils.training import Metric, Scorer, Scores, evaluate


def score(helper: AbstractModelHelper, network: Any, dataset: Any = None) -> Scores:
    """Score a network on the test split, or another data set, with the helper's loss and metrics.

    Args:
        helper: says what is computed.
        network: a Keras model, or a function of a batch of images.
        dataset: finite batches; None for the test split.
    """
    return evaluate(network, dataset, helper)


def report_on(
    plan: Plan,
    helper: AbstractModelHelper,
    outcome: Outcome,
    command: Sequence[str],
    start: float,
) -> Report:
    """Export the resulting network, measure it against the one before, write the report.

    Args:
        plan: the run's plan.
        helper: data and metrics.
        outcome: the networks before and after, and the learners that ran.
        command: the command line.
        start: `time.perf_counter()` when the run began.

    Returns:
        The report; its files lie in `plan.folder`.

    Raises:
        ExportError: a `.tflite` file misses its limits. The report is written all the same, with
            what was measured; the files are not.
    """
    run, artefact = plan.run, plan.stages[-1].artefact_path
    seconds: dict[str, float] = {}
    for stage in outcome.stages:
        for name, value in stage.seconds.items():
            seconds[name] = seconds.get(name, 0.0) + value
    clock = time.perf_counter()
    scores = [score(helper, model) for model in (outcome.before, outcome.after.model)]
    seconds["evaluation"] = time.perf_counter() - clock
    clock = time.perf_counter()
    checks, failure = _export(plan, helper, outcome.after.deployed or outcome.after.model, artefact)
    seconds["export"] = time.perf_counter() - clock
    clock = time.perf_counter()
    baseline = artefact.with_name("model_before.keras")
    save_keras_model(outcome.before, baseline)
    timings = _latencies(outcome, checks, run.export.latency)
    seconds["latency"] = time.perf_counter() - clock
    seconds["total"] = time.perf_counter() - start
    graphs = [
        from_keras(model, allow_unsafe=run.allow_unsafe)
        for model in (outcome.before, outcome.after.model)
    ]
    counts = [complexity(graph) for graph in graphs]
    report = Report(
        command=tuple(command),
        learner=tuple(stage.learner for stage in plan.stages),
        model_helper=run.model_helper,
        dataset=helper.dataset_name,
        seed=run.seed,
        config=_config(plan, helper),
        before=_network(counts[0], baseline, scores[0], timings["before"]),
        after=_network(counts[1], artefact, scores[1], timings["after"]),
        seconds=seconds,
        tflite=tuple(_tflite_row(check, timings.get(check.kind)) for check in checks),
        layers=_layers(graphs, counts, _learner_facts(outcome)),
        training=tuple(_point(row) for stage in outcome.stages for row in stage.history),
        capability=tuple(
            Capability(layer=row.layer, action=row.action, reason=row.reason)
            for row in capability_report(graphs[0])
        ),
        search=next((stage.search for stage in outcome.stages if stage.search), None),
        notes=(
            *_decides(scores[1].deciding, helper.deciding_metric[0]),
            *(note for stage in outcome.stages for note in stage.notes),
        ),
        model=outcome.after.model,
    )
    from utils.report.writing import save_report  # plots take a second to import

    save_report(report, plan.folder)
    if failure is not None:
        raise failure
    return report


def _export(
    plan: Plan, helper: AbstractModelHelper, model: keras.Model, artefact: pathlib.Path
) -> tuple[list[CheckResult], ExportError | None]:
    """Export; files that miss their limits are results too, beside the error that says so."""
    config = plan.run.export
    calibration = helper.build_dataset_calibration(config.convert.nb_smpls_calib)
    try:
        checks = export_files(
            model,
            artefact,
            config,
            calibration=(batch[0] if isinstance(batch, tuple) else batch for batch in calibration),
            dataset=helper.build_dataset_eval(),
            calc_metrics=Scorer(helper),
        )
    except ExportError as error:
        return list(error.results), error
    return checks, None


def _latencies(
    outcome: Outcome, checks: Sequence[CheckResult], config: LatencyConfig
) -> dict[str, LatencyStats]:
    """Time the float32 files of both networks, and every exported file, in turns."""
    contents: dict[str, Any] = {
        "before": convert(outcome.before, "float32"),
        "after": convert(outcome.after.model, "float32"),
    }
    contents |= {check.kind: pathlib.Path(check.path) for check in checks if check.path}
    runners = {}
    for name, content in contents.items():
        runner = TFLiteRunner(content, num_threads=config.latency_threads)
        shapes = runner.input_shapes
        sample = [np.zeros(shape, np.float32) for shape in shapes.values()]
        runners[name] = runner.bind(sample[0] if len(sample) == 1 else sample)
    return measure(runners, repeats=config.nb_repts, warmup=config.nb_repts_warmup)


def _decides(metric: Metric, named: str | None) -> Iterator[str]:
    """State which metric decided, where that is not plainly the accuracy."""
    if metric.is_accuracy and named is None:
        return
    way = "higher" if metric.higher_is_better else "lower"
    chosen = "" if named is None else " (--metric)"
    files = (
        "the gap of exported files goes by it"
        if metric.is_share or metric.is_chosen
        else "exported files are judged by the error of their outputs"
    )
    yield (
        f"{metric.name}{chosen} decides, the {way} the better: the rewards of a search go by it; "
        f"{files}."
    )


def _network(
    counts: Complexity, path: pathlib.Path, scores: Scores, timing: LatencyStats
) -> Network:
    return network_facts(
        counts,
        path=path,
        top1=scores.top1,
        metrics=dict(scores),
        latency_ms=(timing.p50, timing.p95),
    )


def _tflite_row(check: CheckResult, timing: LatencyStats | None) -> TfliteFile:
    return TfliteFile(
        kind=check.kind,
        path=check.path or "",
        top1=check.top1,
        agreement=check.agreement,
        gap=check.gap,
        file_bytes=check.file_bytes,
        file_bytes_deflated=check.file_bytes_deflated,
        latency_ms_p50=None if timing is None else timing.p50,
        latency_ms_p95=None if timing is None else timing.p95,
        passed=check.passed,
    )


def _layers(
    graphs: Sequence[Graph], counts: Sequence[Complexity], facts: Mapping[str, Mapping[str, Any]]
) -> tuple[Layer, ...]:
    """Set the rows of both networks' layers side by side, by name."""
    after = {row.name: row for row in counts[1].rows}
    layers = []
    for row in counts[0].rows:
        if not row.params or row.name not in after:
            continue
        now = after[row.name]
        shapes = [_channels(graph, row.name) for graph in graphs]
        (in_before, out_before), (in_after, out_after) = shapes
        layers.append(
            Layer(
                name=row.name,
                op=row.op,
                channels_in_before=in_before,
                channels_in_after=in_after,
                channels_out_before=out_before,
                channels_out_after=out_after,
                params_before=row.params,
                params_after=now.params,
                flops_before=row.flops,
                flops_after=now.flops,
                ratio=0.0 if not in_before or in_after is None else 1 - in_after / in_before,
                error=facts.get(row.name, {}).get("error"),
            )
        )
    return tuple(layers)


def _channels(graph: Graph, layer: str) -> tuple[int | None, int | None]:
    """Input and output channels of a layer's first call."""
    node = graph.calls(layer)[0]
    inputs = graph.shape(node.inputs[0])[-1] if node.inputs else None
    return inputs, node.output_shapes[0][-1]


def _learner_facts(outcome: Outcome) -> dict[str, dict[str, Any]]:
    """Merge what the stages know of each layer; of the same fact the last stage's counts."""
    merged: dict[str, dict[str, Any]] = {}
    for stage in outcome.stages:
        for name, facts in stage.layers.items():
            merged.setdefault(name, {}).update(facts)
    return merged


def _point(row: Mapping[str, Any]) -> TrainingPoint:
    known = {field.name for field in dataclasses.fields(TrainingPoint)} - {"others"}
    own = {name: value for name, value in row.items() if name in known}
    return TrainingPoint(
        **own, others={name: value for name, value in row.items() if name not in known}
    )


def _config(plan: Plan, helper: AbstractModelHelper) -> dict[str, Any]:
    values = {**flags.flag_values(plan.run), **flags.flag_values(helper.config)}
    for stage in plan.stages:
        values |= flags.flag_values(stage.config)
    return values
