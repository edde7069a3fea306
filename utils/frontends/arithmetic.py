"""What operators compute of single numbers, in NumPy: for constants that are worked out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from scipy import special

from utils.frontends.source import NotConvertible


def quotient(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Divide as the frameworks do: integers towards zero.

    Raises:
        NotConvertible: if integers are divided by zero.

    Example:
        >>> quotient(np.array([-7, 7]), np.array([2, 2]))
        array([-3,  3])
    """
    if one.dtype.kind not in "iu":
        return one / other
    if not np.all(other):
        raise NotConvertible("divides integers by zero")
    signs = np.sign(one) * np.sign(other)
    return (signs * (np.abs(one) // np.abs(other))).astype(one.dtype)


def dequantized(
    integers: np.ndarray, scale: np.ndarray, zero: np.ndarray | float, axis: int
) -> np.ndarray:
    """Compute (integers - zero) * scale.

    Args:
        integers: array of any shape and type.
        scale: one step, or one for each entry of an axis.
        zero: the number that stands for 0, or as many.
        axis: that axis.

    Returns:
        float32 array shaped like `integers`.

    Raises:
        NotConvertible: if there is no step.

    Example:
        >>> dequantized(np.int8([[3, 5], [3, 5]]), np.float32([0.5, 2]), 1, 0)
        array([[1., 2.],
               [4., 8.]], dtype=float32)
    """
    if not scale.size:
        raise NotConvertible("its integers have no scale")
    shape = [1] * integers.ndim
    if scale.size > 1:
        shape[axis] = -1
    zeros = np.asarray(zero, np.float32)
    zeros = zeros.reshape(shape if zeros.size > 1 else [1] * integers.ndim)
    found = (integers.astype(np.float32) - zeros) * scale.reshape(shape)
    return found.astype(np.float32)


def _power(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.power(one.astype(np.float64), other).astype(one.dtype)


POINTWISE: Mapping[str, Callable[..., Any]] = {
    "abs": np.abs,
    "add": np.add,
    "ceil": np.ceil,
    "cos": np.cos,
    "divide": quotient,
    "equal": np.equal,
    "erf": special.erf,
    "exp": np.exp,
    "floor": np.floor,
    "floor_divide": np.floor_divide,
    "greater": np.greater,
    "greater_equal": np.greater_equal,
    "isnan": np.isnan,
    "less": np.less,
    "less_equal": np.less_equal,
    "log": np.log,
    "log1p": np.log1p,
    "logical_and": np.logical_and,
    "logical_not": np.logical_not,
    "logical_or": np.logical_or,
    "logical_xor": np.logical_xor,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "mod": np.mod,
    "multiply": np.multiply,
    "negative": np.negative,
    "not_equal": np.not_equal,
    "power": _power,
    "reciprocal": lambda x: 1 / x,
    "relu": lambda x: np.maximum(x, 0),
    "round": np.round,
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "sigmoid": special.expit,
    "sign": np.sign,
    "sin": np.sin,
    "softplus": lambda x: np.logaddexp(x, 0),
    "sqrt": np.sqrt,
    "square": np.square,
    "squared_difference": lambda a, b: np.square(a - b),
    "subtract": np.subtract,
    "tanh": np.tanh,
}
"""Functions of one or two arrays that broadcast, by their names in `keras.ops`."""
