import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils.frontends.parts.windows import Windows, automatic_pads, counts, pairs, same_pads
from utils.frontends.source import NotConvertible


def windows(size, kernel, stride=1, pad=(0, 0), dilation=1, ceil=False, is_open=False):
    return Windows(
        sizes=(size,), is_open=(is_open,), kernel=(kernel,), strides=(stride,),
        dilations=(dilation,), pads=(tuple(pad),), ceil=ceil,
    )  # fmt: skip


@st.composite
def any_windows(draw):
    kernel, dilation = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    reach = (kernel - 1) * dilation + 1
    pads = (draw(st.integers(0, kernel - 1)), draw(st.integers(0, kernel - 1)))
    size = draw(st.integers(reach, 20))
    return windows(size, kernel, draw(st.integers(1, 4)), pads, dilation)


@given(any_windows())
def test_windows_are_those_that_fit(found):
    before, after = found.pads[0]
    starts = range(-before, found.sizes[0] + after - found.reach[0] + 1, found.strides[0])
    assert found.outputs == (len(starts),)


@given(any_windows())
def test_same_padding_gives_a_window_per_stride(found):
    size, stride = found.sizes[0], found.strides[0]
    same = windows(size, found.kernel[0], stride, same_pads(found)[0], found.dilations[0])
    assert same.outputs == (-(-size // stride),)
    assert same.is_same() or same.pads[0] == (0, 0)


@given(any_windows(), st.booleans())
def test_counts_are_those_of_a_loop(found, counts_padding):
    found = windows(found.sizes[0], found.kernel[0], found.strides[0], found.pads[0])
    before, after = found.pads[0]
    size = found.sizes[0]
    expected = []
    for place in range(found.outputs[0]):
        taps = [place * found.strides[0] - before + tap for tap in range(found.kernel[0])]
        low, high = (-before, size + after) if counts_padding else (0, size)
        expected.append(sum(low <= tap < high for tap in taps))
    np.testing.assert_array_equal(counts(found, counts_padding)[0], expected)


def test_ceil_mode_counts_windows_that_begin_inside():
    assert windows(7, 2, 2, ceil=True).outputs == (4,)
    assert windows(7, 2, 2, ceil=True).needed_pads() == ((0, 1),)
    assert windows(5, 1, 3, ceil=True).outputs == (2,)  # a third one would begin behind the end
    assert windows(6, 3, 2, (1, 1), ceil=True).needed_pads() == ((1, 2),)


def test_automatic_padding():
    found = windows(6, 3, 2)
    assert automatic_pads("SAME_UPPER", found) == ((0, 1),)
    assert automatic_pads("SAME_LOWER", found) == ((1, 0),)
    assert automatic_pads("VALID", windows(6, 3, pad=(1, 1))) == ((0, 0),)
    assert automatic_pads("NOTSET", windows(6, 3, pad=(1, 2))) == ((1, 2),)
    with pytest.raises(NotConvertible, match="open"):
        automatic_pads("SAME_UPPER", windows(6, 3, 2, is_open=True))


def test_nonsense_is_refused():
    with pytest.raises(NotConvertible, match="positive"):
        windows(6, 3, stride=0)
    with pytest.raises(NotConvertible, match="do not fit"):
        Windows(sizes=(6, 6), is_open=(False,) * 2, kernel=(3,), strides=(1,), dilations=(1,),
                pads=((0, 0),))  # fmt: skip
    with pytest.raises(NotConvertible, match="larger than its input"):
        _ = windows(2, 3).outputs
    with pytest.raises(NotConvertible, match="open"):
        windows(64, 3, 2, ceil=True, is_open=True).needed_pads()


def test_pairs():
    assert pairs([0, 1, 2, 3]) == ((0, 2), (1, 3))
