"""The blocks of the page about export run."""

import re
import subprocess
from pathlib import Path

import pytest

import utils

ROOT = Path(utils.__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "export.md").read_text(encoding="utf-8")


@pytest.fixture
def folder(tmp_path):
    """A folder that looks like the checkout, so that `runs/` is made elsewhere."""
    for path in ROOT.iterdir():
        if path.name not in ("runs", "logs", ".git"):
            (tmp_path / path.name).symlink_to(path)
    return tmp_path


def test_commands_run(folder):
    commands = re.findall(r"^``` bash\n(.*?)^```$", PAGE, re.M | re.S)
    done = subprocess.run(
        ["bash", "-euc", "\n".join(commands)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    made = {path.name for path in (folder / "runs" / "export").rglob("*.tflite")}
    before = {"model_before_float32.tflite", "model_before_int8.tflite"}
    assert made - before == {"model_float32.tflite", "model_dynamic.tflite", "model_int8.tflite"}
    assert (folder / "runs" / "export" / "float_io" / "model_int8.tflite").exists()


def test_python_runs(capsys):
    (block,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.M | re.S)
    exec(compile(block, "docs/export.md", "exec"), {})
    assert re.fullmatch(r"int8: \d+ bytes, error 0\.0\d\d\n", capsys.readouterr().out)
