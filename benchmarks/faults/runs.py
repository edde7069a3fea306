"""Whole runs in processes of their own: killed, on disks that are full, two at once.

    python -m benchmarks.faults.runs COMMAND FOLDER NUMBER

TensorFlow is imported once: every run is a fork of a process that has done nothing with it yet.
COMMAND is `kills-training`, `kills-search`, `full-disk` or `two`; NUMBER how many runs are
attacked (0 for every point). What was found is printed as JSON.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence

from benchmarks.faults.crash_points import CrashPoints
from benchmarks.faults.scenes import contents
from pipeline import command
from utils.command import out, quiet_tensorflow

OUT = "out"
TEMPORARY = "tmp"
_FAST = ("--nb_repts=2", "--nb_repts_warmup=0", "--nb_smpls_calib=20", "--summ_step=1000")
TRAINING = (
    "--learner=full-prec",
    "--nb_epochs=0.2",
    "--save_step=1",
    "--tflite=float32,int8",
    *_FAST,
)
SEARCH = (  # without files for devices: training is killed while those are written
    "--learner=full-prec,chn-pruned-rmt", "--nb_epochs=0.1", "--budget=flops:0.5", "--cpr_search",
    "--cpr_nb_rlouts=6", "--cpr_nb_rlouts_min=2", "--cpr_nb_smpls=50", "--cpr_nb_crops_per_smpl=2",
    "--cpr_nb_smpls_search=50", "--tflite=none", *_FAST,
)  # fmt: skip
_TIMES = ("seconds",)  # of a roll-out: no two runs have the same
_SIZES_KIB = (64, 256, 512, 768, 1024, 1536, 2048, 3072, 4096, 6144)


@dataclasses.dataclass(frozen=True)
class Ended:
    """How a run ended.

    Attributes:
        status: its exit status; the signal's number, negative, where one ended it.
        said: what it wrote to standard error.
        points: crash points that it passed.
    """

    status: int
    said: str
    points: int


def run(
    argv: Sequence[str], folder: pathlib.Path, crash: CrashPoints | None = None
) -> Callable[[], Ended]:
    """Begin a run in a folder; the files go to `OUT` in it.

    Args:
        argv: the command's arguments without --out_dir.
        folder: the working directory.
        crash: where it is killed.

    Returns:
        What waits for its end.
    """
    folder.mkdir(parents=True, exist_ok=True)
    log = folder.with_name(folder.name + ".log")
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        _child(argv, folder, log, CrashPoints() if crash is None else crash)

    def ended() -> Ended:
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        said = log.read_text(errors="replace")
        points = log.with_suffix(".points")
        return Ended(status, said, int(points.read_text()) if points.exists() else 0)

    return ended


def _child(
    argv: Sequence[str], folder: pathlib.Path, log: pathlib.Path, crash: CrashPoints
) -> None:
    status = 1
    try:
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for stream in (1, 2):
            os.dup2(descriptor, stream)
        os.chdir(folder)
        os.makedirs(TEMPORARY, exist_ok=True)
        os.environ["TMPDIR"] = str(pathlib.Path(TEMPORARY).absolute())
        tempfile.tempdir = None  # what was found out before
        tempfile.gettempdir()  # Python tries the place out, with a file that is not the run's
        crash.arm()
        status = command.run([*argv, f"--out_dir={OUT}"])
        log.with_suffix(".points").write_text(str(crash.count))
    finally:
        os._exit(status)


def results(folder: pathlib.Path) -> dict[str, bytes]:
    """Read what a run must have in common with every other of its kind.

    States hold the seconds that were spent, reports too: of them the names count, as of what it
    left in the system's place for temporary files.
    """
    found = {f"{TEMPORARY}/{name}": b"" for name in contents(folder / TEMPORARY)}
    for name, content in contents(folder / OUT).items():
        if name.startswith("logs/"):
            continue
        is_result = "/" not in name and name.endswith((".keras", ".tflite", "ratios.json"))
        found[name] = content if is_result else b""
        if name.endswith("search.jsonl"):
            rows = [json.loads(line) for line in content.splitlines()]
            kept = [{k: v for k, v in row.items() if k not in _TIMES} for row in rows]
            found[name] = json.dumps(kept).encode()
    return found


def attack_kills(argv: Sequence[str], folder: pathlib.Path, number: int) -> dict[str, object]:
    """Kill runs at points spread over one, resume each, and compare with a run that was left alone.

    Args:
        argv: the run.
        folder: an empty one.
        number: kills; 0 for one at every point.

    Returns:
        `kills`; how many resumed runs failed (`corrupt`), left other files (`leftovers`) or other
        bytes (`different`).
    """
    whole = run(argv, folder / "whole")()
    if whole.status:
        raise AssertionError(whole.said)
    wanted = results(folder / "whole")
    numbers = _spread(whole.points, number or whole.points)
    found: dict[str, object] = {"points": whole.points, "kills": len(numbers)}
    faults = {"corrupt": 0, "leftovers": 0, "different": 0}
    for turn, point in enumerate(numbers):
        place = folder / f"killed_{point}"
        crash = CrashPoints(point, after=turn % 2 == 1)
        killed = run(argv, place, crash)()
        if killed.status != -signal.SIGKILL:
            raise AssertionError(f"not killed at {point}: {killed.said}")
        resumed = run(argv, place)()
        got = results(place) if resumed.status == 0 else {}
        faults["corrupt"] += resumed.status != 0
        faults["leftovers"] += resumed.status == 0 and got.keys() != wanted.keys()
        changed = [name for name in wanted if name in got and got[name] != wanted[name]]
        faults["different"] += bool(changed)
        if resumed.status or got != wanted:
            found.setdefault("first", f"{point}: {changed or resumed.said[-300:]}")
    return found | faults


def _spread(points: int, number: int) -> list[int]:
    """Choose points at equal distances."""
    return sorted({round(place * (points - 1) / max(number - 1, 1)) for place in range(number)})


def attack_full_disk(folder: pathlib.Path, number: int) -> dict[str, object]:
    """Let runs fill disks of several sizes; given more room, each goes on to the same result."""
    whole = run(TRAINING, folder / "whole")()
    wanted = results(folder / "whole")
    found = {"sizes": 0, "full": 0, "not_called_full": 0, "corrupt": 0, "different": 0}
    for size in _SIZES_KIB[: number or None]:
        place = folder / f"{size}k"
        with mounted(place, size) as grow:
            ended = run(TRAINING, place)()
            is_full = ended.status != 0
            found["sizes"] += 1
            found["full"] += is_full
            found["not_called_full"] += is_full and "disk is full" not in ended.said
            grow()
            resumed = run(TRAINING, place)()
            found["corrupt"] += resumed.status != 0
            found["different"] += resumed.status == 0 and results(place) != wanted
    return {**found, "whole": whole.status}


class mounted:  # noqa: N801  a context manager
    """A small disk in memory; entering gives what makes it large. Needs the right to mount."""

    def __init__(self, place: pathlib.Path, size_kib: int) -> None:
        self._place = place
        self._size = size_kib

    def __enter__(self) -> Callable[[], None]:
        self._place.mkdir(parents=True, exist_ok=True)
        self._mount(f"size={self._size}k")
        return lambda: self._mount("remount,size=65536k")

    def __exit__(self, *_: object) -> None:
        subprocess.run(["umount", str(self._place)], check=True)

    def _mount(self, options: str) -> None:
        line = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(self._place)]
        subprocess.run(line, check=True, capture_output=True)


def attack_two(folder: pathlib.Path, number: int) -> dict[str, object]:
    """Begin two runs in one folder at once: one is refused, the other one comes to its end."""
    found = {"pairs": 0, "one_refused": 0, "named": 0, "different": 0}
    run(TRAINING, folder / "whole")()
    wanted = results(folder / "whole")
    for turn in range(number or 3):
        place = folder / f"pair_{turn}"
        (place / OUT).mkdir(parents=True)  # for the second's link, whoever comes first
        first = run(TRAINING, place)
        time.sleep(0.2 * turn)
        second_log = folder / f"second_{turn}"
        second_log.mkdir()
        (second_log / OUT).symlink_to(place / OUT)
        second = run(TRAINING, second_log)
        ends = [first(), second()]
        found["pairs"] += 1
        found["one_refused"] += sorted(end.status for end in ends) == [0, 2]
        found["named"] += any("is in use by the run of process" in end.said for end in ends)
        found["different"] += results(place) != wanted
    return dict(found)


ATTACKS: Mapping[str, Callable[[pathlib.Path, int], dict[str, object]]] = {
    "kills-training": lambda folder, number: attack_kills(TRAINING, folder, number),
    "kills-search": lambda folder, number: attack_kills(SEARCH, folder, number),
    "full-disk": attack_full_disk,
    "two": attack_two,
}


def main(argv: Sequence[str]) -> int:
    """Carry out an attack and print what was found."""
    name, folder, number = argv
    quiet_tensorflow()
    from pipeline import stages  # noqa: F401  once, for all forks

    found = ATTACKS[name](pathlib.Path(folder).absolute(), int(number))
    out.print(json.dumps(found), markup=False, soft_wrap=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
