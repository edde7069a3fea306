"""What a run will do and where it will write, settled and checked before TensorFlow is imported."""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

import learners
from learners.config import RunConfig
from learners.search.budget import Budget, parse_budget
from utils.errors import InputError
from utils.files import check_writable


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
    """A whole run: its stages in order, the network they begin with, what they may keep."""

    run: RunConfig
    stages: tuple[StagePlan, ...]
    initial_path: pathlib.Path | None
    budget: Budget | None
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
        InputError: an unwritable path, a budget or a number of epochs that cannot be read, a
            network to start from that does not exist.
    """
    names = [learners.canonical_name(name) for name in run.stages()]
    notices: list[str] = []
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
        budget=None if run.budget is None else parse_budget(run.budget),
        log_dir=pathlib.Path(run.log_dir if run.out_dir is None else f"{run.out_dir}/logs"),
        notices=tuple(dict.fromkeys(notices)),
    )
    if run.exec_mode == "train":
        for stage in stages:
            check_writable(stage.state_path)
            check_writable(stage.artefact_path)
    return plan


def _stage_paths(run: RunConfig, names: list[str], index: int, config: Any) -> tuple[str, str]:
    name, last = names[index], index == len(names) - 1
    if run.out_dir is None:
        return (
            getattr(config, "save_path", run.save_path),
            getattr(config, "save_path_eval", run.save_path_eval),
        )
    stem = name.replace("-", "_")
    artefact = "model.keras" if last else f"model_{index + 1}_{stem}.keras"
    return f"{run.out_dir}/state/{index + 1}_{stem}.keras", f"{run.out_dir}/{artefact}"


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
        path = pathlib.Path(run.pretrained_path)
        if not path.is_file():
            raise InputError(
                f"`pretrained_path` must be a .keras, .weights.h5 or .npz file. Received: {path}, "
                "which does not exist."
            )
        return path
    if first == "full-prec":
        return None
    path = _keras_path(run.save_path, notices)
    if path.is_file():
        return path
    raise InputError(
        f"The learner {first} starts from a trained network: none at {path} (--save_path). Train "
        f"one first (--learner=full-prec, or --learner=full-prec,{first}), or give "
        "--pretrained_path."
    )
