import keras
import numpy as np
import pytest

from tests.utils.frontends.parts.one_value import built, kinds, run
from utils.frontends.parts import moving
from utils.frontends.source import ConversionError
from utils.frontends.values import Value

IMAGE = (None, 6, 4, 5)


def assert_gives(random, function, expected, shape=IMAGE):
    x = random.normal(size=(2, *shape[1:])).astype(np.float32)
    made = built(function, shape)
    np.testing.assert_allclose(run(made, x), expected(x), atol=1e-6)
    return kinds(made)


def test_places_are_the_sources(random):
    cut = {1: slice(1, 5, 2), 3: slice(None, -1)}
    assert_gives(random, lambda b, n, v: moving.slices(b, n, v, cut), lambda x: x[:, 1:5:2, :, :-1])
    assert_gives(
        random, lambda b, n, v: moving.take(b, n, v, np.array([4, 0]), 1), lambda x: x[:, [4, 0]]
    )
    assert_gives(
        random, lambda b, n, v: moving.take(b, n, v, np.array(-1), 2), lambda x: x[:, :, -1]
    )
    found = assert_gives(random, lambda b, n, v: moving.take(b, n, v, np.arange(6), 1), lambda x: x)
    assert found == ["InputLayer"]
    assert_gives(
        random,
        lambda b, n, v: moving.unsqueeze(moving.take(b, n, v, np.array(0), 1), [1]),
        lambda x: x[:, :1],
    )


def test_joined_and_cut(random):
    def halves(build, node, value):
        one, other = moving.split(build, node, value, [2, 4], 1)
        constant = Value(array=np.full((1, 1, 4, 5), 3, np.float32))
        return moving.concatenate(build, node, [other, constant, one], 1)

    def expected(x):
        return np.concatenate([x[:, 2:], np.full((2, 1, 4, 5), 3), x[:, :2]], 1)

    assert_gives(random, halves, expected)


@pytest.mark.parametrize("mode", ["constant", "reflect", "edge", "symmetric", "wrap"])
def test_padding(random, mode):
    def expected(x):
        widths = [(0, 0), (1, 0), (0, 0), (2, 1)]
        return np.pad(x, widths, mode=mode)

    assert_gives(
        random, lambda b, n, v: moving.pad(b, n, v, {1: (1, 0), 3: (2, 1)}, mode), expected
    )


def test_padding_around_positions_is_a_layer(random):
    found = assert_gives(
        random,
        lambda b, n, v: moving.pad(b, n, v, {2: (1, 0), 3: (-1, 1)}, "constant"),
        lambda x: np.pad(x[:, :, :, 1:], [(0, 0), (0, 0), (1, 0), (0, 1)]),
    )
    assert found == ["InputLayer", "GetItem", "ZeroPadding2D"]


def test_reductions(random):
    found = assert_gives(
        random,
        lambda b, n, v: moving.reduce(b, n, v, keras.ops.mean, [2, 3], keeps=False),
        lambda x: x.mean((2, 3)),
    )
    assert found == ["InputLayer", "GlobalAveragePooling2D"]
    assert_gives(
        random,
        lambda b, n, v: moving.reduce(b, n, v, keras.ops.max, [-2], keeps=True),
        lambda x: x.max(2, keepdims=True),
    )


def test_repetition(random):
    assert_gives(random, lambda b, n, v: moving.tile(b, n, v, [1, 2, 1, 3]),
          lambda x: np.tile(x, (1, 2, 1, 3)))  # fmt: skip


@pytest.mark.parametrize(("function", "words"), [
    (lambda b, n, v: moving.squeeze(v, [1]), "squeezes an axis of 6"),
    (lambda b, n, v: moving.take(b, n, v, np.array([9]), 1), "beyond an axis of 6"),
    (lambda b, n, v: moving.split(b, n, v, [2, 2], 1), "do not fit 6"),
    (lambda b, n, v: moving.slices(b, n, v, {1: slice(5, 2)}), "empty"),
    (lambda b, n, v: moving.pad(b, n, v, {1: (1, 1)}, "maximum"), "no Keras counterpart"),
])  # fmt: skip
def test_what_does_not_fit_is_refused(function, words):
    with pytest.raises(ConversionError, match=words):
        built(function, IMAGE)
