"""Codebooks in training: gradients by loops and finite differences, what moves in each mode."""

import keras
import numpy as np
import pytest

from utils.quantization.codebook import MODES
from utils.quantization.groups import Grouping
from utils.quantization.learned_codebook import CodebookQuantizer
from utils.training.latent import LatentOptimizer, Quantized

SHAPE = (3, 4, 2)
CHANNEL = Grouping("channel")
LEVELS = np.array([[-1.0, -0.25, 0.5, 2.0], [-2.0, 0.0, 0.25, 1.0]])


def kernel(seed=0):
    return np.random.default_rng(seed).normal(size=SHAPE).astype(np.float32)


def expected_values(values, levels):
    found = np.empty_like(values)
    for place in np.ndindex(values.shape):
        row = levels[place[-1]]
        found[place] = row[np.argmin(np.abs(values[place] - row))]
    return found


@pytest.mark.parametrize("mode", MODES)
def test_weights_go_to_the_nearest_level(mode):
    quantizer = CodebookQuantizer(SHAPE, CHANNEL, LEVELS, mode=mode)
    found = np.asarray(quantizer.quantize(kernel(), quantizer.parameters))
    np.testing.assert_array_equal(found, expected_values(kernel(), LEVELS))
    again = np.asarray(quantizer.quantize(found, quantizer.parameters))
    np.testing.assert_array_equal(again, found)


def test_a_levels_gradient_is_the_mean_over_its_cluster():
    quantizer = CodebookQuantizer(SHAPE, CHANNEL, LEVELS, mode="both")
    gradient, values = kernel(1), kernel()
    passed, found = quantizer.gradients(gradient, values, quantizer.parameters)
    np.testing.assert_array_equal(passed, gradient)
    settled = expected_values(values, LEVELS)
    for group, row in enumerate(LEVELS):
        for place, level in enumerate(row):
            members = gradient[..., group][settled[..., group] == level]
            mean = members.mean() if members.size else 0.0
            assert float(found["levels"][group, place]) == pytest.approx(mean, abs=1e-6)


def test_a_step_is_the_projection_of_the_weights_own():
    """The document's gradient, divided by the size of the cluster: see the module."""
    quantizer = CodebookQuantizer(SHAPE, CHANNEL, LEVELS, mode="clusters")
    gradient, values = kernel(1), kernel()
    _, found = quantizer.gradients(gradient, values, quantizer.parameters)
    moved = {**quantizer.parameters, "levels": LEVELS - 0.1 * np.asarray(found["levels"])}
    step = np.asarray(quantizer.quantize(values, moved)) - expected_values(values, LEVELS)
    ids, settled = CHANNEL.ids(SHAPE), expected_values(values, LEVELS)
    clusters = [(ids == g) & (settled == level) for g, row in enumerate(LEVELS) for level in row]
    basis = np.stack([c.ravel() / np.sqrt(c.sum()) for c in clusters if c.any()])
    projected = -0.1 * basis.T @ (basis @ gradient.ravel())
    np.testing.assert_allclose(step.ravel(), projected, atol=1e-6)


def trained(mode, *, num_steps=5, keep_zero=False, rate=0.3):
    """Train a kernel towards another one, and give it with its optimizer."""
    variable = keras.Variable(kernel(), name="kernel")
    quantizer = CodebookQuantizer(SHAPE, CHANNEL, LEVELS, mode=mode, keep_zero=keep_zero)
    optimizer = LatentOptimizer(keras.optimizers.SGD(rate), [Quantized(variable, quantizer)])
    optimizer.build([variable])
    start = np.array(variable)
    for _ in range(num_steps):
        optimizer.apply([np.asarray(variable) - kernel(2)], [variable])
    return start, np.array(variable), np.array(optimizer.parameters["kernel"]["levels"])


def test_mode_weights_moves_weights_between_levels_that_stay():
    start, end, levels = trained("weights")
    np.testing.assert_array_equal(levels, LEVELS)
    assert not np.array_equal(start, end)
    for group in range(2):
        assert np.isin(end[..., group], LEVELS[group]).all()


def test_mode_clusters_moves_levels_and_no_weight_changes_its_cluster():
    start, end, _ = trained("clusters", num_steps=60)
    for group, row in enumerate(LEVELS):
        for level in row:
            members = start[..., group] == level
            assert np.unique(end[..., group][members]).size <= 1
            if members.any():  # of sum (c - w)^2 over the cluster the mean is the best
                mean = kernel(2)[..., group][members].mean()
                assert end[..., group][members][0] == pytest.approx(mean, abs=1e-4)


def test_mode_both_moves_both_and_levels_stay_sorted():
    start, end, levels = trained("both", num_steps=40)
    assert (np.diff(levels, axis=1) >= 0).all()
    assert not np.allclose(levels, LEVELS)
    np.testing.assert_array_equal(end, expected_values(end, levels))
    assert np.sum((end - kernel(2)) ** 2) < 0.5 * np.sum((start - kernel(2)) ** 2)


@pytest.mark.parametrize("mode", ["clusters", "both"])
def test_zero_stays_a_level(mode):
    _, _, levels = trained(mode, keep_zero=True)
    assert (levels[1] == 0.0).any()
    assert not (trained(mode)[2][1] == 0.0).any()


def test_levels_that_are_driven_across_zero_leave_it_in_its_place():
    """Else zero would get the momentum of the level that passed it."""
    values = kernel()
    absent = np.abs(values) < 0.3
    variable = keras.Variable(np.where(absent, 0.0, values), name="kernel")
    quantizer = CodebookQuantizer(
        SHAPE, Grouping("tensor"), np.array([[-1.0, -0.1, 0.0, 1.0]]), mode="both", keep_zero=True
    )
    optimizer = LatentOptimizer(
        keras.optimizers.SGD(0.1, momentum=0.9), [Quantized(variable, quantizer, absent=absent)]
    )
    optimizer.build([variable])
    for _ in range(30):
        optimizer.apply([np.where(np.asarray(variable) < 0, -0.3, 0.1)], [variable])
        levels = np.array(optimizer.parameters["kernel"]["levels"])[0]
        assert (np.diff(levels) >= 0).all()
        assert levels[2] == 0.0
        assert np.isin(np.asarray(variable), levels).all()


def test_wrong_modes_and_levels_are_refused():
    with pytest.raises(ValueError, match="`mode` must be one of weights, clusters, both"):
        CodebookQuantizer(SHAPE, CHANNEL, LEVELS, mode="all")
    with pytest.raises(ValueError, match=r"`levels` must have 2 rows\. Received: 1\."):
        CodebookQuantizer(SHAPE, CHANNEL, LEVELS[:1])
