"""Learned steps: gradients against finite differences and the paper's table."""

from __future__ import annotations

from typing import Literal

import keras
import numpy as np
import pytest

from utils.quantization.grid import Grid, Scaling
from utils.quantization.groups import Grouping
from utils.quantization.learned_step import REACH, LearnedStepQuantizer

_GRID = Grid(bits=3, kind="symmetric")  # steps -4 … 3


def _quantizer(shape: tuple[int, ...], learned: bool = True) -> LearnedStepQuantizer:
    scaling = Scaling(np.array([0.5, 2.0]), np.array([4, 4], np.int32))
    return LearnedStepQuantizer(shape, _GRID, Grouping("channel"), scaling, learned=learned)


def _tensors(quantizer: LearnedStepQuantizer) -> dict[str, object]:
    return {n: keras.ops.convert_to_tensor(v) for n, v in quantizer.parameters.items()}


def test_quantizes_each_group_by_its_scale() -> None:
    quantizer = _quantizer((3, 2))
    latent = np.float32([[0.3, 3.1], [-9.0, -9.0], [0.0, 9.0]])
    values = quantizer.quantize(keras.ops.convert_to_tensor(latent), _tensors(quantizer))
    np.testing.assert_array_equal(values, [[0.5, 4.0], [-2.0, -8.0], [0.0, 6.0]])


def test_gradients_are_those_of_the_paper() -> None:
    # one channel inside, above and below the ends; the other inside only
    latent = np.float32([[0.3, 3.1], [9.0, -1.5], [-9.0, 0.4]])
    gradient = np.float32([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    quantizer = _quantizer((3, 2))
    moves, own = quantizer.gradients(
        keras.ops.convert_to_tensor(gradient),
        keras.ops.convert_to_tensor(latent),
        _tensors(quantizer),
    )
    np.testing.assert_array_equal(moves, [[1.0, 2.0], [0.0, 4.0], [0.0, 6.0]])
    first = 1.0 * (1 - 0.6) + 3.0 * 3 + 5.0 * -4
    second = 2.0 * (2 - 1.55) + 4.0 * (-1 + 0.75) + 6.0 * (0 - 0.2)
    factor = REACH / 4**2  # Q_P: 4 steps below zero are more than 3 above
    np.testing.assert_allclose(own["scale"], np.array([first, second]) * factor, rtol=1e-5)
    assert set(own) == {"scale"}


def test_the_gradient_of_a_scale_at_fixed_steps_is_that_of_finite_differences() -> None:
    """Straight through the rounding, q(s) = s k + (v - s k)|inside: its slope is k - v / s."""
    rng = np.random.default_rng(0)
    latent, gradient = (rng.normal(size=(6, 2)).astype(np.float32) for _ in range(2))
    quantizer = _quantizer((6, 2))
    own = quantizer.gradients(
        keras.ops.convert_to_tensor(gradient),
        keras.ops.convert_to_tensor(latent),
        _tensors(quantizer),
    )[1]["scale"]
    scales, factor = np.array([0.5, 2.0]), REACH / 4**2

    def straight_through(changed: np.ndarray) -> np.ndarray:
        shift = np.round(latent / scales) - latent / scales  # of the rounding, held still
        steps = latent / changed
        inside = (latent / scales >= -4) & (latent / scales <= 3)
        return np.where(inside, changed * (steps + shift), changed * np.clip(steps, -4, 3))

    for group in range(2):
        step = np.zeros(2)
        step[group] = 1e-5
        slope = (straight_through(scales + step) - straight_through(scales - step)) / 2e-5
        assert np.sum(gradient * slope) * factor == pytest.approx(float(own[group]), rel=1e-3)


def test_fixed_scales_have_no_gradient() -> None:
    quantizer = _quantizer((1, 2), learned=False)
    ones = keras.ops.ones((1, 2))
    assert quantizer.gradients(ones, ones, _tensors(quantizer))[1] == {}


def test_scales_stay_positive() -> None:
    quantizer = _quantizer((1, 2))
    kept = quantizer.settled(keras.ops.ones((1, 2)), {"scale": keras.ops.array([-1.0, 0.3])})
    assert (np.asarray(kept["scale"]) > 0).all()
    assert np.asarray(kept["scale"])[1] == np.float32(0.3)


def test_groups_of_zeros_begin_as_others_do_and_train() -> None:
    scaling = Scaling(np.array([0.5, 1e-12, 2.0, 1.0]), np.array([3, 0, 4, 5], np.int32))
    quantizer = LearnedStepQuantizer((6, 4), Grid(bits=3), Grouping("channel"), scaling)
    np.testing.assert_array_equal(quantizer.parameters["scale"], [0.5, 1.0, 2.0, 1.0])
    np.testing.assert_array_equal(quantizer.parameters["zero_point"], [3, 4, 4, 5])
    latent = np.zeros((6, 4), np.float32)
    values = quantizer.quantize(keras.ops.convert_to_tensor(latent), _tensors(quantizer))
    np.testing.assert_array_equal(values, latent)  # the network is the same
    latent[:, 1] = [0.6, -0.6, 0.3, -0.3, 1.2, -1.2]
    moves, _ = quantizer.gradients(
        keras.ops.ones((6, 4)), keras.ops.convert_to_tensor(latent), _tensors(quantizer)
    )
    np.testing.assert_array_equal(moves, np.ones((6, 4)))


@pytest.mark.parametrize("kind", ["symmetric", "affine", "unsigned"])
def test_a_layer_of_zeros_begins_with_usable_scales(kind: Literal["symmetric", "affine"]) -> None:
    scaling = Scaling(np.full(4, 1e-12), np.zeros(4, np.int32))
    grid = Grid(bits=4, kind=kind)
    quantizer = LearnedStepQuantizer((9, 4), grid, Grouping("channel"), scaling)
    assert (quantizer.parameters["scale"] > 1e-2).all()
    assert set(quantizer.parameters["zero_point"]) <= set(grid.zero_points)


@pytest.mark.parametrize(
    ("bits", "num_values", "is_papers"), [(3, 16, True), (4, 144, True), (8, 144, False)]
)
def test_the_largest_weight_moves_about_as_fast_as_the_others(
    bits: int, num_values: int, is_papers: bool
) -> None:
    grid = Grid(bits=bits, kind="symmetric", narrow=True)
    scaling = Scaling(np.ones(1), np.array(grid.zero_points[:1], np.int32))
    quantizer = LearnedStepQuantizer((num_values, 1), grid, Grouping("tensor"), scaling)
    most = grid.highest - grid.zero_points[0]
    latent = np.zeros((num_values, 1), np.float32)
    latent[0] = 2.0 * most  # beyond the end: its value is the end
    _, own = quantizer.gradients(
        keras.ops.ones((num_values, 1)), keras.ops.convert_to_tensor(latent), _tensors(quantizer)
    )
    per_step = most * float(own["scale"][0])
    assert per_step <= REACH * 1.0001
    papers = most**2 / np.sqrt(num_values * most)
    assert np.isclose(per_step, papers) == is_papers
