"""Stored weights: what stands for what, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from utils.quantization.groups import Grouping
from utils.quantization.tensor import QuantizedTensor

_INDICES = np.array([[0, 1], [3, 2]], np.uint16)


def _codebook(**changes: Any) -> QuantizedTensor:
    levels = np.array([[0, 1, 2, 3], [10, 11, 12, 13]], np.float32)
    values = {"indices": _INDICES, "bits": 2, "grouping": Grouping("channel"), "levels": levels}
    return QuantizedTensor(**{**values, **changes})


def test_a_codebook_is_looked_up_by_group() -> None:
    np.testing.assert_array_equal(_codebook().dequantized(), [[0, 11], [3, 12]])
    assert _codebook().payload_bits == 4 * 2 + 32 * 8


def test_a_grid_is_counted_with_scales_and_zero_points() -> None:
    tensor = QuantizedTensor(
        indices=_INDICES,
        bits=2,
        grouping=Grouping("tensor"),
        scale=np.ones(1, np.float32),
        zero_point=np.zeros(1, np.int32),
    )
    assert tensor.payload_bits == 4 * 2 + 32 + 2


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"bits": 17}, r"in \[1, 16\]"),
        ({"bits": 1}, r"uint16 below 2\^1"),
        ({"indices": _INDICES.astype(np.int64)}, "uint16"),
        ({"levels": None}, "either `levels`, or"),
        ({"levels": np.zeros((1, 4), np.float32)}, "a row for each of the 2 groups. Received: 1"),
        ({"levels": np.zeros((2, 3), np.float32)}, "below 3, the number of levels. Received: 3"),
        ({"scale": np.ones(2), "zero_point": np.zeros(2)}, "either `levels`, or"),
    ],
)
def test_refusals(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        _codebook(**changes)
