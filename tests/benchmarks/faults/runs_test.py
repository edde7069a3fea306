"""The short form: a whole run killed, on a full disk, and two at once, in one process tree."""

import json
import signal
import subprocess
import sys

import numpy as np
import pytest

from benchmarks.faults import runs
from utils.errors import InputError
from utils.files import save_npz

# One import of TensorFlow and three short runs; what every point does is in `scenes`.
SHORT = """
import json, pathlib, sys
from benchmarks.faults import runs
from benchmarks.faults.crash_points import CrashPoints
from utils.command import quiet_tensorflow
quiet_tensorflow()
from pipeline import stages
folder = pathlib.Path(sys.argv[1])
argv = ["--learner=full-prec", "--nb_epochs=0.09", "--save_step=1", "--tflite=float32",
        "--nb_repts=2", "--nb_repts_warmup=0"]
whole = runs.run(argv, folder / "whole")()
killed = runs.run(argv, folder / "killed", CrashPoints(whole.points * 2 // 3, after=True))()
passing = [name for name in runs.results(folder / "killed") if name.startswith(runs.TEMPORARY)]
(folder / "beside").mkdir()
(folder / "beside" / "out").symlink_to(folder / "killed" / "out")
both = [runs.run(argv, folder / "killed"), runs.run(argv, folder / "beside")]
ended = sorted((end() for end in both), key=lambda end: end.status)
print(json.dumps({
    "whole": whole.status, "killed": killed.status, "resumed": [end.status for end in ended],
    "passing": passing, "said": ended[1].said, "points": whole.points,
    "equal": runs.results(folder / "whole") == runs.results(folder / "killed"),
}))
"""


def test_a_killed_run_is_resumed_to_the_bit_and_owned_by_one(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", SHORT, str(tmp_path)], stdout=subprocess.PIPE, text=True, check=True
    )
    found = json.loads(done.stdout)
    assert found["points"] > 20
    assert (found["whole"], found["killed"]) == (0, -signal.SIGKILL)
    assert found["passing"]  # and "equal" says that it is gone
    assert all(name.startswith(f"{runs.TEMPORARY}/flowpress-") for name in found["passing"])
    assert found["resumed"] == [0, 2]
    assert found["equal"]
    assert "is in use by the run of process" in found["said"]


def test_a_full_disk_is_called_one(tmp_path):
    try:
        disk = runs.mounted(tmp_path / "small", 64)
        grow = disk.__enter__()
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs the right to mount a small disk in memory")
    try:
        arrays = {"a": np.zeros(200 << 10, np.uint8)}
        with pytest.raises(InputError, match=r"the disk is full\. Make room there and repeat"):
            save_npz(arrays, tmp_path / "small" / "a.npz")
        assert list((tmp_path / "small").iterdir()) == []
        grow()
        save_npz(arrays, tmp_path / "small" / "a.npz")
    finally:
        disk.__exit__()


def test_points_are_spread():
    assert runs._spread(101, 5) == [0, 25, 50, 75, 100]
    assert runs._spread(3, 3) == [0, 1, 2]
    assert runs._spread(2, 50) == [0, 1]
