"""The command of the peer."""

import sys

import pytest

pytest.importorskip("torch")
pytest.importorskip("torch_pruning")

peers = sys.modules.get("benchmarks.peers.__main__") or __import__(
    "benchmarks.peers.__main__", fromlist=["main"]
)


def test_rows_are_listed_and_known_ones_left_out(tmp_path, capsys):
    flags = ["--list", f"--results={tmp_path / 'r.json'}", f"--weights={tmp_path}", "--epochs=3"]
    flags += ["--networks=resnet20", "--budgets=0.5", "--distilled=yes", "--importances=l2,l1"]
    assert peers.main(flags) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("6 rows to do")
    row = peers.plan.PeerRow(network="resnet20", budget="0.5", importance="l2", distilled=True)
    peers.plan.keep_result(row, {"before": 0.1}, tmp_path / "r.json")
    peers.main(flags)
    assert capsys.readouterr().out.startswith("5 rows to do")


def test_wrong_rows_are_refused(tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        peers.main(["--budgets=0.55", f"--weights={tmp_path}"])
    assert stopped.value.code == 2
    assert "'0.55' is none of 0.5, 0.6, 0.73" in capsys.readouterr().err


def test_missing_images_are_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("FLOWPRESS_DATA", str(tmp_path))
    monkeypatch.setattr(peers, "_ROOT", tmp_path)
    with pytest.raises(SystemExit):
        peers.main([f"--results={tmp_path / 'r.json'}"])
    assert "CIFAR-10's .bin batches are in none of" in capsys.readouterr().err
