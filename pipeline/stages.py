"""A run from its plan to its report: stages in order, then export, measurement, report."""

import dataclasses
import pathlib
import time
from collections.abc import Sequence
from typing import Any

import keras

import learners
from learners.base import AbstractLearner, Trained
from learners.context import StageContext
from nets.abstract_model_helper import AbstractModelHelper
from nets.pretrained import load_pretrained
from pipeline import measurement
from pipeline.memory import refuse_too_many_samples
from pipeline.outcome import Outcome
from pipeline.plan import Plan
from pipeline.rehearsal import try_batches, try_files, try_training
from pipeline.reuse import keep_record, take_up
from pipeline.steps import ReportedError
from pipeline.teacher import load_teachers
from pipeline.user_code import build_network, explained
from pipeline.workers import joined, report_of_chief, share_result
from utils.causes import blaming
from utils.command import notes, out
from utils.errors import InputError
from utils.export.exporters import EXPORTERS
from utils.export.files import array_paths, exported_path
from utils.export.targets import check_weights
from utils.files import NETWORK_ENDINGS, holds_network, load_keras_model, save_keras_model
from utils.graph import capability_report, copy_network, from_keras
from utils.multi_gpu_wrapper import MultiGpuWrapper
from utils.report import Report, print_summary
from utils.training.logits import teacher_like


def execute(plan: Plan, helper: AbstractModelHelper, command: Sequence[str]) -> Report | None:
    """Do what a command asked for and show the result.

    Args:
        plan: the checked plan.
        helper: network and data.
        command: the command line, for the report.

    Returns:
        The report; None for `--exec_mode=eval`, which only prints.
    """
    workers = start_workers(plan, helper)
    with joined(workers, plan, helper) as own:
        if plan.run.exec_mode == "eval":
            _score_saved(own, helper)
            return None
        model = initial_network(own, helper)
        page, fresh = own.folder / "report.html", own.initial_path is None
        try:
            report = compress(own, helper, model, command, workers=workers, fresh=fresh)
        except ReportedError as error:
            print_summary(error.report, page, out)
            raise
        print_summary(report, page, out)
        return report


def start_workers(plan: Plan, helper: AbstractModelHelper) -> MultiGpuWrapper:
    """Find this process' place among the workers, first of all: a helper's data depend on it."""
    workers = MultiGpuWrapper.init(plan.run.enbl_multi_gpu)
    helper.worker = (workers.rank, workers.size)
    if plan.run.enbl_multi_gpu and workers.size == 1:
        notes.print(
            "note: --enbl_multi_gpu: there is one worker. Start several with "
            "./scripts/run_local.sh nets/X_run.py -n=2 …, or horovodrun -np 2 python main.py …",
            markup=False,
        )
    return workers


def seed(number: int) -> None:
    """Let all that draws from Keras' global generator come from the run's seed."""
    keras.utils.set_random_seed(number)


def initial_network(plan: Plan, helper: AbstractModelHelper) -> keras.Model:
    """Build the helper's network, with the weights of the plan's starting file if it has one."""
    seed(plan.run.seed)
    model = build_network(helper)
    if plan.initial_path is None or _is_its_own(plan.initial_path, helper):
        return model
    load_pretrained(
        model, plan.initial_path, helper.npz_to_weights, allow_unsafe=plan.run.allow_unsafe
    )
    return model


def _is_its_own(path: pathlib.Path, helper: AbstractModelHelper) -> bool:
    """Whether a helper's network was read from a file, whose weights it has, then.

    A Keras file is read again: the classes that it is made of are remembered.
    """
    own = helper.config.weights_file
    return own is not None and path == pathlib.Path(own) and path.suffix not in NETWORK_ENDINGS


def compress(
    plan: Plan,
    helper: AbstractModelHelper,
    model: keras.Model,
    command: Sequence[str] = (),
    *,
    workers: MultiGpuWrapper | None = None,
    fresh: bool = False,
) -> Report:
    """Run the stages on a network, export the result, measure it and write the report.

    Args:
        plan: the checked plan.
        helper: data, loss and schedule.
        model: the network to start from.
        command: the command line, for the report.
        workers: from `start_workers`, where that was called already.
        fresh: the network's weights were drawn, not learned.

    Returns:
        The report, with the resulting network as its `model`; its files lie in `plan.folder`.

    Raises:
        InputError: what cannot be used, or fails before the result is there.
        ReportedError: what fails afterwards; see `measurement.report_on`.
    """
    start = time.perf_counter()
    workers = workers or start_workers(plan, helper)
    if plan.run.strict:
        _refuse_opaque(model, plan.run.allow_unsafe)
    try_batches(helper, model)
    with explained():
        refuse_too_many_samples(plan, helper, model)
        _check_stages(plan, helper, model)
        rate = _first_rate(plan, helper)
        if rate is not None:
            try_training(helper, model, rate)
        if workers.is_chief:
            try_files(helper, {"before": model, **_trials(plan, model)}, plan.run.export)
        _find_logits(plan, helper, model)
        teachers = load_teachers(plan, model)
        for teacher in teachers:  # those that cannot be compared are refused before training
            _same_ending(teacher, model, helper)
        outcome = run_stages(plan, helper, model, teachers=teachers, workers=workers, fresh=fresh)
    return report_of_chief(
        workers,
        lambda: measurement.report_on(plan, helper, outcome, command, start),
        lambda: measurement.follow(plan, helper, outcome),
    )


def _check_stages(plan: Plan, helper: AbstractModelHelper, model: keras.Model) -> None:
    """Let every stage's learner refuse what it could not work on."""
    for index, stage in enumerate(plan.stages):
        num_steps = 0 if stage.num_epochs == 0 else helper.setup_lrn_rate(stage.num_epochs)[1]
        if stage.num_epochs is None:
            plan.check_run_of(stage, num_epochs=num_steps / helper.steps_per_epoch)
        stage.config.check_steps(num_steps)
        kind: type[AbstractLearner] = learners.learner_class(stage.learner)
        kind.check(model, stage.config, helper, allow_unsafe=plan.run.allow_unsafe)
        if index <= plan.before_stage:
            settled: dict[str, Any] = {
                "budget": plan.budget_of(stage),
                "setting": plan.setting_of(stage),
                "allow_unsafe": plan.run.allow_unsafe,
            }
            kind.check_choice(model, stage.config, **settled)
            source = "--budget" if settled["setting"] is None else "--setting"
            weights = kind.file_weights(model, stage.config, **settled)
            check_weights(plan.run.export.convert.target, weights, source)


def _trials(plan: Plan, model: keras.Model) -> dict[str, keras.Model]:
    """Make, of the given network, one of the kind that the first stage that changes it leaves."""
    for stage in plan.stages:
        if learners.LEARNERS[stage.learner].ends_before:
            make: type[AbstractLearner] = learners.learner_class(stage.learner)
            trial = make.trial(model, stage.config, allow_unsafe=plan.run.allow_unsafe)
            return {} if trial is None else {"trial": trial}
    return {}


def _first_rate(plan: Plan, helper: AbstractModelHelper) -> float | None:
    """Say at which learning rate the first stage begins to train; None where it does not."""
    stage = plan.stages[0]
    if stage.num_epochs == 0:
        return None
    if stage.entry.starts == "trained":
        own = stage.config.fine_tune_lrn_rate
        return plan.run.lrn_rate_ft if own is None else own
    schedule = helper.setup_lrn_rate(stage.num_epochs)[0]
    return float(schedule(0) if callable(schedule) else schedule)


def run_stages(
    plan: Plan,
    helper: AbstractModelHelper,
    model: keras.Model,
    *,
    teachers: Sequence[keras.Model] = (),
    workers: MultiGpuWrapper = MultiGpuWrapper(),
    fresh: bool = False,
) -> Outcome:
    """Run every stage, each on the network the one before it left.

    Args:
        plan: the checked plan.
        helper: data, loss and schedule.
        model: the network to start from.
        teachers: the networks to learn from; none for the one before compression.
        workers: this process among those that train together.
        fresh: the network's weights were drawn, not learned.

    Returns:
        The networks before and after, and the learners.
    """
    before, trained, ran = model, Trained(model), []
    for index, stage in enumerate(plan.stages):
        if index == plan.before_stage:
            before = copy_network(trained.model, allow_unsafe=plan.run.allow_unsafe)
        taught_by = teachers if plan.is_taught(index) else ()
        if plan.learns_from_before(index):
            taught_by = [before]
        alike = tuple(_same_ending(teacher, trained.model, helper) for teacher in taught_by)
        context = StageContext(
            run=plan.run,
            stage=stage,
            helper=helper,
            budget=plan.budget_of(stage),
            setting=plan.setting_of(stage),
            fresh=fresh and index == 0,
            log_dir=plan.log_dir,
            teacher=alike[0] if alike else None,
            further_teachers=alike[1:],
            workers=workers,
        )
        source = str(plan.initial_path) if index == 0 and plan.initial_path is not None else ""
        notes.print(f"stage {index + 1} of {len(plan.stages)}: {stage.learner}")
        learner = _learner(context, trained.model, is_first=index == 0, source=source)
        trained = learner.train()
        share_result(workers, trained, stage.learner)
        _remove_stale(stage.artefact_path)
        save_keras_model(trained.model, stage.artefact_path)
        if workers.is_chief:
            keep_record(learner, source)
        ran.append(learner)
    return Outcome(before, trained, tuple(ran))


def _learner(
    context: StageContext, model: keras.Model, *, is_first: bool, source: str
) -> AbstractLearner:
    """Make a stage's learner; one that begins anew where an earlier run made it otherwise."""
    make = learners.learner_class(context.stage.learner)
    learner: AbstractLearner = make(context, model)
    changes = take_up(learner, is_first=is_first, source=source)
    if not changes:
        return learner
    notes.print(
        f"note: {context.stage.learner} is made anew: {changes}. The stages before it are taken as "
        "they are.",
        markup=False,
    )
    anew = dataclasses.replace(context.run, resume=False)
    return make(dataclasses.replace(context, run=anew), model)


def _remove_stale(artefact: pathlib.Path) -> None:
    """Delete what an earlier run left beside an artefact: it belongs to another network."""
    before, control = (measurement.companion_path(artefact, name) for name in ("before", "control"))
    stale = [exported_path(path, kind) for path in (artefact, before) for kind in EXPORTERS]
    stale += [array for path in stale for array in array_paths(path)]
    stale += [before, control, artefact.with_name("report.json"), artefact.with_name("report.html")]
    for path in stale:
        path.unlink(missing_ok=True)


def _find_logits(plan: Plan, helper: AbstractModelHelper, model: keras.Model) -> None:
    """Refuse, before training, distillation from outputs that are no logits."""
    distillation = plan.run.distillation
    always = any("enbl_dst" in stage.config.SWITCHES_ON for stage in plan.stages)
    own = any(
        stage.config.own_teacher() is not None and stage.num_epochs != 0 for stage in plan.stages
    )
    if own or (distillation.enbl_dst and (distillation.loss_w_dst or always)):
        helper.find_logits(model)


def _same_ending(
    teacher: keras.Model, model: keras.Model, helper: AbstractModelHelper
) -> keras.Model:
    """Let a teacher end as the network does, in logits or in probabilities."""
    return teacher if helper.has_own_logits else teacher_like(teacher, model)


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
    path = plan.saved_path
    if _is_its_own(path, helper):
        model = build_network(helper)
    elif holds_network(path):  # of any shape: a pruned network is not the helper's own
        model = load_keras_model(path, allow_unsafe=plan.run.allow_unsafe)
    else:
        model = build_network(helper)
        load_pretrained(model, path, helper.npz_to_weights)
    with blaming(f"Scoring {path}"):
        scores = measurement.score(helper, model)
    for name, value in scores.items():
        out.print(f"{name}: {value:.4f}  ({path})")
