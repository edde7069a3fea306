"""The page about zeros: its program prints its table, its commands run."""

import re
import shlex
from pathlib import Path

import pytest

import main

ROOT = Path(main.__file__).resolve().parent
PAGE = (ROOT / "docs" / "sparse_files.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| (?P<ratio>[\d.]+)% \| (?P<top1>[\d.]+)% \| (?P<sizes>[\d, |]+) \|$", re.M)
TINY = [
    "--nb_epochs=0.1",
    "--tflite_max_gap=1",
    "--tflite_min_agreement=0",
    "--nb_repts=2",
    "--tflite=int8",
]


def rows(text):
    return {
        float(row["ratio"]): (
            float(row["top1"]),
            [int(size.replace(",", "")) for size in row["sizes"].split("|")],
        )
        for row in ROW.finditer(text)
    }


def test_the_program_prints_the_table(capsys):
    (block,) = re.findall(r"^```python[^\n]*\n(.*?)^```$", PAGE, re.M | re.S)
    exec(compile(block, "docs/sparse_files.md", "exec"), {"__name__": "example"})
    found, written = rows(capsys.readouterr().out), rows(PAGE)
    assert set(found) == set(written) == {0.0, 93.75}
    for ratio, (top1, sizes) in found.items():
        assert top1 == pytest.approx(written[ratio][0], abs=4)  # of 397 images
        assert sizes == pytest.approx(written[ratio][1], rel=0.03)


def test_the_commands_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (block,) = re.findall(r"^```bash\n(.*?)^```$", PAGE, re.M | re.S)
    (run,) = (shlex.split(line)[2:] for line in block.replace("\\\n", "").splitlines())
    assert main.run([*run, *TINY]) == 0
    assert re.search(r"^ethos-u55-128 .* cycles", capsys.readouterr().out, re.M)
