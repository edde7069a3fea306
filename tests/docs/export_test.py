"""The blocks of the page about export run."""

import re
from pathlib import Path

import utils
from tests.docs.blocks import call, calls_of

ROOT = Path(utils.__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "export.md").read_text(encoding="utf-8")


def test_commands_run(checkout):
    commands = re.findall(r"^``` bash\n(.*?)^```$", PAGE, re.M | re.S)
    calls = calls_of("\n".join(commands), checkout)
    assert len(calls) == 5
    for arguments in calls:
        if arguments[0] == "-c":
            exec(compile(arguments[1], "docs/export.md", "exec"), {})
        else:
            call(arguments, checkout, exports=True)
    made = {path.name for path in (checkout / "runs" / "export").rglob("*.tflite")}
    before = {"model_before_float32.tflite", "model_before_int8.tflite"}
    assert made - before == {"model_float32.tflite", "model_dynamic.tflite", "model_int8.tflite"}
    assert (checkout / "runs" / "export" / "float_io" / "model_int8.tflite").exists()


def test_python_runs(capsys):
    (block,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.M | re.S)
    exec(compile(block, "docs/export.md", "exec"), {})
    assert re.fullmatch(r"int8: \d+ bytes, error 0\.0\d\d\n", capsys.readouterr().out)
