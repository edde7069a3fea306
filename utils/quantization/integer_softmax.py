"""Softmax in integers, bit for bit as TensorFlow Lite's reference kernel and its micro runtime.

Fixed-point numbers are int32 that stand for `q 2^(k - 31)`, k the integer bits; products are
rounded (`high_product`). With x the inputs of a row less their maximum, in 5 integer bits,

    exp(x) = exp(x0) prod exp(-2^j),    x0 = (x mod 1/4) - 1/4,

over the bits j = -2 … 4 of the rest: exp(x0) is a polynomial of fourth order around -1/8, and the
product a row of constants. The sum is kept in 12 integer bits, its inverse comes from three steps
of Newton's method for 1 / (1 + f), f in [0, 1). Outputs have the step 1/256 and the zero point
-128.

Reference:
    Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-
    Only Inference", CVPR 2018, arXiv:1712.05877, section 2.2, for fixed-point arithmetic; the
    fixed-point functions of gemmlowp (github.com/google/gemmlowp, doc/ and fixedpoint/).
"""

from __future__ import annotations

import numpy as np

from utils.quantization.fixed_point import high_product, multiplier, rounded_shift

_ONE = 2**31 - 1  # what comes nearest to 1, without integer bits
_INPUT_BITS = 5  # integer bits of the differences
_SUM_BITS = 12  # and of the sum
_NUM_STEPS = 3  # of Newton's method
_OUTPUT_SHIFT = 31 - 8
_LEAST, _GREATEST = -128, 127


def softmax(values: np.ndarray, scale: float) -> np.ndarray:
    """Compute the softmax of each row.

    Args:
        values: int8 [..., C].
        scale: what a step of them stands for, > 0.

    Returns:
        int8, shaped so, in steps of 1/256 from the zero point -128.

    Example:
        >>> softmax(np.array([[10, 10, -100]], np.int8), 0.1)
        array([[   0,    0, -128]], dtype=int8)
    """
    by = multiplier(min(scale * 2.0 ** (31 - _INPUT_BITS), 2.0**31 - 1.0))
    exponent = int(by.exponent)
    # Differences below would overflow the integer bits: their exponential counts as 0.
    least = -int(np.floor((2**_INPUT_BITS - 1) * 2.0 ** (31 - _INPUT_BITS - exponent)))
    wide = values.astype(np.int64)
    below = wide - wide.max(axis=-1, keepdims=True)
    counted = below >= least
    powers = exponential(high_product(np.where(counted, below, 0) << exponent, by.value))
    total = np.where(counted, rounded_shift(powers, _SUM_BITS), 0).sum(axis=-1, keepdims=True)
    inverse, bits = _inverse(total)
    found = rounded_shift(high_product(inverse, powers), bits + _OUTPUT_SHIFT) + _LEAST
    return np.where(counted, np.clip(found, _LEAST, _GREATEST), _LEAST).astype(np.int8)


def exponential(values: np.ndarray) -> np.ndarray:
    """Compute exp of numbers <= 0.

    Args:
        values: int, fixed point with 5 integer bits.

    Returns:
        int64, shaped so, fixed point without integer bits.

    Example:
        >>> found = exponential(np.array([-(2**26), 0]))
        >>> np.round(found / 2**31, 6)
        array([0.36788, 1.     ])
    """
    values = np.asarray(values, np.int64)
    quarter = 1 << (31 - _INPUT_BITS - 2)
    part = (values & (quarter - 1)) - quarter
    found = _near_zero(part << _INPUT_BITS)
    rest = part - values
    for power in range(-2, _INPUT_BITS):
        factor = _fixed(float(np.exp(-(2.0**power))))
        is_set = (rest & (1 << (31 - _INPUT_BITS + power))) != 0
        found = np.where(is_set, high_product(found, factor), found)
    return np.where(values == 0, _ONE, found)


def _near_zero(values: np.ndarray) -> np.ndarray:
    """Compute exp in [-1/4, 0): Taylor's series around -1/8, without integer bits."""
    constant = _fixed(float(np.exp(-1 / 8)))
    x = values + (1 << 28)
    square = high_product(x, x)
    cube, fourth = high_product(square, x), high_product(square, square)
    third = high_product(rounded_shift(fourth, 2) + cube, _fixed(1 / 3))
    return constant + high_product(constant, x + rounded_shift(third + square, 1))


def _inverse(total: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Invert sums.

    Args:
        total: int64, > 0, fixed point with 12 integer bits.

    Returns:
        `1 / total`, without integer bits and in (1/2, 1] once it is divided by 2^bits, and bits.
    """
    lead = 32 - np.frexp(total.astype(np.float64))[1].astype(np.int64)  # leading zeros of 32 bits
    fraction = (total << lead) - 2**31  # f
    half = (fraction + _ONE + 1) >> 1  # (1 + f) / 2; both are >= 0
    x = _fixed(48 / 17, 2) + high_product(half, _fixed(-32 / 17, 2))
    for _ in range(_NUM_STEPS):
        left = (1 << 29) - high_product(half, x)  # 1 less the product, with 2 integer bits
        x = x + _raised(high_product(x, left), 2)
    return _raised(x, 1), _SUM_BITS - lead


def _raised(values: np.ndarray, shift: int) -> np.ndarray:
    """Multiply by 2^shift; what is too large for an int32 becomes its end."""
    return np.clip(values << shift, -(2**31), _ONE)


def _fixed(value: float, integer_bits: int = 0) -> int:
    return int(np.round(value * 2.0 ** (31 - integer_bits)))
