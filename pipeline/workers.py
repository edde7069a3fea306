"""A run of several workers: each knows its place, and worker 0 alone writes what stays.

All workers carry out the same plan. Worker 0 does it where the flags say; every other one in a
folder of its own that vanishes at the end, where it finds at the start what worker 0 finds: states,
records, journals. So all resume alike, and no two write one file, whether the machines share their
files or not.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import pathlib
import platform
import socket
from collections.abc import Callable, Iterator

import keras
import numpy as np
import tensorflow as tf

from learners.base import Trained
from nets.abstract_model_helper import AbstractModelHelper
from pipeline.plan import Plan
from utils import flags
from utils.errors import InputError
from utils.folders import passing_folder
from utils.multi_gpu_wrapper import MultiGpuWrapper, alone
from utils.report import Report
from utils.training.agreement import choices_digest

_READ = (".keras", ".npz", ".json", ".jsonl")  # endings of what a run takes up again
_HELD = ("enbl_multi_gpu", "out_dir", "log_dir", "debug")


@contextlib.contextmanager
def joined(workers: MultiGpuWrapper, plan: Plan, helper: AbstractModelHelper) -> Iterator[Plan]:
    """Carry out a plan together.

    Args:
        workers: this process among those that take part.
        plan: as the flags say.
        helper: data, loss and schedule.

    Yields:
        The plan for this worker.

    Raises:
        InputError: if a worker has other versions or flags than worker 0.
    """
    if workers.size == 1:
        yield plan
        return
    refuse_differences(workers, facts_of_worker(plan, helper))
    with own_place(workers, plan) as own:
        yield own
    workers.barrier()


def facts_of_worker(plan: Plan, helper: AbstractModelHelper) -> dict[str, str]:
    """Collect what must be the same in every worker, in words."""
    configs = [plan.run, helper.config, *(stage.config for stage in plan.stages)]
    values = {name: value for each in configs for name, value in flags.flag_values(each).items()}
    text = json.dumps({n: str(v) for n, v in sorted(values.items()) if n not in _HELD})
    return {
        "Flowpress": _sources_digest(),
        "Python": platform.python_version(),
        "TensorFlow": tf.__version__,
        "Keras": keras.__version__,
        "NumPy": np.__version__,
        "flags": hashlib.sha256(text.encode()).hexdigest()[:12],
    }


def _sources_digest() -> str:
    digest = hashlib.sha256()
    root = pathlib.Path(__file__).parents[1]
    for folder in ("datasets", "learners", "nets", "pipeline", "rl_agents", "utils"):
        for path in sorted((root / folder).rglob("*.py")):
            digest.update(path.read_bytes())
    return f"files {digest.hexdigest()[:12]}"


def refuse_differences(workers: MultiGpuWrapper, own: dict[str, str]) -> None:
    """Make sure that all workers run the same.

    Args:
        workers: all.
        own: this one's facts, see `facts_of_worker`.

    Raises:
        InputError: names the first worker that differs, and in what.
    """
    facts = workers.gather({**own, "host": socket.gethostname()})
    for rank, theirs in enumerate(facts):
        differing = [name for name in own if theirs.get(name) != facts[0].get(name)]
        if differing:
            said = ", ".join(f"{n} {theirs[n]} (worker 0: {facts[0][n]})" for n in differing)
            raise InputError(
                f"worker {rank} on {theirs['host']} differs from worker 0 on {facts[0]['host']}: "
                f"{said}. Give all machines the same checkout and packages (make install)."
            )


@contextlib.contextmanager
def own_place(workers: MultiGpuWrapper, plan: Plan) -> Iterator[Plan]:
    """Give each worker the plan with places of its own to write to; worker 0's are the flags'."""
    takes_up = plan.run.resume or plan.run.exec_mode == "eval"
    found = _files_of(plan) if workers.is_chief and takes_up else {}
    received = workers.files_from_chief(found)
    if workers.is_chief:
        yield plan
        return
    with passing_folder() as folder:
        root = pathlib.Path(folder)
        for name, content in received.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        yield _moved(plan, root)


def _folders(plan: Plan) -> list[pathlib.Path]:
    """List the folders that the stages write to, each once."""
    paths = [path for stage in plan.stages for path in (stage.state_path, stage.artefact_path)]
    return list(dict.fromkeys(path.parent for path in paths))


def _files_of(plan: Plan) -> dict[str, bytes]:
    """Read what a run would take up; each folder has a number in the names."""
    paths = [path for stage in plan.stages for path in (stage.state_path, stage.artefact_path)]
    stems = tuple({path.stem for path in paths} | {"search", "control"})
    found = {}
    for number, folder in enumerate(_folders(plan)):
        for path in sorted(folder.glob("*")) + sorted(folder.glob("*/*")):
            first = path.relative_to(folder).parts[0]
            if path.suffix in _READ and first.startswith(stems) and path.is_file():
                found[f"{number}/{path.relative_to(folder).as_posix()}"] = path.read_bytes()
    return found


def _moved(plan: Plan, root: pathlib.Path) -> Plan:
    """Let a plan write below another folder."""
    numbers = {folder: str(number) for number, folder in enumerate(_folders(plan))}

    def place(path: pathlib.Path) -> pathlib.Path:
        return root / numbers[path.parent] / path.name

    stages = tuple(
        dataclasses.replace(
            stage, state_path=place(stage.state_path), artefact_path=place(stage.artefact_path)
        )
        for stage in plan.stages
    )
    return dataclasses.replace(plan, stages=stages, log_dir=root / "logs")


def share_result(workers: MultiGpuWrapper, trained: Trained, stage: str) -> None:
    """Make sure that a stage left the same network in all workers; worker 0's values count.

    Raises:
        InputError: if shapes or zeros differ.
    """
    if workers.size == 1:
        return
    networks = [trained.model, trained.deployed, trained.simulated]
    variables = [v for network in networks if network is not None for v in network.variables]
    workers.agree(choices_digest(variables), f"what {stage} left (shapes and zeros)")
    workers.broadcast(variables)


def report_of_chief(
    workers: MultiGpuWrapper, make: Callable[[], Report], follow: Callable[[], keras.Model]
) -> Report:
    """Let worker 0 measure and report while the others wait; all get the report.

    Args:
        workers: all.
        make: measures and reports.
        follow: takes part in what is trained for the report; gives the resulting network.
    """
    if workers.size == 1:
        return make()
    if workers.is_chief:
        with alone():
            report = make()
        workers.from_chief(report.to_dict())
        return report
    model = follow()
    return dataclasses.replace(Report.from_dict(workers.from_chief(None)), model=model)
