import numpy as np
import pytest

from tests.utils.frontends.mxnet.nodes import run
from utils.frontends.source import ConversionError

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(2, 4, 6, 7)).astype(np.float32)


def weights(*shape):
    return RANDOM.normal(size=shape).astype(np.float32)


def test_the_scale_of_batch_normalization_is_fixed_by_default():
    gamma, beta, mean = weights(3, 4)
    variance = np.abs(weights(4)) + 1
    normal = (X - mean[:, None, None]) / np.sqrt(variance + 1e-3)[:, None, None]
    made = run("BatchNorm", X, gamma, beta, mean, variance)
    np.testing.assert_allclose(made, normal + beta[:, None, None], atol=1e-5)
    made = run("BatchNorm", X, gamma, beta, mean, variance, fix_gamma=False)
    expected = normal * gamma[:, None, None] + beta[:, None, None]
    np.testing.assert_allclose(made, expected, atol=1e-5)


def test_both_conventions_of_pooling():
    base = {"kernel": (2, 2), "stride": (2, 2)}
    assert run("Pooling", X, **base).shape == (2, 4, 3, 3)
    made = run("Pooling", X, pooling_convention="full", **base)
    assert made.shape == (2, 4, 3, 4)
    np.testing.assert_allclose(made[..., 3], X[..., 6].reshape(2, 4, 3, 2).max(-1))
    total = run("Pooling", X, pool_type="sum", **base)
    average = run("Pooling", X, pool_type="avg", **base)
    np.testing.assert_allclose(total, 4 * average, rtol=1e-5)
    pooled = run("Pooling", X, pool_type="avg", global_pool=True, kernel=(1, 1))
    np.testing.assert_allclose(pooled, X.mean((2, 3), keepdims=True), atol=1e-6)


def windows_of(x, kernel, stride, pad, ends):
    """The windows [batch, channels, rows, columns, kernel, kernel] over a padded image."""
    wide = np.pad(x, [(0, 0), (0, 0), *((pad, pad + end) for end in ends)])
    return np.lib.stride_tricks.sliding_window_view(wide, (kernel, kernel), (2, 3))[
        :, :, ::stride, ::stride]  # fmt: skip


def test_sums_count_no_positions():
    for attrs, ends in (
        ({"pad": (1, 1)}, (0, 0)),
        ({"pad": (1, 1), "count_include_pad": False}, (0, 0)),
        ({"pad": (1, 1), "pooling_convention": "full"}, (1, 0)),
    ):
        made = run("Pooling", X, pool_type="sum", kernel=(3, 3), stride=(2, 2), **attrs)
        wanted = windows_of(X, 3, 2, 1, ends).sum((-1, -2))
        np.testing.assert_allclose(made, wanted, atol=1e-5)


def test_products_flatten_in_the_sources_order():
    kernel, bias = weights(5, 4 * 6 * 7), weights(5)
    made = run("FullyConnected", X, kernel, bias, num_hidden=5)
    np.testing.assert_allclose(made, X.reshape(2, -1) @ kernel.T + bias, atol=1e-4)
    kernel = weights(5, 7)
    made = run("FullyConnected", X, kernel, num_hidden=5, no_bias=True, flatten=False)
    np.testing.assert_allclose(made, X @ kernel.T, atol=1e-5)


def test_convolutions_and_their_transposes_have_the_sizes_of_mxnet():
    kernel = weights(6, 2, 3, 3)
    made = run("Convolution", X, kernel, kernel=(3, 3), num_filter=6, num_group=2, no_bias=True)
    assert made.shape == (2, 6, 4, 5)
    back = weights(4, 3, 4, 4)
    base = {"kernel": (4, 4), "stride": (2, 2), "num_filter": 3}
    assert run("Deconvolution", X, back, pad=(1, 1), **base).shape == (2, 3, 12, 14)
    assert run("Deconvolution", X, back, target_shape=(12, 14), **base).shape == (2, 3, 12, 14)
    assert run("Deconvolution", X, back, pad=(1, 1), adj=(1, 1), **base).shape == (2, 3, 13, 15)


@pytest.mark.parametrize(("mode", "axes"), [
    ("instance", (1, 2, 3)), ("channel", 1), ("spatial", (2, 3)),
])  # fmt: skip
def test_lengths_are_normalized(mode, axes):
    length = np.sqrt((X**2).sum(axes, keepdims=True) + 1e-10)
    np.testing.assert_allclose(run("L2Normalization", X, mode=mode), X / length, atol=1e-6)


def test_enlarging():
    made = run("UpSampling", X, scale=2, sample_type="nearest")
    np.testing.assert_array_equal(made, X.repeat(2, 2).repeat(2, 3))
    made = run("_contrib_BilinearResize2D", X, height=11, width=13)
    np.testing.assert_allclose(made[:, :, ::2, ::2], X, atol=1e-5)  # corners stay


def test_other_layouts_are_refused():
    with pytest.raises(ConversionError, match="NHWC"):
        run("Convolution", X, weights(6, 3, 3, 4), kernel=(3, 3), layout="NHWC")
    with pytest.raises(ConversionError, match="its mode 'to_even_up'"):
        run("_contrib_BilinearResize2D", X, height=11, width=13, mode="to_even_up")
    with pytest.raises(ConversionError, match="lp"):
        run("Pooling", X, pool_type="lp", kernel=(2, 2))
