"""The page about targets: its table is the code's, its commands run, its figures come out."""

import json
import re
import shlex
from pathlib import Path

import pytest

import main
from tools.benchmark import estimate_ethos_u
from utils.export.targets import TARGETS, markdown_table
from utils.export.targets_cost import KNOWN

ROOT = Path(main.__file__).resolve().parent
PAGE = (ROOT / "docs" / "targets.md").read_text(encoding="utf-8")
NUMBER = r"([\d.]+ (?:k|M|B|kB|MB))"
FIGURE = re.compile(rf"{NUMBER} (cycles|memory|weights) +{NUMBER} \2$", re.M)
# What training does to the weights moves their encoding a little, and nothing else of the figures.
TINY = [
    "--nb_epochs=0.1,0",
    "--cpr_nb_smpls=100",
    "--tflite=int8",
    "--tflite_max_gap=1",
    "--tflite_min_agreement=0",
    "--nb_repts=2",
    "--nb_repts_warmup=0",
]
UNITS = {"B": 1, "kB": 1e3, "k": 1e3, "M": 1e6}


def figures(text):
    """Figures of the terminal's table: name -> (before, after)."""
    return {
        name: tuple(float(n) * UNITS[unit] for n, unit in map(str.split, (before, after)))
        for before, name, after in FIGURE.findall(text)
    }


def test_the_table_is_the_codes():
    written = re.search(r"<!-- targets -->\n\n(.*?)\n\n<!-- /targets -->", PAGE, re.S)
    assert written[1] == markdown_table(), "paste what utils.export.targets.markdown_table() gives"


def test_the_page_says_where_budgets_are_known():
    for kind, tools in KNOWN.items():
        able = [name for name, row in TARGETS.items() if row.runs in tools]
        (row,) = re.findall(rf"^\| `{kind}:.*$", PAGE, re.M)
        said = "tflm" in row and "cortex-m" in row
        assert said == ("tflm" in able and "cortex-m" in able)


@pytest.fixture(scope="module")
def carried_out(tmp_path_factory):
    """Carry out the page's blocks in one folder; gives what was printed."""
    folder, printed = tmp_path_factory.mktemp("page"), []
    blocks = re.findall(r"^``` ?(bash|python)\n(.*?)^```$", PAGE, re.M | re.S)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for kind, text in blocks:
            if kind == "python":
                exec(compile(text, "docs/targets.md", "exec"), {})
                continue
            for line in text.replace("\\\n", "").splitlines():
                _, script, *arguments = shlex.split(line)
                if script == "main.py":
                    assert main.run([*arguments, *TINY]) == 0
                else:
                    assert estimate_ethos_u.main(arguments) == 0
                printed.append(script)
    return folder, printed


def test_the_commands_run(carried_out):
    folder, printed = carried_out
    assert printed == ["main.py", "tools/benchmark/estimate_ethos_u.py"]
    names = {path.name for path in (folder / "runs" / "npu").iterdir()}
    assert {"model_int8.tflite", "model_int8.h", "model_int8.cc"} < names
    assert "model_before_int8.cc" not in names


def test_its_figures_come_out(carried_out):
    """Before and after, as the report has them; what the weights are worth moves little."""
    folder, _ = carried_out
    document = json.loads((folder / "runs" / "npu" / "report.json").read_text(encoding="utf-8"))
    written = figures(PAGE)
    by_network = {file["network"]: file for file in document["files"] if file["kind"] == "int8"}
    files = [by_network[name]["on_device"] for name in ("before", "after")]
    fields = {"cycles": "cycles", "memory": "sram_bytes", "weights": "encoded_bytes"}
    found = {name: [file[field] for file in files] for name, field in fields.items()}
    assert set(written) == set(found)
    for name, pair in found.items():
        assert list(written[name]) == pytest.approx(pair, rel=0.05), name
        assert pair[1] < pair[0]
