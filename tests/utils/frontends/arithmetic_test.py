"""What is computed of single numbers, against TensorFlow and by hand."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from utils.frontends.arithmetic import POINTWISE, dequantized, quotient
from utils.frontends.source import NotConvertible

X = np.linspace(0.1, 2.0, 12, dtype=np.float32).reshape(3, 4)
TWO = frozenset(
    "add divide equal floor_divide greater greater_equal less less_equal logical_and logical_or "
    "logical_xor maximum minimum mod multiply not_equal power squared_difference subtract".split()
)


@pytest.mark.parametrize("name", sorted(POINTWISE))
def test_the_same_as_keras(name):
    arrays = (X, X[::-1].copy()) if name in TWO else (X,)
    if name.startswith("logical"):
        arrays = tuple(array > 1 for array in arrays)
    names = {"squared_difference": lambda a, b: keras.ops.square(a - b)}
    wanted = names.get(name) or getattr(keras.ops, name)
    np.testing.assert_allclose(POINTWISE[name](*arrays), wanted(*arrays), rtol=1e-5, atol=1e-6)


def test_integers_are_divided_towards_zero():
    one, other = np.int32([-7, 7, -9]), np.int32([2, -2, 3])
    np.testing.assert_array_equal(quotient(one, other), tf.truncatediv(one, other))
    large = np.int64([2**62 + 1])  # beyond what floats tell apart
    np.testing.assert_array_equal(quotient(large, np.int64([1])), large)
    with pytest.raises(NotConvertible, match="by zero"):
        quotient(one, np.int32([1, 0, 1]))


def test_steps_along_an_axis():
    whole = np.int8([[-2, 4], [6, 8]])
    np.testing.assert_array_equal(
        dequantized(whole, np.float32([0.5, 2]), np.int8([0, 4]), 0), [[-1, 2], [4, 8]]
    )
    np.testing.assert_array_equal(
        dequantized(whole, np.float32([0.5]), np.int8([2]), 7), [[-2, 1], [2, 3]]
    )
    with pytest.raises(NotConvertible, match="no scale"):
        dequantized(whole, np.zeros(0, np.float32), 0.0, 0)
