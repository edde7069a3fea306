"""Counted bytes against the writers of the files."""

import zlib

import numpy as np
import pytest

from learners.auto.offers import Offer, Option
from learners.auto.sizes import as_int8, kernel_bytes
from learners.auto.solving import Grids, on_grid
from learners.kernels.layers import KernelLayer
from utils.export.decode_tables import encode_weights
from utils.quantization.coding import encode

LAYER = KernelLayer(
    name="conv",
    node="conv",
    layer="conv",
    weights=("kernel",),
    shapes=((3, 3, 16, 24),),
    out_axes=(-1,),
)


def offer(kind, *, deflated=False):
    return Offer(kind=kind, deflated=deflated, grid="affine", options=())


@pytest.fixture
def kernel(rng):
    return rng.normal(size=(144, 24))


def rounded(kernel, bits, kind="affine"):
    code = Grids(kind).fit(LAYER, kernel, bits, None)
    rows, outputs = np.indices(kernel.shape)
    return on_grid(LAYER, code, code.nearest(kernel, rows, outputs))


@pytest.mark.parametrize("bits", [2, 3, 4])
def test_packed(kernel, bits):
    values = rounded(kernel, bits)
    stored = sum(encode(array)[0].num_bytes for array in LAYER.tensors(values).values())
    assert kernel_bytes(values, LAYER, offer("fpq"), Option(bits=bits)) == pytest.approx(
        stored, rel=0.05
    )


def test_packed_with_zeros(kernel, rng):
    values = rounded(kernel, 3) * (rng.random(kernel.shape) < 0.3)
    stored = sum(encode(array)[0].num_bytes for array in LAYER.tensors(values).values())
    counted = kernel_bytes(values, LAYER, offer("fpq"), Option(bits=3))
    assert counted == pytest.approx(stored, rel=0.1)
    assert counted < kernel_bytes(rounded(kernel, 3), LAYER, offer("fpq"), Option(bits=3))


@pytest.mark.parametrize("bits", [2, 3, 7, 8])
def test_decoded(kernel, bits):
    values = rounded(kernel, bits)
    counted = kernel_bytes(values, LAYER, offer("tflm"), Option(bits=bits))
    stored = encode_weights(as_int8(values), 0)
    assert counted <= values.size
    if bits == 3:
        assert stored is not None
        assert counted == pytest.approx(stored.num_bytes, rel=0.05)


def test_int8(kernel):
    values = rounded(kernel, 2, "symmetric")
    assert kernel_bytes(values, LAYER, offer("int8"), Option(bits=2)) == values.size
    deflated = kernel_bytes(values, LAYER, offer("int8", deflated=True), Option(bits=2))
    assert deflated == len(zlib.compress(as_int8(values).tobytes(), 9)) < values.size / 2
    assert set(np.unique(as_int8(values))) <= {-127, 0, 127}
