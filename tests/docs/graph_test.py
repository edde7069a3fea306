"""The page about the graph: its example runs, its tables are the code's."""

import re
from pathlib import Path

import utils
from utils.graph import ops

PAGE = Path(utils.__file__).resolve().parent.parent / "docs" / "graph.md"


def test_example_runs():
    blocks = re.findall(r"^``` ?python\n(.*?)^```$", PAGE.read_text("utf-8"), re.M | re.S)
    assert any("assert " in block for block in blocks)  # they check themselves
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), {"__name__": "example"})


def test_table_of_ops_is_the_codes():
    written = re.search(r"<!-- ops -->\n\n(.*?)\n\n<!-- /ops -->", PAGE.read_text("utf-8"), re.S)
    assert written[1] == ops.markdown_table(), "paste what utils.graph.ops.markdown_table() gives"
