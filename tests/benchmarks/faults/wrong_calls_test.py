"""The short form: a few hundred wrong calls, and a judge that can find fault."""

from unittest import mock

from benchmarks.faults.wrong_calls import Call, generate, judge
from pipeline import command


def test_wrong_calls_are_refused_in_one_line(tmp_path):
    faults = [verdict for verdict in map(judge, generate(225, tmp_path)) if verdict.fault]
    assert not faults


def test_equal_seeds_give_equal_calls(tmp_path):
    assert list(generate(30, tmp_path, seed=3)) == list(generate(30, tmp_path, seed=3))


def test_the_judge_finds_fault(tmp_path):
    right = Call((f"--out_dir={tmp_path}/out",), "none")
    assert judge(right).fault == "accepted"
    with mock.patch.object(command, "_run", lambda argv: 0):
        assert judge(right).fault == "status 0"
