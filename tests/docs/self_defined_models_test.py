"""Every block of the page about own models, in order: Python blocks are files, bash blocks run."""

import re
import subprocess
from pathlib import Path

import pytest

import nets
from nets import load_helper_class

ROOT = Path(nets.__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "self_defined_models.md"
BLOCK = re.compile(r'^``` (python title="(?P<file>[^"]+)"|bash)\n(?P<text>.*?)^```$', re.M | re.S)
BLOCKS = list(BLOCK.finditer(PAGE.read_text()))
FILES = {block["file"]: block["text"] for block in BLOCKS if block["file"]}
COMMANDS = [block["text"] for block in BLOCKS if not block["file"]]
HELPERS = [name for name in FILES if "_at_" in name]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder that looks like the checkout, with the page's files in it."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("main.py", "scripts", ".venv"):
        (folder / name).symlink_to(ROOT / name)
    for name, text in FILES.items():
        (folder / name).write_text(text)
    return folder


def test_no_block_is_left_out():
    assert len(BLOCKS) == PAGE.read_text().count("\n``` ")
    assert len(HELPERS) == 7


@pytest.mark.parametrize("name", HELPERS)
def test_helper_makes_a_network_and_batches(folder, name):
    helper = load_helper_class(str(folder / name))()
    model = helper.build_model()
    images, labels = next(iter(helper.build_dataset_train()))
    loss, metrics = helper.calc_loss(labels, model(images), model.trainable_variables)
    assert float(loss) > 0
    assert 0 <= float(metrics["accuracy"]) <= 1
    assert (helper.model_name + "_at_" in name) and sum(1 for _ in helper.build_dataset_eval())


@pytest.mark.parametrize("command", COMMANDS, ids=lambda text: text.split()[1])
def test_command_runs(folder, command):
    done = subprocess.run(
        ["bash", "-euc", command], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
