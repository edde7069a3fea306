"""What a finished run is measured by: the files the user gets, before and after, in one run.

The resulting network is saved when this begins. Whatever fails here is noted in the report, which
is written all the same.
"""

import dataclasses
import pathlib
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from nets.abstract_model_helper import AbstractModelHelper
from pipeline.class_rows import class_rows
from pipeline.control import NAME as CONTROL
from pipeline.control import Control, train_control
from pipeline.device_files import AFTER, BEFORE, DeviceFiles, measure_files
from pipeline.file_rows import change_of, file_rows, finite, interval_of
from pipeline.layer_rows import layer_rows, mean_bits
from pipeline.outcome import Outcome
from pipeline.plan import Plan
from pipeline.steps import ReportedError, Steps
from utils import flags
from utils.errors import InputError
from utils.export.check import require_passed
from utils.export.errors import ExportError
from utils.files import save_keras_model
from utils.graph import (
    Complexity,
    Graph,
    capability_report,
    complexity,
    copy_network,
    from_keras,
)
from utils.graph.activations import peak_activations
from utils.multi_gpu_wrapper import together
from utils.report import (
    Capability,
    ClassChange,
    Estimate,
    Network,
    Report,
    Search,
    TrainingPoint,
    network_facts,
)
from utils.training import Metric, Scores, evaluate
from utils.training.callbacks import NotFiniteError
from utils.training.divergence import DivergedError
from utils.weight_facts import kernels, scattered_zeros


def score(helper: AbstractModelHelper, network: Any, dataset: Any = None) -> Scores:
    """Score a network on the test split, or another data set, with the helper's loss and metrics.

    Args:
        helper: says what is computed.
        network: a Keras model, or a function of a batch of images.
        dataset: finite batches; None for the test split.
    """
    return evaluate(network, dataset, helper)


def companion_path(artefact: pathlib.Path, network: str) -> pathlib.Path:
    """Name the file of another network of a run, which lies beside the resulting one.

    Args:
        artefact: the resulting network.
        network: "before" or "control".

    Example:
        >>> companion_path(pathlib.Path("runs/demo/model.keras"), "before").as_posix()
        'runs/demo/model_before.keras'
    """
    return artefact.with_name(f"model_{network}.keras")


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
        ReportedError: a file could not be made or misses its limits, or another step failed. The
            report is written all the same, with what was found out; the error carries it.
    """
    found = _Measurement(plan, helper, outcome)
    found.steps.seconds["total"] = time.perf_counter() - start
    report = _save(found.report(command), plan.folder, found.steps)
    _refuse_failures(report, found.files)
    return report


def follow(plan: Plan, helper: AbstractModelHelper, outcome: Outcome) -> keras.Model:
    """Take part, as a worker that does not report, in what is trained for the report.

    Args:
        plan: as of `report_on`.
        helper: likewise.
        outcome: likewise.

    Returns:
        The resulting network.
    """
    if plan.run.control:
        copy = copy_network(outcome.before, allow_unsafe=plan.run.allow_unsafe)
        try:
            train_control(plan, helper, outcome, copy)
        except InputError as error:
            # What diverges does so in all workers, and worker 0 reports it. What fails here alone
            # ends the run: worker 0 would wait for this one's gradients for ever.
            if not isinstance(error.__cause__, (NotFiniteError, DivergedError)):
                raise
    return outcome.after.model


class _Measurement:
    """What was measured of a run, step by step; a step that fails leaves its part empty."""

    def __init__(self, plan: Plan, helper: AbstractModelHelper, outcome: Outcome) -> None:
        self.steps = steps = Steps(debug=plan.run.debug)
        self._plan, self._helper, self._outcome = plan, helper, outcome
        artefact = plan.stages[-1].artefact_path
        self._models = {BEFORE: outcome.before, AFTER: outcome.after.model}
        paths = {BEFORE: companion_path(artefact, BEFORE), AFTER: artefact}
        self._paths: dict[str, pathlib.Path] = {AFTER: artefact}
        steps.run("saving", lambda: self._save(BEFORE, outcome.before), None)
        self._control = steps.run("control", self._train_control, None)
        others = {} if self._control is None else {CONTROL: self._control.model}
        self.files: DeviceFiles = measure_files(
            plan.run.export, helper, outcome, others, paths=paths, steps=steps
        )
        self._graphs: dict[str, Graph] = {}
        self._counts: dict[str, Complexity] = {}
        steps.run("counting", self._count, None)

    def _save(self, name: str, model: Any) -> None:
        path = companion_path(self._paths[AFTER], name)
        save_keras_model(model, path)
        self._paths[name] = path

    def _train_control(self) -> Control | None:
        if not self._plan.run.control:
            return None
        copy = copy_network(self._outcome.before, allow_unsafe=self._plan.run.allow_unsafe)
        with together(self._outcome.stages[-1].context.workers):
            control = train_control(self._plan, self._helper, self._outcome, copy)
        self._save(CONTROL, control.model)
        return control

    def _count(self) -> None:
        unsafe = self._plan.run.allow_unsafe
        for name, model in self._models.items():
            self._graphs[name] = from_keras(model, allow_unsafe=unsafe)
            self._counts[name] = complexity(self._graphs[name])

    def report(self, command: Sequence[str]) -> Report:
        """Put everything together."""
        plan, outcome, run = self._plan, self._outcome, self._plan.run
        steps, nothing = self.steps, tuple[str, ...]()
        return Report(
            command=tuple(command),
            learner=tuple(stage.learner for stage in plan.stages),
            model_helper=run.model_helper,
            dataset=self._helper.dataset_name,
            seed=run.seed,
            config=_config(plan, self._helper),
            changed_flags=_changed(plan, self._helper),
            before=self._network(BEFORE),
            after=self._network(AFTER, change=self._change(BEFORE)),
            control=None if self._control is None else self._network(CONTROL),
            versus_control=None if self._control is None else self._change(CONTROL),
            files=steps.run("files", lambda: file_rows(self.files), ()),
            classes=steps.run("files", self._classes, ()),
            layers=steps.run("layers", self._layers, ()),
            training=steps.run("training", self._training, ()),
            capability=steps.run("counting", self._capability, ()),
            searches=tuple(_searches(outcome)),
            notes=(
                *self._decides(),
                *_notes(outcome),
                *self.files.notes,
                *steps.run("teachers", self._teachers, nothing),
            ),
            seconds=self._seconds(),
            failures=tuple(steps.failures),
            model=outcome.after.model,
        )

    def _network(self, name: str, change: Estimate | None = None) -> Network:
        """Say what is known of a network."""
        seen, counts = self.files.networks.get(name), self._counts.get(name)
        scores = None if seen is None else seen.scores
        timing = self.files.timings.get((name, "float32"))
        model = self._control.model if name == CONTROL and self._control else self._models[name]
        graph = self._graphs.get(name)
        return network_facts(
            model.get_weights(),
            flops=None if counts is None else counts.flops,
            sparse_flops=None if counts is None else counts.sparse_flops,
            peak_activations=None if graph is None else peak_activations(graph),
            scattered_zeros=None if graph is None else scattered_zeros(_kernels(graph)),
            path=self._paths.get(name),
            top1=None if scores is None else scores.top1,
            num_samples=seen.num_samples if seen is not None and scores is not None else None,
            top1_interval=None if seen is None else interval_of(seen.hits),
            change=change,
            metrics={} if scores is None else finite(scores),
            bits=None if graph is None else mean_bits(graph),
            latency_ms_p50=None if timing is None else timing.p50,
            latency_ms_p95=None if timing is None else timing.p95,
        )

    def _change(self, name: str) -> Estimate | None:
        """Compare the network after with another, sample by sample."""
        after, other = (self.files.networks.get(each) for each in (AFTER, name))
        if after is None or other is None:
            return None
        return change_of(after.hits, other.hits)

    def _classes(self) -> tuple[ClassChange, ...]:
        before, after = (self.files.networks.get(name) for name in (BEFORE, AFTER))
        if before is None or after is None:
            return ()
        return class_rows(before.choices, after.choices)

    def _layers(self) -> Any:
        if len(self._counts) < 2:
            return ()
        pairs = [(self._graphs[name], self._counts[name]) for name in (BEFORE, AFTER)]
        graphs, counts = zip(*pairs, strict=True)
        return layer_rows(graphs, counts, _learner_facts(self._outcome))

    def _training(self) -> tuple[TrainingPoint, ...]:
        rows: list[Mapping[str, Any]] = []
        for stage in self._outcome.stages:
            rows += stage.history
        if self._control is not None:
            rows += self._control.history
        return tuple(map(_point, rows))

    def _capability(self) -> tuple[Capability, ...]:
        if BEFORE not in self._graphs:
            return ()
        return tuple(
            Capability(layer=row.layer, action=row.action, reason=row.reason)
            for row in capability_report(self._graphs[BEFORE])
        )

    def _decides(self) -> list[str]:
        seen = self.files.networks.get(AFTER)
        if seen is None or seen.scores is None:
            return []
        return list(_decides(seen.scores.deciding, self._helper.deciding_metric[0]))

    def _teachers(self) -> tuple[str, ...]:
        """Score the teachers that came from files: what could be learned from them."""
        contexts = [stage.context for stage in self._outcome.stages if stage.context.teacher]
        if not contexts or not self._plan.teacher_paths:
            return ()
        teachers = (contexts[-1].teacher, *contexts[-1].further_teachers)
        found = []
        for path, teacher in zip(self._plan.teacher_paths, teachers, strict=True):
            top1 = score(self._helper, teacher).top1
            if top1 is not None:
                found.append(f"The teacher {path} is right on {100 * top1:.2f} % of the test data.")
        return tuple(found)

    def _seconds(self) -> dict[str, float]:
        """Sum up the parts of the stages, then the steps of the measurement."""
        seconds: dict[str, float] = {}
        for stage in self._outcome.stages:
            for name, value in stage.seconds.items():
                seconds[name] = seconds.get(name, 0.0) + value
        steps = dict(self.steps.seconds)
        if self._control is None:
            steps.pop("control")
        else:
            steps["control"] = self._control.seconds  # of all sessions of a resumed run
        shown = ("control", "evaluation", "export", "latency", "total")
        return seconds | {name: steps[name] for name in shown if name in steps}


def _kernels(graph: Graph) -> list[np.ndarray]:
    return kernels(array for arrays in graph.params.values() for array in arrays.values())


def _notes(outcome: Outcome) -> Iterator[str]:
    """Give what the stages have to say, and what they learned from teachers."""
    for stage in outcome.stages:
        yield from (*stage.notes, *stage.teaching.notes())


def _save(report: Report, folder: pathlib.Path, steps: Steps) -> Report:
    """Write the report; one whose page cannot be drawn is written plainly."""
    from utils.report.writing import save_plain_report, save_report  # plots take a second to import

    if steps.run("page", lambda: save_report(report, folder), None) is not None:
        return report
    report = dataclasses.replace(report, failures=tuple(steps.failures))
    save_plain_report(report, folder)
    return report


def _refuse_failures(report: Report, files: DeviceFiles) -> None:
    """Refuse a result of which a file is missing or bad, or that could not be measured.

    Raises:
        ReportedError: says what failed.
    """
    results = [result for result in files.results if result.network == AFTER]
    said = [f"the step {each.step} failed: {each.reason}" for each in report.failures]
    cause: ExportError | None = None
    try:
        require_passed(results)
    except ExportError as error:
        said, cause = [str(error), *said], error
    if said:
        said.append(f"The network is saved ({report.after.path}), and the report tells the rest.")
        raise ReportedError(" ".join(said), report, results) from cause


def _searches(outcome: Outcome) -> Iterator[Search]:
    for stage in outcome.stages:
        if stage.search is not None:
            name = stage.context.stage.learner
            yield dataclasses.replace(stage.search, stage=name)


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


def _configs(plan: Plan, helper: AbstractModelHelper) -> list[Any]:
    return [plan.run, helper.config, *(stage.config for stage in plan.stages)]


def _config(plan: Plan, helper: AbstractModelHelper) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for config in _configs(plan, helper):
        values |= flags.flag_values(config)
    return values


def _changed(plan: Plan, helper: AbstractModelHelper) -> tuple[str, ...]:
    """Name the flags that do not have their default value."""
    values = _config(plan, helper)
    defaults = {
        spec.name: spec.default
        for config in _configs(plan, helper)
        for spec in flags.describe(type(config))
    }
    return tuple(name for name, value in values.items() if value != defaults[name])
