import numpy as np
import pytest

from tests.utils.frontends.parts.one_value import built, kinds, run
from utils.frontends.parts.convolution import windows_of
from utils.frontends.parts.pointwise import clip
from utils.frontends.parts.pooling import average_pool, global_pool, max_pool

SHAPE = (None, 2, 7, 6)


def windows(value, kernel=3, stride=2, pads=((1, 1), (1, 1)), ceil=False):
    return windows_of(value, kernel=(kernel,) * 2, strides=(stride,) * 2, dilations=(1, 1),
                      pads=pads, ceil=ceil)  # fmt: skip


def by_loop(x, function, found, kernel, stride, pads):
    """Pool with what lies in the input only."""
    made = np.zeros((*x.shape[:2], *found))
    for i in range(found[0]):
        for j in range(found[1]):
            spans = [
                slice(max(place * stride - pad[0], 0), place * stride - pad[0] + kernel)
                for place, pad in zip((i, j), pads, strict=True)
            ]
            made[:, :, i, j] = function(x[:, :, spans[0], spans[1]], axis=(2, 3))
    return made


@pytest.mark.parametrize("pads", [((1, 1), (1, 1)), ((0, 1), (1, 0)), ((2, 2), (2, 2))])
@pytest.mark.parametrize("ceil", [False, True])
def test_padding_neither_wins_nor_counts(random, pads, ceil):
    kernel = 5 if pads[0][0] == 2 else 3
    x = random.normal(size=(2, *SHAPE[1:])).astype(np.float32) - 3  # all below the padding's zeros
    for function, pool in ((np.max, max_pool), (np.mean, average_pool)):
        rest = () if pool is max_pool else (False,)

        def make(build, node, value, pool=pool, rest=rest):
            return pool(build, node, value, windows(value, kernel, 2, pads, ceil), *rest)

        made = run(built(make, SHAPE), x)
        expected = by_loop(x, function, made.shape[2:], kernel, 2, pads)
        np.testing.assert_allclose(made, expected, atol=1e-5)


def test_padding_that_counts(random):
    x = random.normal(size=(2, *SHAPE[1:])).astype(np.float32)
    pads = ((1, 1), (1, 1))

    def make(build, node, value):
        return average_pool(build, node, value, windows(value), counts_padding=True)

    padded = np.pad(x, [(0, 0), (0, 0), *pads])
    made = run(built(make, SHAPE), x)
    expected = by_loop(padded, np.mean, made.shape[2:], 3, 2, ((0, 0), (0, 0)))
    np.testing.assert_allclose(made, expected, atol=1e-6)


def test_behind_a_rectifier_zeros_do():
    def make(build, node, value):
        return max_pool(build, node, clip(build, node, value, 0.0, np.inf), windows(value))

    assert kinds(built(make, SHAPE)) == ["InputLayer", "ReLU", "ZeroPadding2D", "MaxPooling2D"]


def test_over_all_positions(random):
    x = random.normal(size=(2, *SHAPE[1:])).astype(np.float32)
    for kind, function in (("average", np.mean), ("max", np.max)):
        made = built(lambda build, node, value, kind=kind: global_pool(build, node, value, kind),
                     SHAPE)  # fmt: skip
        expected = function(x, axis=(2, 3), keepdims=True)
        np.testing.assert_allclose(run(made, x), expected, atol=1e-6)
