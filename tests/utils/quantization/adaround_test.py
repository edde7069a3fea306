"""Rounding up or down for the output."""

import itertools

import numpy as np
import pytest

from utils.quantization.adaround import adaround

_LIMITS = (-7, 7)


def _layer(num_rows: int, num_outputs: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    inputs = np.maximum(rng.normal(size=(400, num_rows)) @ rng.normal(size=(num_rows, num_rows)), 0)
    kernel = rng.normal(size=(num_rows, num_outputs))
    return kernel, inputs.T @ inputs, np.abs(kernel).max(axis=0) / _LIMITS[1]


def _errors(
    kernel: np.ndarray, gram: np.ndarray, integers: np.ndarray, steps: np.ndarray
) -> np.ndarray:
    change = integers * steps - kernel
    return np.sum(change * (gram @ change), axis=0)


def test_it_finds_nearly_the_best_of_all_roundings() -> None:
    kernel, gram, steps = _layer(8, 3)
    found = _errors(kernel, gram, adaround(kernel, gram, steps, _LIMITS), steps)
    nearest = _errors(kernel, gram, np.round(kernel / steps), steps)
    floors = np.floor(kernel / steps)
    every = [
        _errors(kernel, gram, np.clip(floors + np.array(up)[:, None], *_LIMITS), steps)
        for up in itertools.product((0, 1), repeat=8)
    ]
    best = np.min(every, axis=0)
    assert (found <= nearest).all()
    assert found.sum() <= 1.1 * best.sum()
    assert found.sum() < 0.8 * nearest.sum()


def test_weights_go_to_one_of_their_two_neighbours() -> None:
    kernel, gram, steps = _layer(20, 5)
    found = adaround(kernel, gram, steps, _LIMITS, num_steps=100)
    assert found.dtype == np.int32
    assert np.abs(found).max() <= _LIMITS[1]
    assert np.max(np.abs(found - kernel / steps)) < 1.0


def test_independent_inputs_leave_the_nearest() -> None:
    kernel, _, steps = _layer(6, 4)
    found = adaround(kernel, np.eye(6), steps, _LIMITS)
    np.testing.assert_array_equal(found, np.round(kernel / steps))


def test_arrays_must_fit() -> None:
    with pytest.raises(ValueError, match="must be"):
        adaround(np.ones((3, 2)), np.eye(2), np.ones(2), _LIMITS)
