import subprocess
import sys

import pytest

from benchmarks.__main__ import main

MODULE = """from benchmarks import Row
SOURCES = ()
def good(context):
    return {"x": 1}
def bad(context):
    raise RuntimeError("no")
ROWS = (Row(name="good", run=good, target={"x": ">= 2"}), Row(name="bad", run=bad))
"""


@pytest.fixture
def paths(tmp_path):
    (tmp_path / "toy_bench.py").write_text(MODULE)
    return {"folder": tmp_path, "work_dir": tmp_path / "work"}


def test_a_missed_target_is_no_failure(paths):
    assert main(["toy", "--row=good"], **paths) == 0
    assert "**missed**" in (paths["folder"] / "results.md").read_text()


def test_a_failed_row_is(paths, capsys):
    assert main([], **paths) == 1
    assert "1 failed; their errors are in" in capsys.readouterr().err
    assert "x" in (paths["folder"] / "results.json").read_text()


def test_list_runs_nothing(paths, capsys):
    assert main(["--list"], **paths) == 0
    assert capsys.readouterr().out == "toy/good: to do\ntoy/bad: to do\n"
    assert not (paths["folder"] / "results.json").exists()


def test_unknown_topic_is_one_line_and_status_2(paths, capsys):
    assert main(["graf"], **paths) == 2
    error = capsys.readouterr().err
    assert error.startswith("unknown topic: graf. Topics: toy.")
    assert error.count("\n") == 1


def test_as_a_command():
    command = [sys.executable, "-m", "benchmarks", "no-such-topic"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "unknown topic: no-such-topic" in done.stderr
