"""Attacks: wrong calls, hostile files, kills at every crash point, full disks, two runs at once."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
from collections.abc import Callable, Mapping

from benchmarks import Context, Row, SkipRow

SOURCES = ("benchmarks/faults", "pipeline", "learners", "nets", "datasets", "rl_agents", "utils")

_ROOT = pathlib.Path(__file__).resolve().parents[1]
_NUM_CALLS, _NUM_FILES, _NUM_KILLS = 2_000, 500, 50


def _wrong_calls(context: Context) -> Mapping[str, object]:
    from benchmarks.faults.wrong_calls import generate, judge

    folder = context.work_dir / "calls"
    folder.mkdir(exist_ok=True)
    verdicts = [judge(call) for call in generate(_NUM_CALLS, folder, context.seed)]
    faults = [verdict for verdict in verdicts if verdict.fault]
    first = f"{faults[0].fault}: {faults[0].call}" if faults else None
    return {"calls": len(verdicts), "faults": len(faults), "first_fault": first}


def _hostile_files(context: Context) -> Mapping[str, object]:
    from benchmarks.faults.hostile import attack, summary

    folder = context.work_dir / "files"
    folder.mkdir()
    return summary(list(attack(_NUM_FILES, folder, context.seed)))


def _scenes(context: Context) -> Mapping[str, object]:
    from benchmarks.faults.scenes import SCENES, attack

    total: dict[str, object] = {}
    for name in SCENES:
        folder = context.work_dir / name
        folder.mkdir()
        for key, count in attack(name, folder).items():
            total[key] = int(str(total.get(key, 0))) + count
    return total


def _runs(name: str, number: int) -> Callable[[Context], Mapping[str, object]]:
    """Attack whole runs, in a process that has not used TensorFlow."""

    def run(context: Context) -> Mapping[str, object]:
        if name == "full-disk" and os.geteuid() != 0:
            raise SkipRow("needs the right to mount a small disk")
        command = [sys.executable, "-m", "benchmarks.faults.runs", name]
        done = subprocess.run(
            [*command, str(context.work_dir), str(number)],
            cwd=_ROOT, stdout=subprocess.PIPE, text=True, check=True,
        )  # fmt: skip
        found: dict[str, object] = json.loads(done.stdout)
        return found

    return run


_UNHARMED = {"corrupt": "== 0", "leftovers": "== 0", "different": "== 0"}

ROWS = (
    Row(
        name="wrong-calls",
        run=_wrong_calls,
        target={"calls": ">= 2000", "faults": "== 0"},
        about="generated wrong command lines: each refused with one line and status 2",
    ),
    Row(
        name="hostile-files",
        run=_hostile_files,
        target={
            "files": ">= 500",
            "faults": "== 0",
            "slowest_seconds": "< 5",
            "peak_memory_mib": "< 1024",
        },
        about="generated hostile files: no code, no traceback, little memory and time",
    ),
    Row(
        name="kills-writers",
        run=_scenes,
        target={"broken": "== 0", "different": "== 0"},
        about="what writes files, killed before and after every replace, fsync and unlink",
    ),
    Row(
        name="kills-training",
        run=_runs("kills-training", _NUM_KILLS),
        target=_UNHARMED,
        about="training, export and report killed at 50 points, resumed, compared to the bit",
    ),
    Row(
        name="kills-search",
        run=_runs("kills-search", 0),
        target=_UNHARMED,
        about="a search killed at every point, resumed, compared to the bit",
    ),
    Row(
        name="full-disk",
        run=_runs("full-disk", 0),
        target={
            "sizes": ">= 10",
            "not_called_full": "== 0",
            "corrupt": "== 0",
            "different": "== 0",
        },
        about="runs on disks of 10 sizes: called full, and gone on with once there is room",
    ),
    Row(
        name="two-at-once",
        run=_runs("two", 5),
        target={"one_refused": "== 5", "named": "== 5", "different": "== 0"},
        about="two runs begun in one folder: one is refused at once, the other unharmed",
    ),
)
