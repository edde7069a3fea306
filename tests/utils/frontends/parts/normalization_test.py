import numpy as np
import pytest

from tests.utils.frontends.parts.one_value import built, kinds, run
from utils.frontends.parts import normalization

IMAGE = (None, 6, 4, 5)


def normalized(x, axes, epsilon=1e-5):
    mean, variance = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
    return (x - mean) / np.sqrt(variance + epsilon)


def test_batch_normalization(random):
    arrays = [random.random(6).astype(np.float32) + 0.5 for _ in range(4)]
    made = built(lambda b, n, v: normalization.batch_norm(b, n, v, arrays, 1e-3, 0.9), IMAGE)
    x = random.normal(size=(2, 6, 4, 5)).astype(np.float32)
    gamma, beta, mean, variance = (array[:, None, None] for array in arrays)
    expected = (x - mean) / np.sqrt(variance + 1e-3) * gamma + beta
    np.testing.assert_allclose(run(made, x), expected, atol=1e-5)


@pytest.mark.parametrize("groups", [-1, 2])
def test_groups_have_statistics_of_their_own(random, groups):
    scale, offset = random.random((2, 6)).astype(np.float32)
    made = built(
        lambda b, n, v: normalization.group_norm(b, n, v, groups, scale, offset, 1e-5), IMAGE
    )
    x = random.normal(size=(2, 6, 4, 5)).astype(np.float32)
    parts = x.reshape(2, 6 if groups == -1 else groups, -1)
    expected = normalized(parts, 2).reshape(x.shape) * scale[:, None, None] + offset[:, None, None]
    np.testing.assert_allclose(run(made, x), expected, atol=1e-5)


def test_pytorchs_group_normalization_is_recognized(random):
    """It comes as an instance normalization of [batch, groups, the rest]."""

    def make(build, node, value):
        flat = build.reshape(node, value, (value.shape[0], 3, 40))
        ones = np.ones(3, np.float32)
        made = normalization.instance_norm(build, node, flat, ones, 0 * ones, 1e-5)
        return build.reshape(node, made, value.shape)

    made = built(make, IMAGE)
    x = random.normal(size=(2, 6, 4, 5)).astype(np.float32)
    assert kinds(made) == ["InputLayer", "GroupNormalization"]
    expected = normalized(x.reshape(2, 3, 40), 2).reshape(x.shape)
    np.testing.assert_allclose(run(made, x), expected, atol=1e-5)


def test_layer_normalization_over_the_last_axes(random):
    scale, offset = random.random((2, 4, 5)).astype(np.float32)
    made = built(lambda b, n, v: normalization.layer_norm(b, n, v, 2, scale, offset, 1e-5), IMAGE)
    x = random.normal(size=(2, 6, 4, 5)).astype(np.float32)
    np.testing.assert_allclose(run(made, x), normalized(x, (2, 3)) * scale + offset, atol=1e-5)
