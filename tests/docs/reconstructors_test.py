"""The page about other frameworks: its blocks run, and it shows the source that is written."""

import re
import shlex
from pathlib import Path

import pytest

import main
from tools.conversion import onnx_reconstructor, pytorch_reconstructor, tensorflow_reconstructor

PAGE = (Path(main.__file__).resolve().parent / "docs" / "reconstructors.md").read_text("utf-8")
COMMANDS = {
    "pytorch_reconstructor.py": pytorch_reconstructor.main,
    "onnx_reconstructor.py": onnx_reconstructor.main,
    "tensorflow_reconstructor.py": tensorflow_reconstructor.main,
}


def test_the_blocks_run(tmp_path, monkeypatch):
    for package in ("torch", "onnxruntime"):
        pytest.importorskip(package)
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "example"}
    for kind, text in re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.M | re.S):
        if kind == "python":
            exec(compile(text, "docs/reconstructors.md", "exec"), names)
            continue
        for line in text.splitlines():
            _, script, *flags = shlex.split(line)
            assert COMMANDS[Path(script).name](flags) == 0
    shown = (tmp_path / "made" / "small.py").read_text()
    indented = "".join(f"    {line}".rstrip() + "\n" for line in shown.splitlines())
    assert indented in PAGE
