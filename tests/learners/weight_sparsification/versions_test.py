import numpy as np
import pytest

from learners.kernels.layers import KernelLayer
from learners.kernels.tables import Moments
from learners.sparsity.masks import parse_granularity
from learners.weight_sparsification.versions import SHARES, SparseVersions

LAYER = KernelLayer(
    name="fc", node="fc", layer="fc", weights=("kernel",), shapes=((16, 10),), out_axes=(-1,)
)


@pytest.mark.parametrize("text", ["element", "1x4", "2x1"])
def test_choices_are_whole_tiles_and_one_is_right_on_the_ratio(text):
    grain = parse_granularity(text)
    kernel = np.ones((16, 10))
    found = SparseVersions(grain, 0.775).choices(LAYER, kernel)
    assert list(found) == sorted(set(found)) and found[-1] == 160
    assert all(count % grain.unit == 0 and count >= grain.unit for count in found)
    assert 36 in found  # (1 - 0.775) 160
    assert len(found) <= len(SHARES) + 1


@pytest.mark.parametrize("sampled", [True, False])
def test_every_choice_has_a_kernel_of_that_many_weights(sampled):
    rng = np.random.default_rng(0)
    x, kernel = rng.normal(size=(50, 16)), rng.normal(size=(16, 10)).astype(np.float32)
    moments = Moments(x.T @ x, x.T @ x @ kernel, np.ones(10), 1.0) if sampled else None
    method = SparseVersions(parse_granularity("element"), 0.75)
    versions = dict(method.versions(LAYER, kernel, moments))
    choices = list(method.choices(LAYER, kernel))
    assert sorted(versions) == (choices if sampled else choices[:-1])
    for count, version in versions.items():
        assert np.count_nonzero(version) == count
        if not sampled:
            kept = version != 0
            assert np.abs(kernel[kept]).min() >= np.abs(kernel[~kept]).max()
