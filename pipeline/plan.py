"""What a run will do and where it will write, settled and checked before TensorFlow is imported."""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

import learners
from learners.budget import Budget, Limit, parse_budget
from learners.config import RunConfig
from learners.context import StagePlan
from learners.learner_config import LearnerConfig
from learners.search.checks import check_search
from learners.setting import Setting
from nets.pretrained import check_pretrained_path
from utils.errors import InputError
from utils.export.targets import check_weights, find_target
from utils.export.targets_cost import check_known
from utils.files import NETWORK_ENDINGS, check_writable

_STATES = "state"  # folder in --out_dir of what a killed run continues from


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """A whole run.

    Attributes:
        run: flags of every run.
        stages: in order.
        initial_path: the weights they begin with; None for fresh ones.
        teacher_paths: the networks that teach; none for the one before the first compression.
        budget: what may be kept; None where the ratio flags rule.
        setting: what is chosen for each layer; None where it is open.
        log_dir: folder for TensorBoard.
        notices: sentences to show.
    """

    run: RunConfig
    stages: tuple[StagePlan, ...]
    initial_path: pathlib.Path | None
    teacher_paths: tuple[pathlib.Path, ...]
    budget: Budget | None
    setting: Setting | None
    log_dir: pathlib.Path
    notices: tuple[str, ...]

    @property
    def folder(self) -> pathlib.Path:
        """Where the `.tflite` files and the report are written."""
        return self.stages[-1].artefact_path.parent

    @property
    def saved_path(self) -> pathlib.Path:
        """The network that `--exec_mode=eval` scores."""
        given = self.run.pretrained_path
        return self.stages[-1].artefact_path if given is None else pathlib.Path(given)

    @property
    def folders(self) -> tuple[pathlib.Path, ...]:
        """The folders that the run writes states, networks and reports to."""
        paths = [p for stage in self.stages for p in (stage.state_path, stage.artefact_path)]
        return tuple(dict.fromkeys(path.parent for path in paths))

    @property
    def compresses(self) -> bool:
        """Whether a stage leaves another network than it was given."""
        return any(stage.entry.ends_before for stage in self.stages)

    @property
    def before_stage(self) -> int:
        """The stage before which the "before" of the report is measured, counted from 0."""
        ends = (index for index, stage in enumerate(self.stages) if stage.entry.ends_before)
        return next(ends, len(self.stages) - 1)

    def is_taught(self, index: int) -> bool:
        """Whether a stage, counted from 0, distils: by --enbl_dst, or by its own flags."""
        own = self.stages[index].config.own_teacher()
        return self.run.distillation.enbl_dst or own is not None

    def learns_from_before(self, index: int) -> bool:
        """Whether the network before compression teaches a stage, counted from 0."""
        wanted = self.is_taught(index) and not self.teacher_paths
        return wanted and self.compresses and index >= self.before_stage

    @property
    def teacher_source(self) -> str:
        """What names the teachers' files, for messages."""
        if not self.run.distillation.enbl_dst:
            owns = (stage.config.own_teacher() for stage in self.stages)
            return next((own.source for own in owns if own is not None and own.path), "")
        is_usual = self.run.distillation.teacher_path is None
        return "`save_path_dst`" if is_usual else "`teacher_path`"

    def budget_of(self, stage: StagePlan) -> Budget | None:
        """Give the part of the budget that a stage can meet, else its own; None without one."""
        shared = None if self.budget is None else _part_for(self.budget, stage.entry.budgets)
        own = stage.config.own_budget()
        return parse_budget(own, stage.entry.budgets) if shared is None and own else shared

    def check_run_of(self, stage: StagePlan, *, num_epochs: float | None) -> None:
        """Let a stage's flags refuse those of the run, see `LearnerConfig.check_run`."""
        ruled = self.budget_of(stage) is not None or self.setting_of(stage) is not None
        stage.config.check_run(self.run, counts_given=ruled, num_epochs=num_epochs)

    def setting_of(self, stage: StagePlan) -> Setting | None:
        """Give the setting where it says what a stage chooses; None without one."""
        setting = self.setting
        fits = setting is not None and setting.quantity == stage.entry.quantity
        return setting if fits and stage.config.takes_setting() else None


def make_plan(
    run: RunConfig, stage_configs: Sequence[LearnerConfig], *, starts_from_file: bool = True
) -> Plan:
    """Settle paths, epochs and budget of a run and check that they can work.

    Args:
        run: flags of every run.
        stage_configs: one config object for each stage of `run.learner`, in order.
        starts_from_file: False where the network is given as an object.

    Returns:
        The plan.

    Raises:
        InputError: an unwritable path, a budget, a number of epochs or a kind of .tflite file that
            cannot be read, a network to start from that does not exist.
    """
    names = learners.canonical_names(run.learner)
    notices: list[str] = []
    run = _with_own_files(run, stage_configs, notices)
    run.export.require_possible(deploys=learners.LEARNERS[names[-1]].deploys)
    budget = _budget(run, names)
    setting = check_search(run, [learners.LEARNERS[name] for name in names], stage_configs)
    plan = Plan(
        run=run,
        stages=_stages(run, names, stage_configs, notices),
        initial_path=_initial_path(run, names[0], notices) if starts_from_file else None,
        teacher_paths=_teacher_paths(run, notices) or _own_teacher(run, stage_configs, notices),
        budget=budget,
        setting=setting,
        log_dir=pathlib.Path(_path(run, "log_dir", run.out_dir and f"{run.out_dir}/logs")),
        notices=tuple(dict.fromkeys(notices)),
    )
    if run.exec_mode == "train":
        _check_paths(plan)
        _check_teacher(plan)
        _check_control(plan)
        _check_files(plan)
    return plan


def _with_own_files(
    run: RunConfig, configs: Sequence[LearnerConfig], notices: list[str]
) -> RunConfig:
    """Add the files that learners are for, where no flag says which are written."""
    own = [kind for config in configs for kind in config.files_for(run.export.convert.target)]
    new = [kind for kind in own if kind not in run.export.tflite]
    if not new or run.export.tflite != type(run.export)().tflite:
        return run
    notices.append(f"the {', '.join(new)} file is written, too: it is what {run.learner} is for.")
    export = dataclasses.replace(run.export, tflite=",".join([run.export.tflite, *new]))
    return dataclasses.replace(run, export=export)


def _stages(
    run: RunConfig, names: Sequence[str], configs: Sequence[LearnerConfig], notices: list[str]
) -> tuple[StagePlan, ...]:
    stages = []
    for index, (config, epochs) in enumerate(zip(configs, run.epochs(), strict=True)):
        state, artefact = _stage_paths(run, names, index, config)
        stages.append(
            StagePlan(
                learner=names[index],
                entry=learners.LEARNERS[names[index]],
                config=_for_target(config, run.export.convert.target, notices),
                state_path=_keras_path(state, notices),
                artefact_path=_keras_path(artefact, notices),
                num_epochs=config.own_epochs if epochs is None else epochs,
            )
        )
    return tuple(stages)


def _for_target(config: LearnerConfig, target: str | None, notices: list[str]) -> LearnerConfig:
    """Let a learner of channels keep multiples of the target's, where its flags say no other."""
    if target is None:
        return config
    check_weights(target, config.file_weights, f"--{config.PREFIX}weight_bits")
    channels = find_target(target).channels
    found = config.in_multiples_of(channels)
    if found != config:
        notices.append(f"channels are kept in multiples of {channels}, for {target}.")
    return found


def _check_paths(plan: Plan) -> None:
    """Refuse stages that would write over each other or over what they start from."""
    initial = [] if plan.initial_path is None else [plan.initial_path]
    taken = {path.resolve(): "the run starts from it" for path in (*initial, *plan.teacher_paths)}
    for stage in plan.stages:
        for path in (stage.state_path, stage.artefact_path):
            if path.resolve() in taken:
                raise InputError(
                    f"The stage {stage.learner} would write over {path}: {taken[path.resolve()]}. "
                    "Give --out_dir, where every stage has files of its own."
                )
            taken[path.resolve()] = "another file of the run is written there"


def check_saved(plan: Plan) -> None:
    """Refuse to score a network that is not there.

    Raises:
        InputError: with `--exec_mode=eval`, if there is no file.
    """
    if plan.run.exec_mode == "eval" and not plan.saved_path.exists():
        raise InputError(
            f"--exec_mode=eval scores a saved network: none at {plan.saved_path}. Train first, or "
            "give --pretrained_path."
        )


def _check_teacher(plan: Plan) -> None:
    """Refuse what is said about a teacher where it cannot be so."""
    distillation = plan.run.distillation
    distillation.shares(max(len(plan.teacher_paths), 1))
    distillation.layer_pairs()
    for stage in plan.stages:
        _check_taught(plan, stage)
    if not any("enbl_dst" in stage.config.SWITCHES_ON for stage in plan.stages):
        distillation.check_weights()
    if distillation.enbl_dst and not plan.teacher_paths and not plan.compresses:
        raise InputError(
            "`enbl_dst` has no teacher here: without a learner that compresses there is no network "
            "before compression. Give --teacher_path=teacher.keras, or leave it out."
        )


def _check_taught(plan: Plan, stage: StagePlan) -> None:
    """Refuse a learner that is nothing but distillation without a teacher of its own."""
    if "enbl_dst" not in stage.config.SWITCHES_ON:
        return
    if not plan.run.distillation.enbl_dst:
        raise InputError(
            f"`enbl_dst` is part of the learner {stage.learner}. Received: False. Leave it out."
        )
    if not plan.teacher_paths:
        raise InputError(
            f"The learner {stage.learner} learns from a teacher. Give the trained network: "
            "--teacher_path=teacher.keras, or several separated by commas."
        )


def _check_control(plan: Plan) -> None:
    if plan.run.control and not plan.compresses:
        raise InputError(
            "`control` has no effect here: without a learner that compresses there is no network "
            "before compression. Leave --control out."
        )


def _check_files(plan: Plan) -> None:
    """Refuse, before hours of training, what could not be read or written then."""
    for stage in plan.stages:
        check_writable(stage.state_path)
        check_writable(stage.artefact_path)
        stage.config.check_files()
        plan.check_run_of(stage, num_epochs=stage.num_epochs)
    check_writable(plan.log_dir / "events")


def _budget(run: RunConfig, names: Sequence[str]) -> Budget | None:
    if run.budget is None:
        return None
    budget = parse_budget(run.budget)
    kinds = {kind for name in names for kind in learners.LEARNERS[name].budgets}
    if not kinds:
        able = ", ".join(name for name, entry in learners.LEARNERS.items() if entry.budgets)
        raise InputError(
            f"`budget` has no effect on {', '.join(names)}, which no budget rules. "
            f"Received: {run.budget!r}. Choose a learner that compresses: {able}."
        )
    for limit in budget.limits:
        if limit.kind not in kinds:
            raise InputError(_unmet(limit, run.budget, names))
    target = run.export.convert.target
    for limit in budget.limits:
        check_known(limit.kind, target)
    return dataclasses.replace(budget, target=target)


def _unmet(limit: Limit, text: str, names: Sequence[str]) -> str:
    """Say what the learners of a run can meet instead of a limit, and which learner could."""
    own = [
        f"{name} can meet {', '.join(learners.LEARNERS[name].budgets) or 'none'}" for name in names
    ]
    able = [name for name, entry in learners.LEARNERS.items() if limit.kind in entry.budgets]
    others = f"{limit.kind} can be met by {', '.join(able)}" if able else "no learner can"
    return (
        f"`budget`: {limit.kind} cannot be met by {', '.join(names)}. Received: {text!r}. "
        f"{'; '.join(own)}; {others}."
    )


def _part_for(budget: Budget, kinds: Sequence[str]) -> Budget | None:
    """Give the limits of some kinds; None where the budget has none of them."""
    pairs = zip(budget.text.split(","), budget.limits, strict=True)
    able = [(text.strip(), limit) for text, limit in pairs if limit.kind in kinds]
    if len(able) == len(budget.limits):
        return budget
    texts, limits = [text for text, _ in able], tuple(limit for _, limit in able)
    return Budget(",".join(texts), limits, budget.target) if able else None


def _path(owner: Any, field: str, in_out_dir: str | None) -> str:
    """Choose between a path flag and a place below --out_dir: a flag that was set wins."""
    path = getattr(owner, field)
    defaults = {item.name: item.default for item in dataclasses.fields(owner)}
    return in_out_dir if in_out_dir and path == defaults[field] else path


def _stage_paths(
    run: RunConfig, names: Sequence[str], index: int, config: LearnerConfig
) -> tuple[str, str]:
    stem = _stem(index, names[index])
    artefact = "model" if index == len(names) - 1 else f"model_{stem}"
    owners = [
        (config, config.STATE_FIELD) if config.STATE_FIELD else (run, "save_path"),
        (config, config.ARTEFACT_FIELD) if config.ARTEFACT_FIELD else (run, "save_path_eval"),
    ]
    places = (f"{_STATES}/{stem}.keras", f"{artefact}.keras")
    state_path, artefact_path = (
        _path(owner, field, run.out_dir and f"{run.out_dir}/{place}")
        for (owner, field), place in zip(owners, places, strict=True)
    )
    return state_path, artefact_path


def _stem(index: int, name: str) -> str:
    """Name the files of a stage in --out_dir, e.g. `1_full_prec`."""
    return f"{index + 1}_{name.replace('-', '_')}"


def _teacher_paths(run: RunConfig, notices: list[str]) -> tuple[pathlib.Path, ...]:
    """Find the teachers: those of --teacher_path, else the one at --save_path_dst, if any."""
    distillation = run.distillation
    if not distillation.enbl_dst:
        return ()
    usual = type(distillation)().save_path_dst
    if distillation.teacher_path is not None:
        if distillation.save_path_dst != usual:
            raise InputError(
                f"--teacher_path={distillation.teacher_path} and "
                f"--save_path_dst={distillation.save_path_dst} both name the teacher. Leave one "
                "out; several teachers are given as --teacher_path=one.keras,other.keras."
            )
        if pathlib.Path(usual).is_file():
            notices.append(f"--teacher_path teaches; the network at {usual} has no part in it")
        paths = [_network_path(name, notices) for name in distillation.teacher_files()]
        missing = next((path for path in paths if not path.is_file()), None)
        if missing is not None:
            raise InputError(
                f"`teacher_path`: there is no file {str(missing)!r}. Give trained networks, .keras "
                "or .h5, separated by commas."
            )
        return tuple(paths)
    path = _network_path(distillation.save_path_dst, notices)
    if path.is_file():
        return (path,)
    if distillation.save_path_dst != usual:
        raise InputError(
            f"`save_path_dst`: there is no teacher {str(path)!r}. Leave it out to learn from the "
            "network before compression."
        )
    return ()


def _own_teacher(
    run: RunConfig, configs: Sequence[LearnerConfig], notices: list[str]
) -> tuple[pathlib.Path, ...]:
    """Find the teacher that the stages' own flags name, if any."""
    if run.distillation.enbl_dst or run.exec_mode != "train":
        return ()
    owns = [own for own in (config.own_teacher() for config in configs) if own is not None]
    if len({own.path for own in owns}) > 1:
        named = "; ".join(f"{own.source}: {own.path or 'the network before'}" for own in owns)
        raise InputError(f"The stages of a run learn from one teacher. Received: {named}.")
    if not owns or owns[0].path is None:
        return ()
    path = _network_path(owns[0].path, notices)
    if not path.is_file():
        raise InputError(
            f"{owns[0].source}: there is no teacher {str(path)!r}. Leave it out to learn from the "
            "network before compression."
        )
    return (path,)


def _network_path(path: str, notices: list[str]) -> pathlib.Path:
    """Give the path of a network that is read; one of Keras 2 may be an HDF5 file."""
    found = pathlib.Path(path)
    return found if found.suffix in NETWORK_ENDINGS else _keras_path(path, notices)


def _keras_path(path: str, notices: list[str]) -> pathlib.Path:
    """Map the original's `.ckpt` ending to `.keras`; refuse what is neither."""
    result = pathlib.Path(path)
    if result.suffix == ".ckpt":
        mapped = result.with_suffix(".keras")
        notices.append(f"{path}: networks are kept as .keras files here, using {mapped}.")
        return mapped
    if result.suffix != ".keras":
        raise InputError(f"A saved network's path must end in .keras. Received: {path!r}.")
    return result


def _initial_path(run: RunConfig, first: str, notices: list[str]) -> pathlib.Path | None:
    """Find the trained network a run starts from: --pretrained_path, else the one at save_path."""
    if run.exec_mode == "eval":
        return None
    if run.pretrained_path is not None:
        check_pretrained_path(run.pretrained_path)
        return pathlib.Path(run.pretrained_path)
    if learners.LEARNERS[first].starts == "fresh":
        return None
    trainers = [name for name, entry in learners.LEARNERS.items() if entry.starts == "fresh"]
    places = [_keras_path(run.save_path, notices)]
    if run.out_dir is not None:  # what an earlier command left there
        states = pathlib.Path(run.out_dir, _STATES)
        places = [*(states / f"{_stem(0, name)}.keras" for name in trainers), *places]
    found = [path for path in places if path.is_file()]
    if found:
        newest = max(found, key=lambda path: path.stat().st_mtime)
        if len(found) > 1:
            others = ", ".join(str(path) for path in found if path != newest)
            notices.append(
                f"starting from {newest}, the newest trained network there; --pretrained_path "
                f"takes another ({others})."
            )
        return newest
    raise InputError(
        f"The learner {first} starts from a trained network: none at "
        f"{' or '.join(map(str, places))} (--save_path). Train one first (--learner={trainers[0]}, "
        f"or --learner={trainers[0]},{first}), or give --pretrained_path."
    )
