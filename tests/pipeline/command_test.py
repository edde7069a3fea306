"""The command line's own part: what is asked for before a run."""

import pytest

from pipeline import command


def test_alone_it_says_what_to_type_and_trains_nothing(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert command.run([]) == 0
    assert "--model=net.keras --data=DATA" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("flag", ["--help=all", "--helpfull"])
def test_every_flag_or_those_of_one_learner(flag, capsys):
    assert command.run([flag]) == 0
    text = capsys.readouterr().out
    assert "--cpr_prune_ratio  " in text
    assert "--ws_prune_ratio  " in text
    assert command.run([flag, "--learner=weight-sparse", "--model_helper=resnet_at_cifar10"]) == 0
    text = capsys.readouterr().out
    assert "--cpr_prune_ratio  " not in text
    assert "--ws_prune_ratio  " in text
    assert "--resnet_size  " in text


def test_where_another_flag_belongs(capsys):
    assert command.run(["--scale=0..1"]) == 2
    assert "it belongs to --model=net.keras --data=DATA" in capsys.readouterr().err


HELPER = """
import keras
from nets.abstract_model_helper import AbstractModelHelper
raise RuntimeError("too late")
"""


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--batch_size=0", "`batch_size` must be in"),
        ("--xyzzy=1", "Unknown flag --xyzzy"),
        ("--nb_epochs=x", "`nb_epochs` must be"),
        ("--save_path_eval=/dev/null/x.keras", "cannot write '/dev/null/x.keras'"),
        ("--uql_weight_bits=4", "it belongs to --learner=uniform"),
    ],
)
def test_a_helpers_file_is_not_run_for_a_wrong_flag(flag, message, tmp_path, capsys):
    (tmp_path / "net.py").write_text(HELPER)
    argv = [f"--model_helper={tmp_path}/net.py", f"--out_dir={tmp_path}/out", flag]
    assert command.run(argv) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


def test_flags_that_a_helper_may_declare_are_left_to_it(tmp_path, capsys):
    (tmp_path / "net.py").write_text(
        HELPER + "class C(HelperConfig):\n  width = 3\nconfig_class = C"
    )
    argv = [f"--model_helper={tmp_path}/net.py", f"--out_dir={tmp_path}/out", "--width=4"]
    assert command.run(argv) == 2
    assert "too late" in capsys.readouterr().err


def test_scoring_what_is_not_there_is_refused_at_once(tmp_path, capsys):
    assert command.run(["--exec_mode=eval", f"--out_dir={tmp_path}"]) == 2
    assert "Train first" in capsys.readouterr().err
