"""What the pages say is true: examples run, lists of flags are the code's, links lead somewhere.

In a fenced block of Python or bash every line is carried out, in the order of the page and in one
folder per page: Python with a title is written to a file of that name, other Python runs, commands
of Flowpress run with the tiny settings of `blocks.py`. What cannot run in a test (installation,
data that must be there) stands in the pages as an indented block. Pages with a test of their own
beside this one are carried out there.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import learners
import main
import nets
from tests.docs.blocks import call, calls_of
from tools.docs import flag_lists

ROOT = Path(main.__file__).resolve().parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
NAMES = [page.relative_to(ROOT).as_posix() for page in PAGES]
HERE = Path(__file__).parent
CARRIED_OUT = [page for page in PAGES if not (HERE / f"{page.stem}_test.py").exists()]
BLOCK = re.compile(
    r'^``` ?(?P<kind>\w*)(?: title="(?P<file>[^"]+)")?\n(?P<text>.*?)^```$', re.M | re.S
)
LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")


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
