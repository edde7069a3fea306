import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils.quantization import bit_packing
from utils.quantization.bit_packing import pack_bits, packed_bytes, unpack_bits, width_for


@st.composite
def indices_of_a_width(draw):
    width = draw(st.integers(1, 8))
    return draw(st.lists(st.integers(0, 2**width - 1), max_size=40)), width


def by_text(indices, width, order):
    """The same in other words: bits as characters."""
    text = "".join(f"{index:0{width}b}"[:: 1 if order == "big" else -1] for index in indices)
    text += "0" * (-len(text) % 8)
    parts = [text[start : start + 8] for start in range(0, len(text), 8)]
    return bytes(int(part if order == "big" else part[::-1], 2) for part in parts)


@given(indices_of_a_width(), st.sampled_from(["little", "big"]))
def test_packs_as_bits_written_out_and_reads_them_back(case, order):
    indices, width = case
    packed = pack_bits(np.array(indices, np.uint8), width, order)
    assert packed == by_text(indices, width, order)
    assert len(packed) == packed_bytes(len(indices), width)
    assert unpack_bits(packed, len(indices), width, order).tolist() == indices


@pytest.mark.parametrize("width", range(1, 9))
def test_blocks_leave_no_seam(width, monkeypatch):
    indices = np.random.default_rng(width).integers(0, 2**width, 100)
    whole = pack_bits(indices, width)
    monkeypatch.setattr(bit_packing, "_BLOCK", 16)
    assert pack_bits(indices, width) == whole
    np.testing.assert_array_equal(unpack_bits(whole, 100, width), indices)


def test_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match=r"of 3 bits must be in \[0, 8\). Received: 0 to 8"):
        pack_bits(np.array([0, 8]), 3)
    with pytest.raises(ValueError, match=r"Received: -1 to 0"):
        pack_bits(np.array([0, -1]), 3)
    with pytest.raises(ValueError, match=r"`width` must be 1 to 8 bits. Received: 9"):
        pack_bits(np.array([0]), 9)
    with pytest.raises(ValueError, match=r"3 indices of 4 bits take 2 bytes. Received: 3"):
        unpack_bits(b"abc", 3, 4)
    with pytest.raises(ValueError, match=r"must be 1 to 256. Received: 257"):
        width_for(257)
