"""The short form: each kind of file a few times, and a judge that can find fault."""

import pathlib

import pytest

from benchmarks.faults import hostile, hostile_files
from benchmarks.faults.hostile import Outcome, Target, attack, peak_bytes, summary


def test_hostile_files_are_refused_in_one_line(tmp_path):
    before = peak_bytes()
    outcomes = list(attack(60, tmp_path))
    assert [outcome for outcome in outcomes if outcome.fault] == []
    assert summary(outcomes)["refused"] > 40
    assert peak_bytes() - before < 512 << 20


def raising(error):
    def read(path):
        raise error

    return read


def payload(path):
    pathlib.Path(hostile_files.PAYLOAD).touch()


@pytest.mark.parametrize(
    ("read", "fault"),
    [
        (raising(RecursionError("deep")), "RecursionError: deep"),
        (raising(hostile.InputError("two\nlines")), "several lines"),
        (raising(hostile.InputError("Give --allow_unsafe.")), "advice that lowers safety"),
        (raising(hostile.InputError("one line")), ""),
        (payload, "code of the file ran"),
        (pathlib.Path, ""),
    ],
)
def test_the_judge_finds_fault(tmp_path, monkeypatch, read, fault):
    monkeypatch.chdir(tmp_path)
    target = Target("x", pathlib.Path.touch, read, {})
    assert hostile._judged("x", target, tmp_path / "x").fault == fault


def test_summary():
    rows = [Outcome("a, b", "", "no", 0.5), Outcome("a, c", "KeyError: x", "", 2.0)]
    assert summary(rows) == {
        "files": 2, "faults": 1, "refused": 1, "slowest_seconds": 2.0,
        "first_fault": "a, c: KeyError: x",
    }  # fmt: skip
