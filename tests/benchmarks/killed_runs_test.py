"""Killing a worker of a run, with a stand-in for the run."""

import os
import stat
import sys
import zipfile

import pytest

from benchmarks.killed_runs import contents, killed_run, random_moments, workers_of

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")

# Starts two "workers", ends when one does; each has main.py and the mark in its command line.
RUN = """#!/bin/bash
for rank in 0 1; do
  HOROVOD_RANK=$rank {python} {folder}/main.py "--out_dir=$1" & pids+=($!)
done
wait -n; status=$?
echo "a worker ended with $status" >&2
kill "${{pids[@]}}" 2>/dev/null
wait
exit $status
"""


@pytest.fixture
def run(tmp_path):
    (tmp_path / "main.py").write_text("import time\ntime.sleep(40)\n")
    path = tmp_path / "run"
    path.write_text(RUN.format(python=sys.executable, folder=tmp_path))
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_a_worker_is_killed_and_the_run_ends(run, tmp_path):
    mark = str(tmp_path / "my folder")
    kill = killed_run([str(run), mark], mark, rank=1, delay=0.2, environ=os.environ)
    assert kill.rank == 1
    assert kill.status == 137
    assert kill.seconds < 20  # not the 40 that the other worker would have gone on
    assert "a worker ended with 137" in kill.said
    assert kill.orphans == ()
    assert workers_of(mark) == []


def test_a_run_that_ends_before_is_not_killed(run, tmp_path):
    mark = str(tmp_path / "short")
    (tmp_path / "main.py").write_text("import time\ntime.sleep(0.5)\n")
    assert killed_run([str(run), mark], mark, rank=0, delay=60, environ=os.environ) is None


def test_moments_are_drawn_from_the_seed():
    drawn = random_moments(3, 10, 5.0)
    assert drawn == random_moments(3, 10, 5.0)
    assert {rank for rank, _ in drawn} == {0, 1}
    assert all(0.0 <= delay <= 5.0 for _, delay in drawn)


def test_weights_are_compared_and_times_are_not(tmp_path):
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model.weights.h5", b"w")
        archive.writestr("flowpress/network/0000.npy", b"n")
        archive.writestr("metadata.json", b"today")
    assert contents(path) == {"model.weights.h5": b"w", "flowpress/network/0000.npy": b"n"}
