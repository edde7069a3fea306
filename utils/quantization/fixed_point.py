"""Scaling of integers by a real number, in integers, bit for bit as TensorFlow Lite does it.

A real multiplier m > 0 is `q 2^(k - 31)` with q an int32 in [2^30, 2^31) and k the exponent. An
accumulator a is scaled in two roundings:

    1. `a 2^max(k, 0) q / 2^31`, rounded to nearest, halves away from zero (saturating doubling
       high multiplication);
    2. that divided by `2^max(-k, 0)`, rounded likewise.

References:
    Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-
    Only Inference", CVPR 2018, arXiv:1712.05877, section 2.2 and appendix B.
    "LiteRT 8-bit quantization specification" (ai.google.dev/edge/litert), for ranges and zero
    points.

The reference kernels compute so. Optimized ones (XNNPACK) round once, in float32, and can differ by
one step.
"""

from __future__ import annotations

import dataclasses

import numpy as np

_BITS = 31


@dataclasses.dataclass(frozen=True, eq=False)
class Multiplier:
    """Real multipliers in fixed point.

    Attributes:
        value: q, int64 [n] or scalar, in [2^30, 2^31), or 0.
        exponent: k, int64, shaped so.
    """

    value: np.ndarray
    exponent: np.ndarray

    @property
    def real(self) -> np.ndarray:
        """What they stand for, float64."""
        found: np.ndarray = self.value * np.exp2(self.exponent - float(_BITS))
        return found


def multiplier(real: np.ndarray | float) -> Multiplier:
    """Write multipliers in fixed point.

    Args:
        real: m, >= 0 and finite; those below 2^-32 become 0.

    Returns:
        The nearest fixed-point numbers.

    Raises:
        ValueError: for a negative or infinite one.

    Example:
        >>> found = multiplier(0.75)
        >>> int(found.value), int(found.exponent), float(found.real)
        (1610612736, 0, 0.75)
    """
    values = np.asarray(real, np.float64)
    if not (np.isfinite(values).all() and (values >= 0).all()):
        raise ValueError("multipliers must be finite and at least 0.")
    fractions, exponents = np.frexp(values)
    fixed = np.floor(fractions * 2.0**_BITS + 0.5).astype(np.int64)
    exponents = exponents.astype(np.int64)
    full = fixed == 2**_BITS  # the fraction was rounded up to 1
    fixed, exponents = np.where(full, fixed // 2, fixed), exponents + full
    lost = exponents < -_BITS
    return Multiplier(np.where(lost, 0, fixed), np.where(lost, 0, exponents))


def scaled(values: np.ndarray, by: Multiplier) -> np.ndarray:
    """Scale integers; see the module.

    Args:
        values: integers in the range of int32.
        by: the multipliers, broadcast to `values`.

    Returns:
        int64, shaped like `values`.

    Example:
        >>> scaled(np.array([10, -10, 3]), multiplier(0.25))
        array([ 3, -3,  1])
    """
    left = np.maximum(by.exponent, 0)
    right = np.maximum(-by.exponent, 0)
    raised = np.asarray(values, np.int64) << left
    return rounded_shift(high_product(raised, by.value), right)


def scaled_once(values: np.ndarray, by: Multiplier) -> np.ndarray:
    """Scale integers in a single rounding, halves upwards: as the fully connected kernel does it.

    Args:
        values: integers in the range of int32.
        by: the multipliers, broadcast to `values`.

    Returns:
        int64, shaped like `values`.

    Example:
        >>> scaled_once(np.array([10, -10, 3]), multiplier(0.25))
        array([ 3, -2,  1])
    """
    shift = _BITS - by.exponent
    product = np.asarray(values, np.int64) * by.value
    found: np.ndarray = (product + (np.int64(1) << (shift - 1))) >> shift
    return found


def high_product(values: np.ndarray | int, factor: np.ndarray | int) -> np.ndarray:
    """Give `values factor / 2^31`, rounded to nearest."""
    product = np.asarray(values, np.int64) * factor
    nudged = product + np.where(product >= 0, 1 << (_BITS - 1), 1 - (1 << (_BITS - 1)))
    # Division that truncates towards zero, as in C: a shift would round down.
    found: np.ndarray = np.where(nudged >= 0, nudged >> _BITS, -((-nudged) >> _BITS))
    return found


def rounded_shift(values: np.ndarray, shift: np.ndarray | int) -> np.ndarray:
    """Divide integers by `2^shift`, rounded to nearest, halves away from zero.

    Example:
        >>> rounded_shift(np.array([5, -5, 6, -7]), 2)
        array([ 1, -1,  2, -2])
    """
    values = np.asarray(values, np.int64)
    mask = (np.int64(1) << np.asarray(shift, np.int64)) - 1
    threshold = (mask >> 1) + (values < 0)
    found: np.ndarray = (values >> shift) + ((values & mask) > threshold)
    return found
