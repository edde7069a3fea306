import pytest

from tests.utils.flags_test import Config, Run, Teaching
from utils.flag_texts import help_text, in_python, markdown_list
from utils.flags import describe

SPECS = {spec.name: spec for cls in (Config, Run, Teaching) for spec in describe(cls)}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Add --teach, or leave it out.", "Add teach=True, or leave it out."),
        ("Give another --ws_path.", "Give another ws_path."),
        ("with --teach=False or --seed=3: then", "with teach=False or seed=3: then"),
        (
            "--budget=flops:0.5,bytes:3 and (--share=0.5)",
            'budget="flops:0.5,bytes:3" and (share=0.5)',
        ),
        ("give --budget=flops:0.5.", 'give budget="flops:0.5".'),
        ("--ws_path was a, is b", "ws_path was a, is b"),
        ("--unknown=1 and `seed` stay", "--unknown=1 and `seed` stay"),
        (
            "x failed: E: why. (net.py, line 3; traceback: --debug)",
            "x failed: E: why. (net.py, line 3)",
        ),
        ("x failed: E: why. (traceback: --debug)", "x failed: E: why."),
    ],
)
def test_messages_in_python(text, wanted):
    assert in_python(text, SPECS) == wanted


def test_help_text():
    text = help_text({"Pruning": [Config], "Run": [Run]})
    assert text.startswith(
        "Pruning\n-------\n  --ws_prune_ratio  Fraction removed. [default 0.75; "
    )
    assert "--ws_nb_rlouts  Rollouts. [default 200; in [1, inf); rollouts]" in text
    assert "--ws_old  Old. (no effect: nothing depends on it.) [default 1]" in text
    assert "--ws_path  A path | or none." in text
    assert "one of 'a', 'b'" in text


def test_markdown_list():
    rows = markdown_list(Config).splitlines()
    assert len(rows) == len(describe(Config))
    assert "- **`--ws_path`** (a path; default `None`): A path | or none." in rows
    assert "Also written ws_nb_steps, ws_count." in rows[4]
    assert "No effect: nothing depends on it." in rows[6]
