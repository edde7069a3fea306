"""A run from its plan to its report: stages in order, then export, measurement, report."""

import dataclasses
import pathlib
import time
from collections.abc import Sequence

import keras

import learners
from learners.base import AbstractLearner
from learners.context import StageContext
from nets.abstract_model_helper import AbstractModelHelper
from nets.pretrained import load_pretrained
from pipeline import measurement
from pipeline.plan import Plan
from pipeline.user_code import blaming, build_network, explained, try_batches
from utils.command import notes, out
from utils.errors import InputError
from utils.export.config import KINDS
from utils.export.files import tflite_path
from utils.files import load_keras_model, save_keras_model
from utils.graph import capability_report, from_keras
from utils.graph.keras_reading import functional_model
from utils.multi_gpu_wrapper import MultiGpuWrapper
from utils.report import Report, print_summary


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What the stages of a run left.

    Attributes:
        before: the network before the first stage that compresses (the last stage's start where
            none does).
        after: the resulting network.
        stages: the learners that ran.
    """

    before: keras.Model
    after: keras.Model
    stages: tuple[AbstractLearner, ...]


def execute(plan: Plan, helper: AbstractModelHelper, command: Sequence[str]) -> Report | None:
    """Do what a command asked for and show the result.

    Args:
        plan: the checked plan.
        helper: network and data.
        command: the command line, for the report.

    Returns:
        The report; None for `--exec_mode=eval`, which only prints.
    """
    if plan.run.exec_mode == "eval":
        _score_saved(plan, helper)
        return None
    fresh = plan.initial_path is None
    report = compress(plan, helper, initial_network(plan, helper), command, fresh=fresh)
    print_summary(report, plan.folder / "report.html", out)
    return report


def initial_network(plan: Plan, helper: AbstractModelHelper) -> keras.Model:
    """Build the helper's network, with the weights of the plan's starting file if it has one."""
    keras.utils.set_random_seed(plan.run.seed)
    model = build_network(helper)
    if plan.initial_path is None:
        return model
    load_pretrained(
        model, plan.initial_path, helper.npz_to_weights, allow_unsafe=plan.run.allow_unsafe
    )
    return model


def compress(
    plan: Plan,
    helper: AbstractModelHelper,
    model: keras.Model,
    command: Sequence[str] = (),
    *,
    fresh: bool = False,
) -> Report:
    """Run the stages on a network, export the result, measure it and write the report.

    Args:
        plan: the checked plan.
        helper: data, loss and schedule.
        model: the network to start from.
        command: the command line, for the report.
        fresh: the network's weights were drawn, not learned.

    Returns:
        The report, with the resulting network as its `model`; its files lie in `plan.folder`.
    """
    start = time.perf_counter()
    if plan.run.strict:
        _refuse_opaque(model, plan.run.allow_unsafe)
    try_batches(helper, model)
    _refuse_other_teacher(plan, model)
    with explained():
        outcome = run_stages(plan, helper, model, fresh=fresh)
        return measurement.report_on(plan, helper, outcome, command, start)


def run_stages(
    plan: Plan, helper: AbstractModelHelper, model: keras.Model, *, fresh: bool = False
) -> Outcome:
    """Run every stage, each on the network the one before it left; the first may be fresh."""
    workers = MultiGpuWrapper.init(plan.run.enbl_multi_gpu)
    before, ran = None, []
    for index, stage in enumerate(plan.stages):
        compresses = learners.LEARNERS[stage.learner].compresses
        if before is None and (compresses or index == len(plan.stages) - 1):
            before = keras.models.clone_model(model)
            before.set_weights(model.get_weights())
        context = StageContext(
            run=plan.run,
            stage=stage,
            helper=helper,
            budget=plan.budget,
            setting=plan.setting,
            fresh=fresh and index == 0,
            log_dir=plan.log_dir,
            teacher=_teacher(plan, before if compresses else None),
            workers=workers,
        )
        learner = learners.learner_class(stage.learner)(context, model)
        notes.print(f"stage {index + 1} of {len(plan.stages)}: {stage.learner}")
        model = learner.train().model
        _remove_stale(stage.artefact_path)
        save_keras_model(model, stage.artefact_path)
        ran.append(learner)
    return Outcome(before, model, tuple(ran))


def _remove_stale(artefact: pathlib.Path) -> None:
    """Delete what an earlier run left beside an artefact: it belongs to another network."""
    stale = [tflite_path(artefact, kind) for kind in KINDS]
    for path in (*stale, artefact.with_name("report.json"), artefact.with_name("report.html")):
        path.unlink(missing_ok=True)


def _teacher(plan: Plan, before: keras.Model | None) -> keras.Model | None:
    """Take the network at --save_path_dst, else the one before the first compressing stage."""
    if not plan.run.distillation.enbl_dst:
        return None
    if plan.teacher_path is not None:
        return load_keras_model(plan.teacher_path, allow_unsafe=plan.run.allow_unsafe)
    return before


def _refuse_other_teacher(plan: Plan, model: keras.Model) -> None:
    """Refuse a teacher of other images or other outputs before anything is trained."""
    teacher = _teacher(plan, None)
    if teacher is None:
        return
    sizes = {}
    for name, network in (("teacher", teacher), ("network", model)):
        functional = functional_model(network)
        tensors = keras.tree.flatten(functional.input), keras.tree.flatten(functional.output)
        sizes[name] = [[tuple(t.shape[1:]) for t in side] for side in tensors]
    for side, theirs, ours in zip(
        ("input", "output"), sizes["teacher"], sizes["network"], strict=True
    ):
        if len(theirs) != len(ours) or not all(map(_fits, theirs, ours)):
            raise InputError(
                f"`save_path_dst`: the teacher {str(plan.teacher_path)!r} has {side} shapes "
                f"{theirs}, the network {ours}. Give a teacher for the same images and classes."
            )


def _fits(theirs: Sequence[int | None], ours: Sequence[int | None]) -> bool:
    """Compare shapes; an open size fits any."""
    return len(theirs) == len(ours) and all(
        a == b or a is None or b is None for a, b in zip(theirs, ours, strict=True)
    )


def _refuse_opaque(model: keras.Model, allow_unsafe: bool) -> None:
    rows = capability_report(from_keras(model, allow_unsafe=allow_unsafe))
    opaque = [f"{row.layer} ({row.reason})" for row in rows if row.action == "opaque"]
    if opaque:
        raise InputError(
            f"--strict: {len(opaque)} layers cannot be compressed: {'; '.join(opaque[:5])}. Leave "
            "--strict out to keep them as they are."
        )


def _score_saved(plan: Plan, helper: AbstractModelHelper) -> None:
    """Score a saved network on the test split and print its metrics."""
    path = plan.stages[-1].artefact_path
    if plan.run.pretrained_path is not None:
        path = pathlib.Path(plan.run.pretrained_path)
    if not path.is_file():
        raise InputError(
            f"--exec_mode=eval scores a saved network: none at {path}. Train first, or give "
            "--pretrained_path."
        )
    if path.suffix == ".keras":  # of any shape: a pruned network is not the helper's own
        model = load_keras_model(path, allow_unsafe=plan.run.allow_unsafe)
    else:
        model = build_network(helper)
        load_pretrained(model, path, helper.npz_to_weights)
    with blaming(f"Scoring {path}"):
        scores = measurement.score(helper, model)
    for name, value in scores.items():
        out.print(f"{name}: {value:.4f}  ({path})")
