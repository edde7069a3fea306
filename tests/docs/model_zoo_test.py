"""The page about the model zoo: its commands run, and it shows their folders."""

import re
import shlex
from pathlib import Path

import pytest

import main
from tools import model_zoo

PAGE = (Path(main.__file__).resolve().parent / "docs" / "model_zoo.md").read_text("utf-8")
TINY = [
    "--nb_epochs=0.1,0",
    "--tflite=none",
    "--ws_prune_ratio_prtl=uniform",
    "--ws_nb_smpls=100",
    "--ws_nb_crops_per_smpl=2",
    "--nb_repts=1",
    "--nb_repts_warmup=0",
]


def test_the_commands_run(tmp_path, monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    (text,) = re.findall(r"^```bash\n(.*?)^```$", PAGE, re.M | re.S)
    train, publish = (shlex.split(line)[1:] for line in text.splitlines())
    assert main.run([*train[1:], *TINY]) == 0
    assert model_zoo.main(publish[1:]) == 0
    folder = tmp_path / "MODEL_ZOO" / "vision" / "classification" / "convnet"
    made = {path.name for path in folder.iterdir()}
    assert {"checklist.json", "checklist.md", "original"} < made
    heads = (folder / "checklist.md").read_text().splitlines()[0]
    assert heads in PAGE
