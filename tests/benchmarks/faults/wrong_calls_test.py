"""The short form: a few hundred wrong calls, and a judge that can find fault."""

from unittest import mock

from benchmarks.faults.wrong_calls import Call, generate, generate_huge, judge
from pipeline import command


def test_wrong_calls_are_refused_in_one_line(tmp_path):
    faults = [verdict for verdict in map(judge, generate(225, tmp_path)) if verdict.fault]
    assert not faults


def test_every_numeric_flag_is_bounded(tmp_path):
    calls = list(generate_huge(tmp_path))
    flags = {call.argv[-1].partition("=")[0] for call in calls}
    assert {"--batch_size", "--nb_repts", "--seed", "--cpr_nb_smpls", "--ddpg_gamma"} <= flags
    for value in ("1e23", "nan"):
        assert {f"{flag}={value}" for flag in flags} <= {call.argv[-1] for call in calls}
    assert not [verdict for verdict in map(judge, calls) if verdict.fault]


def test_equal_seeds_give_equal_calls(tmp_path):
    assert list(generate(30, tmp_path, seed=3)) == list(generate(30, tmp_path, seed=3))


def test_the_judge_finds_fault(tmp_path):
    right = Call((f"--out_dir={tmp_path}/out",), "none")
    assert judge(right).fault == "accepted"
    with mock.patch.object(command, "_run", lambda argv: 0):
        assert judge(right).fault == "status 0"
