"""What a run will do and where it will write, settled and checked before TensorFlow is imported."""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

import learners
from learners.config import RunConfig
from learners.search.budget import Budget, parse_budget
from learners.search.checks import check_search
from learners.search.setting import Setting
from nets.pretrained import check_pretrained_path
from utils.errors import InputError
from utils.files import NETWORK_ENDINGS, check_writable


@dataclasses.dataclass(frozen=True, kw_only=True)
class StagePlan:
    """One stage of a run.

    Attributes:
        learner: the learner's name in the table.
        config: its config object.
        state_path: the resumable state, a `.keras` file with extra entries.
        artefact_path: the resulting plain `.keras`; the `.tflite` files and the report of the last
            stage lie beside it.
        num_epochs: epochs of (fine-)training; None = the network's own schedule.
    """

    learner: str
    config: Any
    state_path: pathlib.Path
    artefact_path: pathlib.Path
    num_epochs: float | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """A whole run.

    Attributes:
        run: flags of every run.
        stages: in order.
        initial_path: the weights they begin with; None for fresh ones.
        teacher_path: the network that teaches; None for the one before the first compression.
        budget: what may be kept; None where the ratio flags rule.
        log_dir: folder for TensorBoard.
        notices: sentences to show.
    """

    run: RunConfig
    stages: tuple[StagePlan, ...]
    initial_path: pathlib.Path | None
    teacher_path: pathlib.Path | None
    budget: Budget | None
    setting: Setting | None
    log_dir: pathlib.Path
    notices: tuple[str, ...]

    @property
    def folder(self) -> pathlib.Path:
        """Where the `.tflite` files and the report are written."""
        return self.stages[-1].artefact_path.parent


def make_plan(
    run: RunConfig, stage_configs: Sequence[Any], *, starts_from_file: bool = True
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
    names = [learners.canonical_name(name) for name in run.stages()]
    notices: list[str] = []
    run.export.kinds()
    budget = _budget(run, names)
    setting = check_search(run, stage_configs)
    stages = []
    for index, (name, config, epochs) in enumerate(
        zip(names, stage_configs, run.epochs(), strict=True)
    ):
        state, artefact = _stage_paths(run, names, index, config)
        stages.append(
            StagePlan(
                learner=name,
                config=config,
                state_path=_keras_path(state, notices),
                artefact_path=_keras_path(artefact, notices),
                num_epochs=epochs,
            )
        )
    plan = Plan(
        run=run,
        stages=tuple(stages),
        initial_path=_initial_path(run, names[0], notices) if starts_from_file else None,
        teacher_path=_teacher_path(run, notices),
        budget=budget,
        setting=setting,
        log_dir=pathlib.Path(_path(run, "log_dir", run.out_dir and f"{run.out_dir}/logs")),
        notices=tuple(dict.fromkeys(notices)),
    )
    if run.exec_mode == "train":
        _check_paths(plan)
        _check_teacher(plan)
        _check_files(plan)
    return plan


def _check_paths(plan: Plan) -> None:
    """Refuse stages that would write over each other or over what they start from."""
    inputs = [path for path in (plan.initial_path, plan.teacher_path) if path is not None]
    taken = {path.resolve(): "the run starts from it" for path in inputs}
    for stage in plan.stages:
        for path in (stage.state_path, stage.artefact_path):
            if path.resolve() in taken:
                raise InputError(
                    f"The stage {stage.learner} would write over {path}: {taken[path.resolve()]}. "
                    "Give --out_dir, where every stage has files of its own."
                )
            taken[path.resolve()] = "another file of the run is written there"


def _check_teacher(plan: Plan) -> None:
    distillation = plan.run.distillation
    if distillation.loss_w_hint and not distillation.enbl_dst:
        raise InputError(
            "`loss_w_hint` has no effect without a teacher. Received: "
            f"{distillation.loss_w_hint:g}. Add --enbl_dst, or leave it out."
        )
    compresses = any(learners.LEARNERS[stage.learner].compresses for stage in plan.stages)
    if distillation.enbl_dst and plan.teacher_path is None and not compresses:
        raise InputError(
            "`enbl_dst` has no teacher here: without a learner that compresses there is no network "
            "before compression. Give --save_path_dst=teacher.keras, or leave it out."
        )


def _check_files(plan: Plan) -> None:
    """Refuse, before hours of training, what could not be read or written then."""
    for stage in plan.stages:
        check_writable(stage.state_path)
        check_writable(stage.artefact_path)
        if hasattr(stage.config, "check_files"):
            stage.config.check_files()
    check_writable(plan.log_dir / "events")


def _budget(run: RunConfig, names: Sequence[str]) -> Budget | None:
    if run.budget is None:
        return None
    budget = parse_budget(run.budget)
    if not any(learners.LEARNERS[name].compresses for name in names):
        able = ", ".join(name for name, entry in learners.LEARNERS.items() if entry.compresses)
        raise InputError(
            f"`budget` has no effect on {', '.join(names)}, which keeps the whole network. "
            f"Received: {run.budget!r}. Choose a learner that compresses: {able}."
        )
    return budget


def _path(owner: Any, field: str, in_out_dir: str | None) -> str:
    """Choose between a path flag and a place below --out_dir: a flag that was set wins."""
    path = getattr(owner, field)
    defaults = {item.name: item.default for item in dataclasses.fields(owner)}
    return in_out_dir if in_out_dir and path == defaults[field] else path


def _stage_paths(run: RunConfig, names: list[str], index: int, config: Any) -> tuple[str, str]:
    stem = f"{index + 1}_{names[index].replace('-', '_')}"
    artefact = "model" if index == len(names) - 1 else f"model_{stem}"
    places = {"save_path": f"state/{stem}.keras", "save_path_eval": f"{artefact}.keras"}
    state_path, artefact_path = (
        _path(
            config if hasattr(config, field) else run,
            field,
            run.out_dir and f"{run.out_dir}/{place}",
        )
        for field, place in places.items()
    )
    return state_path, artefact_path


def _teacher_path(run: RunConfig, notices: list[str]) -> pathlib.Path | None:
    distillation = run.distillation
    if not distillation.enbl_dst:
        return None
    path = pathlib.Path(distillation.save_path_dst)
    if path.suffix not in NETWORK_ENDINGS:
        path = _keras_path(distillation.save_path_dst, notices)
    if path.is_file():
        return path
    if distillation.save_path_dst != type(distillation)().save_path_dst:
        raise InputError(
            f"`save_path_dst`: there is no teacher {str(path)!r}. Leave it out to learn from the "
            "network before compression."
        )
    return None


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
    if first == "full-prec":
        return None
    places = [_keras_path(run.save_path, notices)]
    if run.out_dir is not None:
        places.insert(0, pathlib.Path(run.out_dir) / "state" / "1_full_prec.keras")
    for path in places:
        if path.is_file():
            return path
    tried = " or ".join(map(str, places))
    raise InputError(
        f"The learner {first} starts from a trained network: none at {tried} (--save_path). Train "
        f"one first (--learner=full-prec, or --learner=full-prec,{first}), or give "
        "--pretrained_path."
    )
