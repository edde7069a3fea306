"""Several workers: two on two cores against one on one core, bytes on the wire, workers killed."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks import Context, Row, SkipRow, real_data
from benchmarks.killed_runs import PATIENCE, contents, killed_run, random_moments

SOURCES = ("learners", "utils", "nets", "datasets", "pipeline", "tools/launch")

_ROOT = pathlib.Path(__file__).resolve().parent.parent
_ROUNDS = 3
_NUM_KILLS = 10
_SELECTION = ("--model_helper=resnet_at_cifar10", "--learner=chn-pruned-rmt",
              "--budget=flops:0.5", "--nb_epochs=0", "--tflite=none", "--resume=False")  # fmt: skip
_KILLED = ("--model_helper=convnet_at_digits", "--learner=full-prec,chn-pruned-rmt",
           "--nb_epochs=20,5", "--save_step=10", "--tflite=none")  # fmt: skip


def training(context: Context) -> Mapping[str, object]:
    """Train ResNet-20 in turns."""
    data = str(real_data.cifar10_for_a_row())
    found: dict[int, list[dict[str, float]]] = {1: [], 2: []}
    for turn in range(_ROUNDS):
        for number in found:
            context.log(f"round {turn + 1} of {_ROUNDS}: {number} workers")
            file = context.work_dir / f"steps_{number}.json"
            _run(number, file, "--steps", data)
            found[number].append(json.loads(file.read_text(encoding="utf-8")))
    best = {n: max(rows, key=lambda row: row["images_per_second"]) for n, rows in found.items()}
    one, two = best[1]["images_per_second"], best[2]["images_per_second"]
    sent = min(row["bytes_sent"] for row in found[2])
    return {
        "images_per_second": two,
        "one_worker": one,
        "speedup": two / one,
        "seconds_per_step": best[1]["seconds_per_step"],
        "bytes_of_gradient": best[2]["bytes_of_gradient"],
        "bytes_over_gradient": sent / best[2]["bytes_of_gradient"],
    }


def selection(context: Context) -> Mapping[str, object]:
    """Select half the multiply-adds of the pretrained ResNet-20 in turns."""
    weights = real_data.data_file("weights/resnet20.npz")
    flags = [*_SELECTION, f"--pretrained_path={weights}",
             f"--data_dir_local={real_data.cifar10_for_a_row()}"]  # fmt: skip
    seconds: dict[int, list[float]] = {1: [], 2: []}
    for turn in range(_ROUNDS):
        for number, times in seconds.items():
            context.log(f"round {turn + 1} of {_ROUNDS}: {number} workers")
            folder = context.work_dir / f"selection_{number}"
            _run(number, folder, *flags, f"--out_dir={folder}")
            report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
            times.append(report["seconds"]["selection"])
    one, two = (min(times) for times in seconds.values())
    return {"seconds": two, "one_worker": one, "speedup": one / two}


def killed(context: Context) -> Mapping[str, object]:
    """Kill a worker ten times, at random moments, and go on each time."""
    whole, again = context.work_dir / "whole", context.work_dir / "again"
    begin = time.perf_counter()
    _check(_call(2, [*_main(), *_KILLED, f"--out_dir={whole}"]))
    longest = time.perf_counter() - begin
    call = _call(2, [*_main(), *_KILLED, f"--out_dir={again}"])
    slowest, orphans, clear = 0.0, 0, 0
    moments = random_moments(context.seed, _NUM_KILLS, 0.5 * longest)
    for number, (rank, delay) in enumerate(moments):
        context.log(f"kill {number + 1} of {_NUM_KILLS}: worker {rank} after {delay:.0f} s")
        kill = killed_run(call, str(again), rank=rank, delay=delay, environ=_environ())
        if kill is None:  # it had ended: another one begins
            call = _call(2, [*_main(), *_KILLED, f"--out_dir={again}", "--resume=False"])
            continue
        call = _call(2, [*_main(), *_KILLED, f"--out_dir={again}"])
        slowest, orphans = max(slowest, kill.seconds), orphans + len(kill.orphans)
        clear += f"worker {rank} of 2 ended with SIGKILL" in kill.said
    _check(_call(2, [*_main(), *_KILLED, f"--out_dir={again}"]))
    same = contents(whole / "model.keras") == contents(again / "model.keras")
    return {
        "clear_stops": clear,
        "slowest_seconds": slowest,
        "orphans": orphans,
        "bit_equal": int(same),
    }


def _main() -> list[str]:
    return [sys.executable, str(_ROOT / "main.py")]


def _run(number: int, file: pathlib.Path, *arguments: str) -> None:
    command = [sys.executable, "-m", "benchmarks.distributed_run", str(file), *arguments]
    _check(_call(number, command))


def _call(number: int, command: Sequence[str]) -> list[str]:
    """Give the call that starts a command as so many workers; one is started plainly."""
    _require_two_cores()
    launcher = str(_ROOT / "tools" / "launch" / "launch_workers.py")
    start = [] if number == 1 else [sys.executable, launcher, f"--num_workers={number}", "--"]
    return [*start, *command]


def _check(call: Sequence[str]) -> None:
    done: Any = subprocess.run(
        call, cwd=_ROOT, env=_environ(), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(call)} failed: {done.stderr[-1000:]}")


def _environ() -> dict[str, str]:
    own = {"OMP_NUM_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    return {**os.environ, **own, "PYTHONPATH": str(_ROOT)}


def _require_two_cores() -> None:
    import importlib.util

    if importlib.util.find_spec("horovod") is None:
        raise SkipRow("needs Horovod: scripts/install_horovod.sh")
    if (os.cpu_count() or 1) < 2:
        raise SkipRow("needs 2 cores")


ROWS = [
    Row(
        name="resnet20-training",
        run=training,
        target={"speedup": ">= 1.8", "bytes_over_gradient": "<= 1.1"},
        about="2 workers on two cores against 1 on one, batch 128 each; bytes each sent in a step",
    ),
    Row(
        name="resnet20-selection",
        run=selection,
        target={"speedup": ">= 1.6"},
        about="chn-pruned-rmt, half the multiply-adds, 2 workers on two cores against 1 on one",
    ),
    Row(
        name="killed",
        run=killed,
        target={"slowest_seconds": f"<= {PATIENCE:.0f}", "orphans": "== 0", "bit_equal": "== 1"},
        about="SIGKILL at 10 random moments: stop, resume, the same bits as undisturbed",
    ),
]
