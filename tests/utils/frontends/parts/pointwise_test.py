import keras
import numpy as np
import pytest

from tests.utils.frontends.parts.one_value import built, kinds, run
from utils.frontends.layout import new_layout
from utils.frontends.parts import pointwise
from utils.frontends.source import ConversionError, NotConvertible
from utils.frontends.values import Value

IMAGE = (None, 3, 4, 5)


@pytest.mark.parametrize(("low", "high", "layer"), [
    (0, 6, "ReLU"), (0, np.inf, "ReLU"), (-1, 1, "Clip"), (-np.inf, 1, "Minimum"),
    (0.5, np.inf, "Maximum"),
])  # fmt: skip
def test_limits(random, low, high, layer):
    x = random.normal(size=(2, 3, 4, 5)).astype(np.float32)
    made = built(lambda b, n, value: pointwise.clip(b, n, value, low, high), IMAGE)
    assert kinds(made)[-1] == layer
    np.testing.assert_allclose(run(made, x), np.clip(x, low, high))


def test_tensors_in_other_orders_are_brought_together(random):
    """[b, c, h, w] of an image plus one of [b, w, h, c] that was transposed in the source."""

    def make(build, node, one, other):
        return pointwise.combine(build, node, [one, build.transpose(other, (0, 3, 2, 1))], "add")

    made = built(make, IMAGE, (None, 5, 4, 3))
    one = random.normal(size=(2, 3, 4, 5)).astype(np.float32)
    other = random.normal(size=(2, 5, 4, 3)).astype(np.float32)
    np.testing.assert_allclose(run(made, one, other), one + other.transpose(0, 3, 2, 1), rtol=1e-6)


def test_constants_are_put_in_the_tensors_order(random):
    constant = random.normal(size=(3, 1, 5)).astype(np.float32)
    made = built(
        lambda b, n, value: pointwise.combine(b, n, [value, Value(array=constant)], "multiply"),
        IMAGE,
    )
    x = random.normal(size=(2, 3, 4, 5)).astype(np.float32)
    np.testing.assert_allclose(run(made, x), x * constant, rtol=1e-6)
    assert kinds(made) == ["InputLayer", "Multiply"]


def test_softmax_over_several_axes(random):
    made = built(lambda b, n, value: pointwise.softmax(b, n, value, [1, 2, 3]), IMAGE)
    x = random.normal(size=(2, 3, 4, 5)).astype(np.float32)
    expected = np.exp(x) / np.exp(x).sum(axis=(1, 2, 3), keepdims=True)
    np.testing.assert_allclose(run(made, x), expected, rtol=1e-5)


def test_slopes_per_channel_are_weights(random):
    slope = random.random((3, 1, 1)).astype(np.float32)
    made = built(lambda b, n, value: pointwise.prelu(b, n, value, slope), IMAGE)
    x = random.normal(size=(2, 3, 4, 5)).astype(np.float32)
    np.testing.assert_allclose(run(made, x), np.where(x > 0, x, x * slope), rtol=1e-6)
    assert made.model.count_params() == 3


def test_constants_made_of_open_sizes():
    same = Value(array=np.broadcast_to(np.float32(0), (99991, 4)),
                 other=np.broadcast_to(np.float32(0), (7, 4)))  # fmt: skip
    assert pointwise.without_stand_ins(same).shape == (1, 1)
    with pytest.raises(NotConvertible, match="--input_shape"):
        pointwise.without_stand_ins(Value(array=np.array([4]), other=np.array([9])))


def test_a_constant_per_sample_needs_equal_samples():
    layout = new_layout((2, 3), (True, False), (0, 1))
    assert pointwise.once_per_batch(np.ones((2, 3)), layout).shape == (1, 3)
    with pytest.raises(NotConvertible, match="differs along an open axis"):
        pointwise.once_per_batch(np.arange(6).reshape(2, 3), layout)


def test_shapes_that_do_not_broadcast_are_refused():
    with pytest.raises(ConversionError, match="do not broadcast"):
        built(
            lambda b, n, v: pointwise.combine(b, n, [v, Value(array=np.zeros((7, 1)))], "add"),
            IMAGE,
        )


def test_a_function_of_every_element(random):
    made = built(lambda b, n, v: pointwise.unary(b, n, v, keras.ops.exp, nonnegative=True), IMAGE)
    x = random.normal(size=(1, 3, 4, 5)).astype(np.float32)
    np.testing.assert_allclose(run(made, x), np.exp(x), rtol=1e-5)
