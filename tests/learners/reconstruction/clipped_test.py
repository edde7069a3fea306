import dataclasses

import numpy as np
import pytest
from scipy.optimize import minimize

from learners.reconstruction import clipped
from learners.reconstruction.clipped import refit_clipped
from learners.reconstruction.sampling import Samples


def problem(seed=0, rows=80, inputs=6, outputs=3):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, inputs)).astype(np.float32)
    y = x @ rng.normal(size=(inputs, outputs)) + 0.5 * rng.normal(size=(rows, outputs))
    shortcuts = 0.3 * rng.normal(size=(rows, outputs)).astype(np.float32)
    weights = rng.uniform(0.1, 3.0, rows).astype(np.float32)
    return Samples(x, y.astype(np.float32), shortcuts, weights)


def loss(samples, level, sign, kernel, offset):
    """What the module says, entry by entry."""
    total = np.zeros(kernel.shape[1])
    outputs = samples.rows @ kernel + offset
    for row, output in np.ndindex(outputs.shape):
        cut = level[output] - samples.shortcuts[row, output]
        u, y = outputs[row, output], samples.targets[row, output]
        error = y - u if (y - cut) * sign[output] > 0 else max((u - cut) * sign[output], 0.0)
        total[output] += samples.weights[row] * error**2
    return total


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_it_comes_to_the_minimum_of_what_is_seen(sign):
    samples = problem()
    level, signs = np.array([0.2, -0.1, 0.0], np.float32), np.full(3, sign)
    mask = np.ones((6, 3), bool)
    mask[[0, 3], [1, 2]] = False
    begin = mask * np.linalg.lstsq(samples.rows, samples.targets, rcond=None)[0]
    found, offset = refit_clipped(
        samples, level, signs, begin, np.zeros(3), old=np.zeros((6, 3)), pull=1e-9, steps=60
    )
    assert not found[~mask].any()
    reached = loss(samples, level, signs, found, offset)
    for output in range(3):
        own = mask[:, output]

        def objective(v, output=output, own=own):
            kernel, shift = np.zeros((6, 3)), np.zeros(3)
            kernel[own, output], shift[output] = v[:-1], v[-1]
            return loss(samples, level, signs, kernel, shift)[output]

        best = minimize(objective, np.append(begin[own, output], 0.0), method="BFGS")
        assert reached[output] <= best.fun * 1.001 + 1e-6
    assert (reached <= loss(samples, level, signs, begin, np.zeros(3))).all()


def test_where_all_is_seen_it_is_weighted_least_squares():
    samples = problem(outputs=1)
    found, offset = refit_clipped(
        samples, np.zeros(1), np.zeros(1), np.ones((6, 1)), np.zeros(1),
        old=np.zeros((6, 1)), pull=1e-9, steps=20,
    )  # fmt: skip
    root = np.sqrt(samples.weights)[:, None]
    columns = np.column_stack([samples.rows, np.ones(len(samples.rows))])
    wanted = np.linalg.lstsq(columns * root, samples.targets * root, rcond=None)[0]
    np.testing.assert_allclose(np.append(found, offset), wanted[:, 0], atol=1e-4)


def test_what_is_below_the_level_stays_there_without_a_cost():
    samples = problem(outputs=1)
    level = np.array([1e3], np.float32)  # nothing passes
    begin = np.ones((6, 1)), np.zeros(1)
    found = refit_clipped(samples, level, np.ones(1), *begin, old=np.ones((6, 1)), pull=0.1)
    np.testing.assert_array_equal(found[0], begin[0])


@pytest.mark.parametrize("shared_shortcut", [False, True])
def test_wide_layers_are_refitted_a_few_outputs_at_a_time(monkeypatch, shared_shortcut):
    samples = problem(outputs=7)
    if shared_shortcut:
        samples = dataclasses.replace(samples, shortcuts=np.zeros((80, 1), np.float32))
    level = np.linspace(-0.3, 0.3, 7).astype(np.float32)
    begin = np.linalg.lstsq(samples.rows, samples.targets, rcond=None)[0]
    begin[0, 2] = begin[:, 4] = 0.0
    arguments = samples, level, np.ones(7), begin, np.zeros(7)
    wanted = refit_clipped(*arguments, old=begin, pull=0.01)
    widths = []
    factor = clipped._lowered
    monkeypatch.setattr(
        clipped, "_lowered", lambda *rest: widths.append(rest[2][1].size) or factor(*rest)
    )
    monkeypatch.setattr(clipped, "MAX_BYTES", 3 * (8 * 36 + 32 * 80))
    found = refit_clipped(*arguments, old=begin, pull=0.01)
    assert widths == [3, 3, 1]
    for mine, its in zip(found, wanted, strict=True):
        np.testing.assert_allclose(mine, its, atol=1e-5)
