"""Functions of values against TensorFlow's own, with broadcasting."""

import numpy as np
import pytest
import tensorflow as tf

from tests.utils.frontends.nhwc.one_node import images, run
from utils.frontends.nhwc import pointwise

X, Y = np.abs(images(2, 4, 3, 5)) + 0.1, images(2, 4, 3, 5, seed=1)
TF_NAMES = {"erf": tf.math.erf, "log1p": tf.math.log1p, "ceil": tf.math.ceil, "log": tf.math.log}


@pytest.mark.parametrize("name", sorted(pointwise.UNARY - {"logical_not"}))
def test_of_one(name):
    wanted = TF_NAMES.get(name) or getattr(tf, name, None) or getattr(tf.math, name)
    np.testing.assert_allclose(run(pointwise.unary(name), [X]), wanted(X), rtol=1e-5, atol=1e-6)


NUMPY = {"divide_no_nan": lambda a, b: np.divide(a, b, out=np.zeros_like(a), where=b != 0)}


@pytest.mark.parametrize("name", sorted(n for n in pointwise.BINARY if "logical" not in n))
def test_of_two(name):
    wanted = NUMPY.get(name) or getattr(np, name)
    np.testing.assert_allclose(
        run(pointwise.binary(name), [X, Y], activation=None), wanted(X, Y), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("shape", [(), (5,), (4, 1, 1), (1, 3, 5)])
@pytest.mark.parametrize("name", ["add", "subtract", "divide", "maximum"])
def test_of_a_tensor_and_a_constant(name, shape):
    constant = images(*shape, seed=2) if shape else np.float32(1.5)
    made = run(pointwise.binary(name), [X], [constant], activation="relu")
    wanted = np.maximum(getattr(np, name)(X, constant), 0)
    np.testing.assert_allclose(made, wanted, rtol=1e-5, atol=1e-6)


def test_of_several():
    np.testing.assert_allclose(run(pointwise.add_all, [X, Y, Y]), X + 2 * Y, atol=1e-5)
    np.testing.assert_allclose(run(pointwise.squared_difference, [X, Y]), (X - Y) ** 2, atol=1e-5)
    limits = [np.float32(-0.5), np.float32(0.7)]
    np.testing.assert_allclose(run(pointwise.clip, [Y], limits), np.clip(Y, -0.5, 0.7))
    chosen = run(pointwise.where, [Y > 0, X, Y])
    np.testing.assert_allclose(chosen, np.where(Y > 0, X, Y))


def test_types():
    made = run(pointwise.cast, [Y], dtype="int32")
    assert made.dtype == np.int32 and np.array_equal(made, Y.astype(np.int32))
    assert np.array_equal(run(pointwise.cast, [Y], dtype="float32"), Y)
    assert np.array_equal(run(pointwise.same, [Y]), Y)
