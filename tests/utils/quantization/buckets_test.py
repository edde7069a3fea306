"""Sizes of buckets are found again, whatever they are."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from utils.quantization.buckets import bucket_sizes
from utils.quantization.coding import encode
from utils.quantization.slicing import Slicing


@given(
    size=st.integers(50, 1500),
    bits=st.integers(2, 8),
    on_grid=st.booleans(),
    kept=st.sampled_from([1.0, 0.4]),
    seed=st.integers(0, 1000),
)
@settings(deadline=None, max_examples=60)
def test_the_size_of_the_buckets_is_among_the_guesses(size, bits, on_grid, kept, seed):
    rng = np.random.default_rng(seed)
    if not on_grid:  # one bucket must show the values of its codebook
        bits, size, kept = min(bits, 3), 300 + size, 1.0
    parts = []
    for _ in range(3):
        steps = rng.integers(-(2 ** (bits - 1)), 2 ** (bits - 1), size)
        values = rng.normal(size=2**bits).astype(np.float32)
        part = np.float32(rng.uniform(0.01, 0.1)) * steps if on_grid else values[steps]
        parts.append(part.astype(np.float32) * (rng.random(size) < kept))
    kernel = np.concatenate(parts)
    if parts[0][-8:].any() and parts[1][:8].any():
        assert size in bucket_sizes(kernel.astype(np.float32))


def test_ordinary_floats_suggest_none():
    rng = np.random.default_rng(0)
    assert bucket_sizes(rng.normal(size=(3, 3, 64, 64)).astype(np.float32)) == ()
    assert bucket_sizes(np.zeros((40, 40), np.float32)) == ()
    assert bucket_sizes(np.zeros((0, 4), np.float32)) == ()


@pytest.mark.parametrize("size", [100, 1000])
def test_a_kernel_takes_its_bits_whatever_its_buckets_are(size):
    rng = np.random.default_rng(0)
    kernel = rng.integers(-8, 8, 9216).astype(np.float32)
    scales = rng.uniform(0.01, 0.1, 9216 // size + 1).astype(np.float32)
    kernel *= np.repeat(scales, size)[:9216]
    coding, content = encode(kernel.reshape(3, 3, 32, 32))
    assert coding.slicing == Slicing(bucket=size)
    assert len(content) == pytest.approx(9216 / 2 + 4 * scales.size, rel=0.02)
