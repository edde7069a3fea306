"""Bias correction: a quantized kernel shifts the mean of its outputs, and the bias takes that back.

With dW the change of the kernel, `E[W_q x] - E[W x] = dW E[x]`, so

    b <- b - dW E[x].                                                                     (1)

Reference:
    Nagel, van Baalen, Blankevoort & Welling, "Data-Free Quantization Through Weight Equalization
    and Bias Correction", ICCV 2019, arXiv:1906.04721, section 4.2, equations (14) to (16), appendix
    D for E[x] from samples.

Departs from the paper: at the border of a map, where a kernel reads padding, E[x] of its inner
positions is taken.
"""

from __future__ import annotations

import numpy as np


def corrected_bias(
    bias: np.ndarray,
    kernel: np.ndarray,
    quantized: np.ndarray,
    mean_input: np.ndarray,
    *,
    is_depthwise: bool = False,
) -> np.ndarray:
    """Compute (1).

    Args:
        bias: b, float [O].
        kernel: float [..., I, O]; depthwise [..., I, M] with O = I M.
        quantized: shaped so, what stands for it.
        mean_input: E[x] of each input channel, float [I].
        is_depthwise: each output reads one channel.

    Returns:
        The new bias, float64 [O].

    Example:
        >>> kernel = np.array([[1.0], [2.0]])
        >>> corrected_bias(np.zeros(1), kernel, kernel + 0.1, np.array([1.0, 3.0])).round(3)
        array([-0.4])
    """
    change = np.asarray(quantized, np.float64) - kernel
    change = change.reshape(-1, *change.shape[-2:]).sum(axis=0)  # over positions
    shift = (change * mean_input[:, None]).ravel() if is_depthwise else mean_input @ change
    return np.asarray(bias, np.float64) - shift
