"""What `uniform` adds to the shared recipe: its grids. (The recipe: `low_bits/learner_test.py`.)"""

import numpy as np
import pytest

from learners.kernels.layers import KernelLayer
from learners.uniform_quantization.config import UniformQuantConfig
from learners.uniform_quantization.learner import UniformQuantLearner

LAYER = KernelLayer(
    name="fc", node="fc", layer="fc", weights=("kernel",), shapes=((64, 2),), out_axes=(-1,)
)


@pytest.mark.parametrize(("grid", "least"), [("affine", 0.0), ("symmetric", None)])
def test_the_grid_of_the_flag(grid, least):
    """Weights that are all positive: an affine grid begins at 0, a symmetric one far below."""
    kernel = np.random.default_rng(0).uniform(0.0, 1.0, (64, 2))
    coding = UniformQuantLearner.coding_by(UniformQuantConfig(grid=grid))
    code = coding.fit(LAYER, kernel, 3, None)
    rows, outputs = np.indices(kernel.shape)
    far_below = code.nearest(np.full(kernel.shape, -9.0), rows, outputs)
    if least is None:
        assert (far_below < -0.3).all()
    else:
        np.testing.assert_allclose(far_below, least, atol=1e-9)
    assert np.unique(code.nearest(kernel, rows, outputs)).size <= 8


def test_one_grid_for_the_layer_or_one_for_each_output():
    kernel = np.random.default_rng(1).normal(size=(64, 2)) * [1.0, 20.0]
    rows, outputs = np.indices(kernel.shape)
    counts = {}
    for use_buckets in (False, True):
        coding = UniformQuantLearner.coding_by(UniformQuantConfig(use_buckets=use_buckets))
        code = coding.fit(LAYER, kernel, 3, None)
        counts[use_buckets] = np.unique(code.nearest(kernel, rows, outputs)[:, 0]).size
    assert counts[False] <= 2 < counts[True]
