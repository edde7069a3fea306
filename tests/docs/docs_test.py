"""What the pages say is true: examples run, lists of flags are the code's, links lead somewhere.

In a fenced block of Python or bash every line is carried out, in the order of the page and in one
folder per page: Python with a title is written to a file of that name, other Python runs, commands
of Flowpress run with the tiny settings of `_TINY`. What cannot run in a test (installation, data
that must be there) stands in the pages as an indented block. Pages with a test of their own beside
this one are carried out there.
"""

import json
import os
import re
import shlex
import stat
import subprocess
import sys
from pathlib import Path

import pytest

import learners
import main
import nets
from tools.benchmark import calc_inference_time
from tools.conversion import compile_model, export_tflite, quantize_model
from tools.docs import flag_lists
from tools.graph_tools import model_complexity, quantization_error, write_prune_dict

ROOT = Path(main.__file__).resolve().parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
NAMES = [page.relative_to(ROOT).as_posix() for page in PAGES]
HERE = Path(__file__).parent
CARRIED_OUT = [page for page in PAGES if not (HERE / f"{page.stem}_test.py").exists()]
BLOCK = re.compile(
    r'^``` ?(?P<kind>\w*)(?: title="(?P<file>[^"]+)")?\n(?P<text>.*?)^```$', re.M | re.S
)
LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")

# Later flags rule, so these are appended to the pages' commands.
_TINY = {
    "main.py": [
        "--nb_epochs=0.1",
        "--tflite=float32",
        "--tflite_max_gap=1",
        "--tflite_min_agreement=0",
        "--nb_repts=2",
        "--nb_repts_warmup=0",
    ],
    "channel": ["--cp_nb_batches=2", "--cp_nb_rlouts=3", "--cp_nb_rlouts_min=3"],
    "chn-pruned-rmt": ["--cpr_nb_smpls=100", "--cpr_nb_crops_per_smpl=2"],
    "chn-pruned-gpu": ["--cpg_nb_smpls=100", "--cpg_nb_iters_layer=20"],
    "dis-chn-pruned": [
        "--dcp_nb_smpls=100",
        "--dcp_nb_iters_block=2",
        "--dcp_nb_iters_layer=4",
    ],
    "filter-pruned": ["--fp_nb_smpls=100", "--tflite=none"],
    "soft-pruned": ["--sfp_thresholds=0.6,0.5", "--sfp_max_retrains=0", "--tflite=none"],
    # The widest layer would take most of the time of rounding.
    "uniform": ["--uql_nb_smpls=100", "--uql_skip_op_names=fc1"],
    "non-uniform": ["--nuql_nb_smpls=100", "--nuql_skip_op_names=fc1"],
    "full-prec,uniform": ["--nb_epochs=0.1,0"],
    "weight-sparse": ["--ws_nb_smpls=100", "--ws_nb_crops_per_smpl=2"],
    "full-prec,weight-sparse": ["--nb_epochs=0,0", "--ws_nb_smpls=100"],
    "full-prec,non-uniform": ["--nb_epochs=0.1,0"],
    "--uql_enbl_rl_agent": ["--uql_nb_rlouts=2", "--uql_nb_rlouts_min=2"],
    "full-prec,uniform-tf": ["--nb_epochs=0.1,0", "--uqtf_nb_smpls=100"],
    "full-prec,filter-pruned": ["--nb_epochs=0,2.1"],
    "full-prec,soft-pruned": ["--nb_epochs=0,0.1"],
    "tools/benchmark/calc_inference_time.py": ["--nb_repts=2", "--nb_repts_warmup=0"],
    "tools/conversion/export_tflite.py": ["--tflite_max_gap=1", "--tflite_min_agreement=0"],
    "tools/graph_tools/write_prune_dict.py": [],
    "tools/conversion/quantize_model.py": ["--nb_smpls_eval=50"],
    "tools/graph_tools/quantization_error.py": [],
    "tools/conversion/compile_model.py": ["--picture=none"],
    "tools/graph_tools/model_complexity.py": [],
}
_COMMANDS = {
    "main.py": main.run,
    "tools/benchmark/calc_inference_time.py": calc_inference_time.main,
    "tools/conversion/export_tflite.py": export_tflite.main,
    "tools/graph_tools/write_prune_dict.py": write_prune_dict.main,
    "tools/conversion/quantize_model.py": quantize_model.main,
    "tools/graph_tools/quantization_error.py": quantization_error.main,
    "tools/conversion/compile_model.py": compile_model.main,
    "tools/graph_tools/model_complexity.py": model_complexity.main,
}


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A folder that looks like the checkout, whose Python only notes how it is called."""
    for path in ROOT.iterdir():
        if path.name not in ("runs", "logs", "path.conf") and not path.name.startswith("."):
            (tmp_path / path.name).symlink_to(path)
    recorder = tmp_path / ".venv" / "bin" / "python"
    recorder.parent.mkdir(parents=True)
    recorder.write_text(
        f"#!{sys.executable}\nimport json, sys\n"
        f"open({str(tmp_path / 'calls')!r}, 'a').write(json.dumps(sys.argv[1:]) + '\\n')\n"
    )
    recorder.chmod(recorder.stat().st_mode | stat.S_IXUSR)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def calls_of(script, checkout):
    """Let bash carry out a block and tell the calls of Python in it."""
    notes = checkout / "calls"
    notes.write_text("")
    subprocess.run(["bash", "-euc", script], cwd=checkout, check=True)
    return [json.loads(line) for line in notes.read_text().splitlines()]


def _named(arguments):
    """Name the learners of a call, all of them as one list, and its flags."""
    pairs = [argument.partition("=")[::2] for argument in arguments]
    lists = [value for flag, value in pairs if flag == "--learner"]
    return {flag for flag, _ in pairs}.union(lists, *(value.split(",") for value in lists))


def call(arguments, checkout, *, exports):
    """Carry out a recorded call of Python in this process, with tiny settings."""
    script = os.path.relpath(arguments[0], checkout)
    argv = [*arguments[1:], *_TINY[script]]
    if script == "main.py" and not exports:
        argv += ["--tflite=none"]
    named = _named(arguments)
    for name in _TINY:  # in that order: what a list of learners needs comes last
        if name in named - {script}:
            argv += _TINY[name]
    assert _COMMANDS[script](argv) == 0, shlex.join(arguments)


@pytest.mark.parametrize("page", CARRIED_OUT, ids=lambda page: page.stem)
def test_blocks_run(page, checkout):
    names = {"__name__": "example"}
    blocks = list(BLOCK.finditer(page.read_text(encoding="utf-8")))
    exports = any(".tflite" in block["text"] for block in blocks)  # a later command reads files
    for block in blocks:
        if block["kind"] == "python" and block["file"]:
            (checkout / block["file"]).write_text(block["text"])
        elif block["kind"] == "python":
            exec(compile(block["text"], str(page), "exec"), names)
        elif block["kind"] == "bash":
            calls = calls_of(block["text"], checkout)
            assert calls, f"no command of Flowpress in:\n{block['text']}"
            for arguments in calls:
                call(arguments, checkout, exports=exports)


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_blocks_say_what_they_are(page):
    text = page.read_text(encoding="utf-8")
    kinds = [block["kind"] for block in BLOCK.finditer(text)]
    assert set(kinds) <= {"python", "bash", "json"}
    assert len(kinds) * 2 == len(re.findall(r"^```", text, re.M))


def headings(text):
    """Give the anchors of a page's headings."""
    outside = BLOCK.sub("", text)
    titles = re.findall(r"^#+ (.+)$", outside, re.M)
    words = (re.sub(r"[^\w\s-]", "", title.lower()).strip() for title in titles)
    return {re.sub(r"\s+", "-", word) for word in words}


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_links_lead_somewhere(page):
    for link in LINK.finditer(BLOCK.sub("", page.read_text(encoding="utf-8"))):
        target, _, anchor = link["target"].partition("#")
        if target.startswith(("https:", "http:", "mailto:")):
            continue
        file = (page.parent / target).resolve() if target else page
        assert file.is_file(), f"{page.name}: {link['target']}"
        if anchor:
            assert anchor in headings(file.read_text(encoding="utf-8")), link["target"]


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_targets_of_make_exist(page):
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
    text = page.read_text(encoding="utf-8")
    named = set(re.findall(r"(?:`|^    )make ([a-z]+)", text, re.M))
    assert named <= targets


@pytest.mark.parametrize("page", flag_lists.pages(), ids=lambda page: page.stem)
def test_lists_of_flags_are_the_codes(page):
    text = page.read_text(encoding="utf-8")
    assert flag_lists.updated(text) == text, "run tools/docs/flag_lists.py"


@pytest.mark.parametrize("name", learners.LEARNERS)
def test_every_learner_has_a_page(name):
    row = re.compile(rf"^\| \[`{name}`\]\((?P<page>[\w/]+\.md)\) \|", re.M)
    for page in (ROOT / "README.md", ROOT / "docs" / "index.md"):
        found = row.search(page.read_text(encoding="utf-8"))
        assert found, f"{page.name} has no row for {name}"
        assert (page.parent / found["page"]).read_text(encoding="utf-8").startswith(f"# `{name}`")


def test_every_network_is_in_the_flags():
    text = (ROOT / "docs" / "flags.md").read_text(encoding="utf-8")
    titles = ", ".join(re.findall(r"^### (.+)$", text, re.M)).split(", ")
    assert set(titles) == set(nets.HELPERS)


def test_site_builds(tmp_path):
    pytest.importorskip("mkdocs")
    pytest.importorskip("material")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "not included in the nav" not in done.stderr
    page = (tmp_path / "site" / "cpr_learner" / "index.html").read_text(encoding="utf-8")
    assert "--cpr_prune_ratio" in page
