"""Grids of the strategies."""

import numpy as np
import pytest

from utils.quantization.grid import Range
from utils.quantization.groups import Grouping
from utils.quantization.strategies import STRATEGIES, activation_scaling, weight_scaling

_QUANTIZED = [name for name, row in STRATEGIES.items() if row.is_quantized]


@pytest.mark.parametrize("name", _QUANTIZED)
def test_grids_reach_the_ends_of_the_range(name: str) -> None:
    strategy = STRATEGIES[name]
    for low, high in ((-1.0, 3.0), (0.0, 0.7), (-5.0, 0.1)):
        found = activation_scaling(Range(np.array([low]), np.array([high])), strategy, 8)
        step, zero = float(found.scale[0]), int(found.zero_point[0])
        assert -zero * step <= low + 1e-9
        assert (255 - zero) * step >= high - 1e-9
        assert strategy.is_affine or zero == 128
        assert not strategy.is_power_of_two or float(np.log2(step)).is_integer()


@pytest.mark.parametrize("name", _QUANTIZED)
def test_weights_are_symmetric_and_clipped_ones_have_finer_steps(name: str) -> None:
    kernel = np.random.default_rng(0).normal(size=(500, 2))
    kernel[0] = 12.0
    whole = weight_scaling(kernel, Grouping("channel"), STRATEGIES[name], 4)
    clipped = weight_scaling(kernel, Grouping("channel"), STRATEGIES[name], 4, clipped=True)
    assert (whole.scale * 7 >= 12.0 - 1e-9).all()
    assert (clipped.scale <= whole.scale).all()
    assert (clipped.scale < whole.scale).any()
    assert (whole.zero_point == 8).all()
