import pytest

from utils.argv import joined, refuse_lost_values, refuse_tolerance
from utils.errors import InputError


@pytest.mark.parametrize(
    ("argv", "wanted"),
    [
        ([], []),
        (["--learner=a,", "b"], ["--learner=a,b"]),
        (["--learner=a", ",b", "--seed=1"], ["--learner=a,b", "--seed=1"]),
        (["--learner", "a,", "b,", "c"], ["--learner", "a,b,c"]),
        (["--learner=a", ",", "b"], ["--learner=a,b"]),
        (["--learner=a,", "--seed=1"], ["--learner=a,", "--seed=1"]),
        (["file", "other"], ["file", "other"]),
        ([",b"], [",b"]),
    ],
)
def test_lists_with_spaces(argv, wanted):
    assert joined(argv) == wanted


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--out_dir"], r"^Missing value for flag --out_dir. Write --out_dir=VALUE. See --help"),
        (["--seed", "1", "--out_dir"], r"flag --out_dir\."),
        (["--out_dir", "--debug"], r"--out_dir \('--debug' behind it is a flag of its own\)"),
        (["-out_dir", "-debug"], r"--out_dir \('-debug' behind it"),
        (["--out_dir", "--"], r"--out_dir \('--' behind it"),
    ],
)
def test_lost_values(argv, message):
    with pytest.raises(InputError, match=message):
        refuse_lost_values(argv, ["out_dir", "seed"])


@pytest.mark.parametrize(
    "argv",
    [
        ["--out_dir=--debug"],
        ["--out_dir", "x", "--debug"],
        ["--seed", "-1"],
        ["--seed", "-.5"],
        ["--debug", "--unknown"],
        ["--seed", "1", "--", "--out_dir"],
    ],
)
def test_values_that_are_there(argv):
    given = list(argv)
    assert refuse_lost_values(argv, ["out_dir", "seed"]) is None
    assert argv == given


def test_tolerance_is_refused(tmp_path):
    refuse_tolerance(["--seed=1", "--", "--undefok=x"])
    with pytest.raises(InputError, match="Unknown flag --undefok"):
        refuse_tolerance(["--seed=1", "-undefok=x"])
    (tmp_path / "inner.flags").write_text("--undefok=x\n")
    (tmp_path / "outer.flags").write_text(f"# so\n--flagfile={tmp_path}/inner.flags\n")
    with pytest.raises(InputError, match="Unknown flag --undefok"):
        refuse_tolerance([f"--flagfile={tmp_path}/outer.flags"])
    (tmp_path / "loop.flags").write_text(f"--flagfile={tmp_path}/loop.flags\n")
    with pytest.raises(InputError, match="name one another"):
        refuse_tolerance([f"--flagfile={tmp_path}/loop.flags"])
    with pytest.raises(InputError, match="no ordinary file"):
        refuse_tolerance(["--flagfile=/dev/zero"])
