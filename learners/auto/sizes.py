"""What a kernel takes in the file that decides, as the file's writer would store it.

| file | a kernel is |
|:--|:--|
| `tflm` | indices and a table for each output channel, or int8 where that takes fewer bytes |
| `int8` | int8 with a scale for each output channel; deflated |
| `fpq` | indices and a scale for each output channel; with zeros a bitmap where that takes less |
"""

import zlib

import numpy as np

from learners.auto.offers import INT8_FILE, MICRO_FILE, TABLE_BITS, Offer, Option
from learners.kernels.layers import KernelLayer

_STEPS = 127  # of int8 on either side of zero
_DECODE_BYTES = 144  # of an operator that decodes a tensor, and what describes both
_SCALE_BYTES = 6  # a float32 and the integer that a channel's levels begin with
_BYTE = 8


def kernel_bytes(kernel: np.ndarray, layer: KernelLayer, offer: Offer, option: Option) -> float:
    """Count the bytes of a kernel.

    Args:
        kernel: float [P, O], on the grids of the option's bits.
        layer: which it is.
        offer: the file, and whether it counts deflated.
        option: its bits.
    """
    if offer.kind == INT8_FILE:
        stored = as_int8(kernel)
        return float(len(zlib.compress(stored.tobytes(), 9)) if offer.deflated else stored.size)
    indices = kernel.size * option.bits / _BYTE
    if offer.kind == MICRO_FILE:
        tables = layer.num_outputs * 2**option.bits + _DECODE_BYTES
        return (
            float(min(indices + tables, kernel.size)) if option.bits <= TABLE_BITS else kernel.size
        )
    nonzeros = int(np.count_nonzero(kernel))
    left_out = (kernel.size + nonzeros * option.bits) / _BYTE
    return float(min(indices, left_out) + layer.num_outputs * _SCALE_BYTES)


def as_int8(kernel: np.ndarray) -> np.ndarray:
    """Give a kernel [P, O] as files store it: int8 [O, P], the largest of each output 127 steps.

    Example:
        >>> as_int8(np.array([[0.5, 0.0], [-1.0, 0.0]])).tolist()
        [[64, -127], [0, 0]]
    """
    most = np.abs(kernel).max(axis=0)
    steps = np.rint(kernel * (_STEPS / np.where(most > 0, most, 1.0)))
    return np.ascontiguousarray(steps.T).astype(np.int8)
