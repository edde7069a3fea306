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
