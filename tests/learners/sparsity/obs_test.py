import itertools

import numpy as np
import pytest

from learners.kernels.layers import KernelLayer
from learners.kernels.tables import Moments
from learners.sparsity.masks import ELEMENT, parse_granularity
from learners.sparsity.obs import goes_by_outputs, thinned

TINY = 1e-9  # a pull that does not count


def layer(rows, channels, outputs):
    return KernelLayer(
        name="conv", node="conv", layer="conv", weights=("kernel",),
        shapes=((rows // channels, 1, channels, outputs),), out_axes=(-1,),
    )  # fmt: skip


def problem(rows=8, outputs=4, seed=0, weights=None):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(60, 5)) @ rng.normal(size=(5, rows)) + 0.3 * rng.normal(size=(60, rows))
    kernel = rng.normal(size=(rows, outputs))
    counts = np.ones(outputs) if weights is None else np.asarray(weights, float)
    y = x @ kernel
    return x, y, Moments(x.T @ x, x.T @ y, counts, float(np.sum((y * counts) ** 2))), kernel


def error(x, y, found, weights=1.0):
    return float(np.sum(((x @ found - y) * weights) ** 2))


def refitted(x, y, mask):
    best = np.zeros(mask.shape)
    for output, own in enumerate(mask.T):
        best[own, output] = np.linalg.lstsq(x[:, own], y[:, output], rcond=None)[0]
    return best


@pytest.mark.parametrize("max_work", [1e9, 0.0])
def test_counts_are_met_and_what_stays_is_at_its_best(max_work):
    x, y, moments, kernel = problem()
    rows = layer(8, 4, 4)
    for count, found in thinned(
        moments, kernel, rows, [4, 13, 24], ELEMENT, pull=TINY, max_work=max_work
    ):
        assert np.count_nonzero(found) == count
        best = refitted(x, y, found != 0)
        # In turn it comes near, in own orders it is exact.
        slack = 1e-6 if max_work else 0.05
        assert error(x, y, found) <= (1 + slack) * error(x, y, best) + 1e-6


def test_the_elimination_beats_magnitude_and_comes_near_the_best_of_all():
    x, y, moments, kernel = problem(rows=6, outputs=1, seed=3)
    ((_, found),) = thinned(moments, kernel, layer(6, 6, 1), [3], ELEMENT, pull=TINY)
    errors = {}
    for own in itertools.combinations(range(6), 3):
        mask = np.isin(np.arange(6), own)[:, None]
        errors[own] = error(x, y, refitted(x, y, mask))
    largest = tuple(sorted(np.argsort(-np.abs(kernel[:, 0]))[:3].tolist()))
    assert error(x, y, found) <= errors[largest] + 1e-9
    assert error(x, y, found) <= 1.5 * min(errors.values())


def test_outputs_that_count_more_keep_more():
    left = []
    for last in (1.0, 10.0):
        _, _, moments, kernel = problem(weights=[1.0, 1.0, 1.0, last])
        ((_, found),) = thinned(moments, kernel, layer(8, 4, 4), [10], ELEMENT)
        left.append(np.count_nonzero(found, axis=0))
    assert left[1][3] > left[0][3]
    assert left[0].sum() == left[1].sum() == 10


@pytest.mark.parametrize("max_work", [1e9, 0.0])
@pytest.mark.parametrize(("text", "unit"), [("2:4", 1), ("1x4", 4), ("2x1", 2)])
def test_patterns_hold(max_work, text, unit):
    _, _, moments, kernel = problem()
    grain = parse_granularity(text)
    ((_, found),) = thinned(moments, kernel, layer(8, 4, 4), [16], grain, max_work=max_work)
    kept = found != 0
    assert kept.sum() == 16
    if grain.is_pattern:
        assert (kept.reshape(2, 4, 4).sum(axis=1) == 2).all()
    else:
        tiles = kept.reshape(8 // grain.inputs, grain.inputs, 4 // grain.outputs, grain.outputs)
        assert np.isin(tiles.sum(axis=(1, 3)), (0, unit)).all()


@pytest.mark.parametrize("text", ["element", "1x4"])
def test_zeros_of_before_stay_zeros(text):
    _, _, moments, kernel = problem()
    kernel[2:5, 1] = 0.0
    ((_, found),) = thinned(moments, kernel, layer(8, 4, 4), [24], parse_granularity(text))
    assert not found[2:5, 1].any()


def test_counts_are_met_where_outputs_have_zeros_already():
    x, y, moments, kernel = problem()
    kernel[:6, 0] = kernel[:5, 1] = 0.0
    own = np.count_nonzero(kernel)
    for count, found in thinned(moments, kernel, layer(8, 4, 4), [32, 15, 6, 1], ELEMENT):
        assert np.count_nonzero(found) == min(count, own)
        assert not (found != 0)[kernel == 0].any()
    # An output that has few weights does not give them away for nothing.
    ((_, found),) = thinned(moments, kernel, layer(8, 4, 4), [own - 1], ELEMENT, pull=TINY)
    best = min(
        error(x, y, refitted(x, y, (kernel != 0) & ~gone))
        for gone in np.eye(32, dtype=bool).reshape(-1, 8, 4)[kernel.ravel() != 0]
    )
    assert error(x, y, found) <= best * (1 + 1e-6) + 1e-9


def test_outputs_that_all_count_nothing_are_alike():
    _, _, moments, kernel = problem(weights=[0.0] * 4)
    ((_, found),) = thinned(moments, kernel, layer(8, 4, 4), [9], ELEMENT)
    assert np.isfinite(found).all() and np.count_nonzero(found) == 9


def test_wide_layers_go_together():
    assert goes_by_outputs(layer(576, 64, 64))
    assert not goes_by_outputs(layer(4096, 4096, 4096))
