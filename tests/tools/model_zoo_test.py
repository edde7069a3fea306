import json

import pytest

from tests.utils.zoo.runs import write_run
from tools.model_zoo import main


def test_a_run_is_published(tmp_path, capsys):
    pytest.importorskip("torch")
    run = write_run(tmp_path / "run")
    flags = [f"--zoo={tmp_path}/zoo", "--model=net", "--date=20200717"]
    assert main(["publish", str(run), *flags]) == 0
    shown = capsys.readouterr().out
    assert "| net | 41.71 | 87.50 | 90.00 | 20200717 | 8x6 | yes |" in shown
    folder = tmp_path / "zoo" / "vision" / "classification" / "net"
    graphs = {path.name for path in (folder / "original" / "moffett_ir").iterdir()}
    assert graphs == {
        f"{name}_{part}"
        for name in ("IR_for_reconstruct", "IR_fused_for_CModel")
        for part in ("graph.json", "graph.png", "params.npz")
    }
    rows = json.loads((folder / "checklist.json").read_text())
    assert max(row["torch_distance"] for row in rows) < 1e-3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["publish"], "say what to publish"),
        (["sell", "run", "--model=net"], "say what to publish"),
        (["publish", "run"], "`model` must name the model"),
        (["publish", "run", "--model=../net"], "`model` must be a name of letters"),
        (["publish", "run", "--model=net", "--date=today"], "`date` must be eight digits"),
        (["publish", "run", "--model=net", "--domain=sound"], "domain"),
        (["publish", "missing", "--model=net"], "'missing' holds no report.json"),
    ],
)
def test_what_is_wrong_is_told_in_a_line(words, message, tmp_path, monkeypatch, capsys):
    pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    told = capsys.readouterr().err
    assert message in told and told.count("\n") == 1
    assert not list(tmp_path.iterdir())
