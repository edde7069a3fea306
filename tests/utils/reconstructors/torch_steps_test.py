import numpy as np
import pytest

from utils.reconstructors.ops_pointwise import BINARY as NAMES
from utils.reconstructors.target import Window
from utils.reconstructors.torch_steps import BINARY, _fits, _shares, _short, _torch_widths


def test_every_combination_has_a_line():
    assert {*BINARY} == {*NAMES}


def window(size, pads, strides=(1, 1)):
    return Window(size=size, strides=strides, dilation=(1, 1), pads=pads)


def test_what_a_pool_pads_itself():
    assert _fits(window((3, 2), [(1, 1), (0, 0)])) == (1, 0)
    assert _fits(window((3, 2), [(1, 1), (0, 1)])) == ()
    assert _fits(window((3, 3), [(2, 2), (0, 0)])) == ()  # more than half a window
    assert _fits(window((3, 3), "same")) == ()


@pytest.mark.parametrize("strides", [(1, 1), (2, 3)])
def test_means_leave_padding_out(strides):
    walk = window((3, 2), [(0, 1), (1, 0)], strides)
    found = _shares(walk, [5, 7])
    inside = np.pad(np.ones((5, 7)), [(0, 1), (1, 0)])
    counts = np.lib.stride_tricks.sliding_window_view(inside, (3, 2)).sum((-1, -2))
    np.testing.assert_allclose(found[0, 0], 6 / counts[:: strides[0], :: strides[1]])


def test_text_of_sizes():
    assert _short((2, 2)) == "2" and _short((2, 1)) == "(2, 1)"
    assert _torch_widths([(0, 0), (1, 0), (0, 0)]) == (0, 0, 1, 0)
