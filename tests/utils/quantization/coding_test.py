import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from utils.quantization import coding as module
from utils.quantization.coding import CODEBOOK, LEVELS, RAW, Coding, decode, encode
from utils.quantization.slicing import Slicing

SHAPE = (3, 3, 16, 32)
SIZE = 3 * 3 * 16 * 32
CHANNELS = Slicing(axes=(3,))


def grid(low, high, *, seed=0, shape=SHAPE):
    """Integers of which all occur."""
    generator = np.random.default_rng(seed)
    return generator.integers(low, high + 1, shape).astype(np.float32)


def scales(count, seed=1):
    return np.random.default_rng(seed).uniform(0.01, 0.1, count).astype(np.float32)


def tables(slices, entries):
    return np.random.default_rng(2).normal(size=(slices, entries)).astype(np.float32)


def thinned(kernel, kept):
    return kernel * (np.random.default_rng(3).random(kernel.shape) < kept)


def by_channel(table):
    picks = np.random.default_rng(4).integers(0, table.shape[1], (32, SIZE // 32))
    rows = np.take_along_axis(table, picks, 1)
    return np.moveaxis(rows.reshape(32, 3, 3, 16), 0, 3)


# What a kernel is, and its coding with the bytes of bitmap, table and indices.
CASES = {
    "4 bits, one scale": (
        grid(-7, 7) * scales(1)[0],
        (LEVELS, Slicing(), 4, None, 4 + SIZE * 4 // 8),
    ),
    "4 bits, a scale a channel": (
        grid(-7, 7) * scales(32),
        (LEVELS, CHANNELS, 4, None, 4 * 32 + SIZE * 4 // 8),
    ),
    "8 bits, a scale a channel": (
        grid(-127, 127) * scales(32),
        (LEVELS, CHANNELS, 8, None, 4 * 32 + SIZE),
    ),
    "3 bits, buckets of 128": (
        (grid(-4, 3).reshape(-1, 128) * scales(SIZE // 128)[:, None]).reshape(SHAPE),
        (LEVELS, Slicing(bucket=128), 3, None, 4 * (SIZE // 128) + SIZE * 3 // 8),
    ),
    "4 bits, zero points of channels": (
        (grid(0, 15) - np.arange(32, dtype=np.float32) % 16) * scales(32),
        (LEVELS, CHANNELS, 4, None, 6 * 32 + SIZE * 4 // 8),
    ),
    "depthwise": (
        grid(-7, 7, shape=(5, 5, 8, 4)) * scales(32).reshape(8, 4),
        (LEVELS, Slicing(axes=(2, 3)), 4, None, 4 * 32 + 800 * 4 // 8),
    ),
    "signs": (
        np.where(grid(0, 1) > 0, 1, -1) * scales(32),
        (LEVELS, CHANNELS, 1, None, 4 * 32 + SIZE // 8),
    ),
    "powers of two": (
        np.sign(grid(-1, 1)) * 2 ** grid(0, 2, seed=5) * scales(32),
        (LEVELS, CHANNELS, 3, None, 4 * 32 + SIZE * 3 // 8),
    ),
    "a table": (
        tables(1, 8)[0][grid(0, 7).astype(int)],
        (CODEBOOK, Slicing(), 3, None, 4 * 8 + SIZE * 3 // 8),
    ),
    "a table a channel": (
        by_channel(tables(32, 4)),
        (CODEBOOK, CHANNELS, 2, None, 4 * 4 * 32 + SIZE * 2 // 8),
    ),
    "floats": (
        np.random.default_rng(6).normal(size=SHAPE),
        (RAW, Slicing(), 0, None, 4 * SIZE),
    ),
}
# The same with zeros that a bitmap leaves out.
SPARSE = {
    "4 bits, a quarter left": (grid(-7, 7) * scales(32), LEVELS, 4, 4 * 32),
    "a table a channel, a quarter left": (by_channel(tables(32, 4)), CODEBOOK, 2, 4 * 4 * 32),
    "floats, a quarter left": (np.random.default_rng(6).normal(size=SHAPE), RAW, 32, 0),
}


def check(kernel, content, coding):
    found = decode(coding, content)
    assert found.dtype == kernel.dtype and found.shape == kernel.shape
    assert (found + np.float32(0)).tobytes() == (kernel + np.float32(0)).tobytes()
    assert len(content) == coding.num_bytes


@pytest.mark.parametrize("case", CASES)
def test_chooses_the_coding_that_the_kernel_was_made_with(case):
    kernel, (kind, slicing, width, nonzeros, num_bytes) = CASES[case]
    kernel = kernel.astype(np.float32)
    coding, content = encode(kernel)
    check(kernel, content, coding)
    assert (coding.kind, coding.slicing, coding.width) == (kind, slicing, width)
    assert coding.nonzeros == nonzeros and len(content) == num_bytes


@pytest.mark.parametrize("case", SPARSE)
def test_leaves_out_zeros_where_that_takes_fewer_bytes(case):
    kernel, kind, bits, table = SPARSE[case]
    kernel = thinned(kernel, 0.25).astype(np.float32)
    coding, content = encode(kernel)
    check(kernel, content, coding)
    left = np.count_nonzero(kernel)
    assert coding.kind == kind and coding.nonzeros == left
    assert len(content) == pytest.approx(SIZE / 8 + table + left * bits / 8, abs=8)


def test_a_grid_of_double_precision_keeps_its_scales():
    steps = np.random.default_rng(0).uniform(0.01, 0.1, 32)
    kernel = (grid(-7, 7) * steps).astype(np.float32)
    coding, content = encode(kernel)
    check(kernel, content, coding)
    assert coding.scale_dtype == "float64" and len(content) == 8 * 32 + SIZE * 4 // 8


def test_scales_of_float32_may_be_multiplied_in_float32():
    """The way of the format, one rounding of the exact product, is that of float32 numbers."""
    kernel = grid(-127, 127) * scales(32)
    coding, content = encode(kernel)
    found = np.frombuffer(content[: 4 * 32], np.float32)
    levels = np.array(coding.levels, np.float32)
    indices = np.frombuffer(content[4 * 32 :], np.uint8).reshape(SHAPE)
    np.testing.assert_array_equal(found * levels[indices], kernel)


def test_signed_zeros_are_zeros():
    kernel = grid(-8, 7) * scales(32)
    kernel[kernel == 0] *= np.where(grid(0, 1)[kernel == 0] > 0, -1, 1)
    coding, content = encode(kernel)
    assert coding.width == 4
    np.testing.assert_array_equal(decode(coding, content), kernel)


@given(
    arrays.arrays(
        np.float32,
        arrays.array_shapes(min_dims=1, max_dims=4, max_side=6),
        elements=st.one_of(
            st.sampled_from([0.0, -0.0, 0.25, -0.5, 0.1, 1e-40]), st.floats(width=32)
        ),
        fill=st.just(0.0),
    )
)
@settings(deadline=None)
def test_gives_any_array_back(kernel):
    coding, content = encode(kernel)
    found = decode(coding, content)
    np.testing.assert_array_equal(found, kernel)
    assert len(content) == coding.num_bytes <= kernel.nbytes


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int32", "int64", "float16", "float64"])
def test_other_numbers_are_kept_as_they_are(dtype):
    array = np.arange(7).astype(dtype)
    coding, content = encode(array)
    assert (coding.kind, coding.dtype) == (RAW, dtype)
    found = decode(coding, content)
    assert found.dtype == array.dtype and found.tolist() == array.tolist()


@pytest.mark.parametrize("shape", [(), (0, 3), (1,), (1, 1)])
def test_empty_and_single(shape):
    array = np.full(shape, 2.5, np.float32)
    coding, content = encode(array)
    np.testing.assert_array_equal(decode(coding, content), array)


def test_blocks_leave_no_seam(monkeypatch):
    kernel = thinned(grid(-7, 7) * scales(32), 0.3).astype(np.float32)
    coding, content = encode(kernel)
    monkeypatch.setattr(module, "_BLOCK", 100)
    np.testing.assert_array_equal(decode(coding, content), kernel)


def test_refuses_content_that_is_not_as_the_coding_says():
    coding, content = encode(grid(-3, 3) * scales(32))
    with pytest.raises(ValueError, match=r"has 5 bytes, its coding says 1856"):
        decode(coding, content[:5])
    with pytest.raises(ValueError, match=r"the index 6, with values for 6"):
        decode(dataclasses.replace(coding, levels=coding.levels[:6]), content)
    sparse = Coding(shape=(2, 4), nonzeros=2)
    with pytest.raises(ValueError, match=r"bitmap has 1 bits set, its coding says 2"):
        decode(sparse, b"\x01\0\0\0" + bytes(8))
