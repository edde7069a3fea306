"""What the product writes, piece by piece, killed at every point; no network is trained.

    python -m benchmarks.faults.scenes FOLDER

A scene writes into a folder, and may be played again there after it was killed. However often and
wherever that happens, its last performance leaves the same files with the same bytes.
"""

from __future__ import annotations

import itertools
import os
import pathlib
import sys
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from benchmarks.faults.crash_points import CrashPoints
from learners.search.journal import Journal, Trial
from learners.setting import Setting
from utils.command import out
from utils.files import atomic_path, save_npz
from utils.folders import passing_folder
from utils.ownership import owned

Scene = Callable[[pathlib.Path], None]


def _arrays(folder: pathlib.Path) -> None:
    with owned([folder]):
        for number in range(2):
            save_npz({"a": np.arange(100.0) + number}, folder / "weights.npz")


def _texts(folder: pathlib.Path) -> None:
    with owned([folder, folder / "state"]):
        for name in ("state/model.run.json", "report.json"):
            with atomic_path(folder / name) as temporary:
                temporary.write_text(name * 1000)
        (folder / "stale.tflite").unlink(missing_ok=True)


def _search(folder: pathlib.Path) -> None:
    with owned([folder]):
        journal = Journal(folder, {"seed": 0}, resume=True)
        for index in range(len(journal.trials), 4):
            journal.append(_trial(index))
            journal.save_agent({"num_told": np.array(index + 1), "x": np.arange(9.0)})
        # A search that was killed behind its last roll-out tells its agent again.
        journal.save_agent({"num_told": np.array(4), "x": np.arange(9.0)})
        Setting(quantity="channels", network={"a": 4}, values={"a": 2}).save(folder / "ratios.json")


def _trial(index: int) -> Trial:
    return Trial(
        index=index, seed=0, actions=(0.5,), choices={"a": index + 1}, cost={"flops": 2.0},
        reward=0.5, accuracy=0.5, loss=1.0, seconds=0.25,
    )  # fmt: skip


def _passing(folder: pathlib.Path) -> None:
    for number in range(2):
        with passing_folder(folder) as place:
            for name in ("network.tflite", "samples.npz"):
                pathlib.Path(place, name).write_bytes(bytes(100))
            save_npz({"a": np.arange(10.0) + number}, folder / "weights.npz")


SCENES: Mapping[str, Scene] = {
    "arrays": _arrays,
    "texts": _texts,
    "search": _search,
    "passing": _passing,
}


def contents(folder: pathlib.Path) -> dict[str, bytes]:
    """Read all files below a folder, by their names in it."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def attack(name: str, folder: pathlib.Path) -> dict[str, int]:
    """Kill a scene at every point, before and after the call, and play it to its end.

    Args:
        name: of the scene.
        folder: an empty one.

    Returns:
        `points`; how many left `broken` files before the scene was played again, and how many
        other files or bytes (`different`) than without a kill.
    """
    scene = SCENES[name]
    _play(scene, folder / "whole", None, after=False)
    whole = contents(folder / "whole")
    found = {"points": 0, "broken": 0, "different": 0}
    for turn in itertools.count():
        number, after = divmod(turn, 2)
        place = folder / f"{turn}"
        if not _play(scene, place, number, after=bool(after)):
            return found
        found["points"] += 1
        left = {key: value for key, value in contents(place).items() if ".tmp" not in key}
        found["broken"] += not _is_whole(left, whole)
        _play(scene, place, None, after=False)
        found["different"] += contents(place) != whole
    raise AssertionError("the calls do not end")


def _is_whole(left: Mapping[str, bytes], whole: Mapping[str, bytes]) -> bool:
    """Whether what a kill left has no half file: a record may be a beginning of its lines."""
    for name, content in left.items():
        if name.endswith(".jsonl"):
            if not whole[name].startswith(content):
                return False
        elif name in whole and len(content) != len(whole[name]):
            return False
    return True


def _play(scene: Scene, folder: pathlib.Path, kill_at: int | None, *, after: bool) -> bool:
    """Play a scene in a process of its own; tells whether it was killed."""
    folder.mkdir(exist_ok=True)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            CrashPoints(kill_at, after=after).arm()
            scene(folder)
            status = 0
        finally:
            os._exit(status)
    status = os.waitpid(child, 0)[1]
    if not os.WIFSIGNALED(status) and os.WEXITSTATUS(status):
        raise AssertionError(f"a scene failed in {folder}")
    return os.WIFSIGNALED(status)


def main(argv: Sequence[str]) -> int:
    """Attack every scene and print what was found; the exit status is 1 where a kill did harm."""
    (folder,) = map(pathlib.Path, argv)
    harm = 0
    for name in SCENES:
        (folder / name).mkdir()
        found = attack(name, folder / name)
        out.print(f"{name}: {found}", markup=False)
        harm += found["broken"] + found["different"]
    return int(harm > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
