import numpy as np
import pytest

from tests.utils.export import devices
from utils.export.channel_padding import with_identity_convolutions
from utils.export.ethos_u import Target, estimate
from utils.export.flatbuffer import read_graph
from utils.export.runner import TFLiteRunner
from utils.export.tflite import convert
from utils.export.tflm import TFLMRunner


@pytest.fixture(scope="module")
def rewritten(shortcuts_file):
    return with_identity_convolutions(shortcuts_file)


def test_shortcuts_become_convolutions(shortcuts_file, rewritten):
    content, names = rewritten
    before, after = ([op.name for op in read_graph(c).operators] for c in (shortcuts_file, content))
    assert len(names) == 2
    assert before.count("PAD") == 2 and {"MAX_POOL_2D", "STRIDED_SLICE"} < set(before)
    assert not {"PAD", "MAX_POOL_2D", "STRIDED_SLICE"} & set(after)
    assert after.count("CONV_2D") == before.count("CONV_2D") + 2 == 5


def test_the_integers_are_the_same(shortcuts_file, rewritten):
    """By two interpreters, one with the kernels of XNNPACK, one with reference kernels."""
    samples = devices.noise((8, 8, 2), 50)
    both = [TFLiteRunner(content)(samples) for content in (shortcuts_file, rewritten[0])]
    np.testing.assert_array_equal(*both)
    assert np.unique(both[0]).size > 20
    inputs = TFLMRunner(shortcuts_file).random_inputs(8)
    rows = [TFLMRunner(content).run(inputs) for content in (shortcuts_file, rewritten[0])]
    np.testing.assert_array_equal(*rows)


def test_an_ethos_u_needs_fewer_cycles(shortcuts_file, rewritten):
    target = Target(accelerator="ethos-u55-128")
    before, after = (estimate(content, target) for content in (shortcuts_file, rewritten[0]))
    assert after.cycles < before.cycles and after.cpu_operators == ()


def test_other_paddings_stay(contents):
    assert with_identity_convolutions(contents["int8"]) == (contents["int8"], ())
    assert with_identity_convolutions(contents["float32"]) == (contents["float32"], ())


def test_a_file_for_an_ethos_u_has_them(rewritten):
    content = convert(
        devices.shortcuts(), "int8", [devices.noise((8, 8, 2))], target="ethos-u55-256"
    )
    assert [op.name for op in read_graph(content).operators] == [
        op.name for op in read_graph(rewritten[0]).operators
    ]
