"""The page about devices: its command, then its loop over the int8 file that it wrote."""

import re
import shlex
from pathlib import Path

import main

ROOT = Path(main.__file__).resolve().parent
PAGE = (ROOT / "docs" / "devices.md").read_text(encoding="utf-8")


def test_the_loop_runs_the_file(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (command,) = re.findall(r"^```bash\n(.*?)^```$", PAGE, re.M | re.S)
    _, script, *flags = shlex.split(command)
    assert script == "main.py"
    assert main.run([*flags, "--tflite=int8", "--nb_repts=1", "--nb_repts_warmup=0"]) == 0
    capsys.readouterr()
    (block,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.M | re.S)
    exec(compile(block, "docs/devices.md", "exec"), {})
    assert re.fullmatch(r"class \d label 8\n", capsys.readouterr().out)
