"""What writes files, killed at every point."""

import subprocess
import sys

import pytest

from benchmarks.faults import scenes
from benchmarks.faults.scenes import SCENES, contents


def test_kills_do_no_harm(tmp_path):
    """In a process without TensorFlow's threads: it forks."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.faults.scenes", str(tmp_path)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(done.stdout.splitlines()) == len(SCENES)
    assert "'points': 0" not in done.stdout


@pytest.mark.parametrize("name", SCENES)
def test_scenes_can_be_played_again(name, tmp_path):
    SCENES[name](tmp_path)
    once = contents(tmp_path)
    SCENES[name](tmp_path)
    assert contents(tmp_path) == once
    assert once


def test_half_files_are_found():
    whole = {"a.npz": b"1234", "s.jsonl": b"1\n2\n"}
    assert scenes._is_whole({"a.npz": b"1234"}, whole)
    assert scenes._is_whole({"s.jsonl": b"1\n2"}, whole)
    assert not scenes._is_whole({"a.npz": b"12"}, whole)
    assert not scenes._is_whole({"s.jsonl": b"2\n"}, whole)
