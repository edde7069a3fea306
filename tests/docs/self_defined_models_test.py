"""Every block of the page about own models, in order: Python blocks are files, bash blocks run."""

import re
from pathlib import Path

import pytest

import nets
from nets import load_helper_class
from tests.docs.blocks import call, calls_of

ROOT = Path(nets.__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "self_defined_models.md"
BLOCK = re.compile(r'^``` (python title="(?P<file>[^"]+)"|bash)\n(?P<text>.*?)^```$', re.M | re.S)
BLOCKS = list(BLOCK.finditer(PAGE.read_text()))
FILES = {block["file"]: block["text"] for block in BLOCKS if block["file"]}
COMMANDS = [block["text"] for block in BLOCKS if not block["file"]]
HELPERS = [name for name in FILES if "_at_" in name]


@pytest.fixture
def folder(checkout):
    """A folder that looks like the checkout, with the page's files in it."""
    for name, text in FILES.items():
        (checkout / name).write_text(text)
    return checkout


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
    (arguments,) = calls_of(command, folder)
    call(arguments, folder, exports=True)
    assert list((folder / "runs").glob("*/model_float32.tflite"))
