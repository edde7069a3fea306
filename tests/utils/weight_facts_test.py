"""Bits and zeros of kernels that are quantized here in the usual ways."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from utils.weight_facts import bits, kernels, scattered_zeros, sparsity


def kernel(shape=(3, 3, 16, 24), dtype=np.float32, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def symmetric(values, num_bits, axis=None):
    """Round to a symmetric grid, one scale per tensor or per slice along an axis."""
    axes = None if axis is None else tuple(i for i in range(values.ndim) if i != axis)
    scale = np.abs(values).max(axis=axes, keepdims=True) / (2 ** (num_bits - 1) - 1)
    return (np.round(values / scale) * scale).astype(values.dtype)


@pytest.mark.parametrize("num_bits", [2, 3, 4, 6, 8, 10])
@pytest.mark.parametrize("axis", [None, 3])
def test_symmetric_grids(num_bits, axis):
    assert bits([symmetric(kernel(), num_bits, axis), np.zeros(24)]) == num_bits


@pytest.mark.parametrize("num_bits", [4, 8])
def test_grids_with_an_offset(num_bits):
    values = kernel() + 0.3
    step = np.float32((values.max() - values.min()) / (2**num_bits - 1))
    quantized = np.round((values - values.min()) / step) * step + values.min()
    assert bits([quantized.astype(np.float32)]) == num_bits


def test_depthwise_kernels_have_a_scale_per_input_channel():
    assert bits([symmetric(kernel((5, 5, 32, 1)), 8, axis=2)]) == 8
    assert bits([symmetric(kernel((3, 3, 32, 1)), 6, axis=2)]) == 6
    assert bits([symmetric(kernel((3, 3, 32, 1)), 2, axis=2)]) == 2


def test_codebooks():
    generator = np.random.default_rng(0)
    shared = generator.normal(size=16)[generator.integers(0, 16, (40, 50))]
    assert bits([shared.astype(np.float32)]) == 4
    own = np.stack([np.sort(generator.normal(size=8)) for _ in range(50)])
    codes = generator.integers(0, 8, (64, 50))
    assert bits([np.take_along_axis(own.T, codes, axis=0).astype(np.float32)]) == 3


@pytest.mark.parametrize(
    "shape", [(3, 3, 16, 24), (3, 3, 32, 1), (1, 1, 3, 8), (10, 4), (4, 1), (1, 1), (512, 10)]
)
@pytest.mark.parametrize("seed", range(3))
def test_any_floats_need_their_format(shape, seed):
    assert bits([kernel(shape, seed=seed)]) == 32


@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
def test_zeros_are_not_few_levels(share):
    values = kernel((64, 100))
    values[np.random.default_rng(1).random(values.shape) < share] = 0.0
    assert bits([values]) == 32
    assert sparsity([values, np.ones(100)]) == pytest.approx(share, abs=0.02)


def test_sparse_and_quantized():
    values = symmetric(kernel((64, 100)), 4)
    values[np.random.default_rng(1).random(values.shape) < 0.8] = 0.0
    assert bits([values]) == 4


def test_number_formats_and_layers_without_kernels():
    assert bits([kernel(dtype=np.float16)]) == 16
    assert bits([np.zeros((3, 3), np.float32)]) == 1
    assert (bits([np.ones(8)]), sparsity([np.ones(8)])) == (None, None)
    assert kernels([np.ones((2, 2), np.int32), np.ones(3), np.ones((1, 2))])[0].shape == (1, 2)


def test_the_kernel_that_needs_most_counts():
    assert bits([symmetric(kernel(), 4), kernel()]) == 32


def test_zeros_of_whole_channels_are_not_scattered():
    kernel = np.ones((3, 3, 4, 5))
    kernel[..., 1, :] = kernel[..., 2] = 0.0  # an input and an output
    assert scattered_zeros([kernel]) == 0.0
    kernel[0, 0, 0, 0] = kernel[2, 1, 3, 4] = 0.0
    assert scattered_zeros([kernel, np.ones((4, 5)), np.zeros(7)]) == 2 / (180 + 20)
    assert scattered_zeros([np.zeros((4, 4))]) == 0.0
    assert scattered_zeros([np.zeros(3)]) is None


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_scattered_zeros_are_zeros(seed, share):
    rng = np.random.default_rng(seed)
    kernel = np.where(rng.random((2, 3, 4)) < share, 0.0, rng.normal(size=(2, 3, 4)))
    found = sum(
        kernel[a, i, o] == 0 and kernel[:, i].any() and kernel[..., o].any()
        for a in range(2)
        for i in range(3)
        for o in range(4)
    )
    assert scattered_zeros([kernel]) == found / 24
