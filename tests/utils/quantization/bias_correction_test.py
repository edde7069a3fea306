"""Bias correction against the means of convolutions."""

import keras
import numpy as np
import pytest

from utils.quantization.bias_correction import corrected_bias


@pytest.mark.parametrize("is_depthwise", [False, True])
def test_means_of_outputs_are_met(is_depthwise: bool) -> None:
    rng = np.random.default_rng(0)
    values = np.abs(rng.normal(size=(16, 6, 6, 3))).astype(np.float32)
    values -= values.mean(axis=(0, 1, 2)) - [1.0, 2.0, 3.0]
    values = np.tile(values.mean(axis=(1, 2), keepdims=True), (1, 6, 6, 1)).astype(np.float32)
    kernel = rng.normal(size=(3, 3, 3, 2)).astype(np.float32)
    coarse = np.round(kernel * 2) / 2
    size = 6 if is_depthwise else 2
    bias = rng.normal(size=size)
    run = keras.ops.depthwise_conv if is_depthwise else keras.ops.conv
    before = np.asarray(run(values, kernel, padding="valid")) + bias
    mean = values.mean(axis=(0, 1, 2), dtype=np.float64)
    corrected = corrected_bias(bias, kernel, coarse, mean, is_depthwise=is_depthwise)
    after = np.asarray(run(values, coarse, padding="valid")) + corrected
    plain = np.asarray(run(values, coarse, padding="valid")) + bias
    axes = (0, 1, 2)
    np.testing.assert_allclose(after.mean(axis=axes), before.mean(axis=axes), atol=1e-4)
    assert np.abs(plain.mean(axis=axes) - before.mean(axis=axes)).max() > 0.1
