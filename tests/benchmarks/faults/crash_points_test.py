"""A process is killed at the call that was chosen, and at no other."""

import pathlib
import signal
import subprocess
import sys

import pytest

import main

ROOT = pathlib.Path(main.__file__).resolve().parent
CODE = """
import os, sys
from benchmarks.faults.crash_points import CrashPoints
points = CrashPoints({at}, after={after})
points.arm()
for name in ("a", "b"):
    open(name, "w").close()
    os.replace(name, name + name)
try:
    os.unlink("gone")
except FileNotFoundError:
    pass
print(points.count, flush=True)
"""


def play(folder, at, after):
    return subprocess.run(
        [sys.executable, "-c", CODE.format(at=at, after=after)],
        cwd=folder, capture_output=True, text=True, check=False, env={"PYTHONPATH": str(ROOT)},
    )  # fmt: skip


def test_counting_alone(tmp_path):
    done = play(tmp_path, None, False)
    assert (done.returncode, done.stdout) == (0, "3\n")


@pytest.mark.parametrize(
    ("at", "after", "left"),
    [(0, False, {"a"}), (0, True, {"aa"}), (1, False, {"aa", "b"}), (2, True, {"aa", "bb"})],
)
def test_killed_there(tmp_path, at, after, left):
    assert play(tmp_path, at, after).returncode == -signal.SIGKILL
    assert {path.name for path in tmp_path.iterdir()} == left
