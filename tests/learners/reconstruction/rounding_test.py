"""Rounding whole kernels: against solving anew after every row, by hand, and against each other."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learners.reconstruction import rounding
from learners.reconstruction.blocks import Blocks
from learners.reconstruction.elimination import eliminate
from learners.reconstruction.rounding import round_kernel, settle_in_order, settle_in_turn

EXACT = 1e-13


def sampled(seed=0, *, num_samples=80, num_rows=9, num_outputs=4):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(num_samples, num_rows)) @ rng.normal(size=(num_rows, num_rows))
    kernel = rng.normal(size=(num_rows, num_outputs))
    return x, x @ kernel + 0.1 * rng.normal(size=(num_samples, num_outputs)), kernel


def grid(kernel, num_points=3):
    """Make the target of a grid with points up to the largest weight of each output."""
    steps = np.abs(kernel).max(axis=0) / num_points

    def target(values, rows, outputs):
        codes = np.round(values / steps[outputs])
        return steps[outputs] * np.clip(codes, -num_points, num_points)

    return target


def nearest(target, kernel):
    rows, outputs = np.indices(kernel.shape, sparse=True)
    return target(kernel, rows, outputs)


def squared_errors(x, y, kernel):
    return np.sum((y - x @ kernel) ** 2, axis=0)


@pytest.mark.parametrize("batch", [1, 4, rounding.BATCH])
@pytest.mark.parametrize("order", [None, np.arange(9), np.arange(9)[::-1]])
def test_every_row_is_rounded_where_the_refit_of_the_rest_puts_it(order, batch, monkeypatch):
    monkeypatch.setattr(rounding, "BATCH", batch)
    x, y, kernel = sampled()
    target = grid(kernel)
    found, rises = settle_in_order(x.T @ x, x.T @ y, target, order=order, pull=EXACT)
    rows = list(np.argsort(-np.sum(x**2, axis=0)) if order is None else order)
    expected = np.zeros_like(kernel)
    for position, row in enumerate(rows):
        left = rows[position:]
        known = x @ expected
        refit = np.linalg.lstsq(x[:, left], y - known, rcond=None)[0]
        expected[row] = target(refit[:1], np.array([[row]]), np.arange(4)[None])[0]
    np.testing.assert_allclose(found, expected, atol=1e-9)
    best = np.linalg.lstsq(x, y, rcond=None)[0]
    rise = squared_errors(x, y, expected) - squared_errors(x, y, best)
    np.testing.assert_allclose(rises, rise, atol=1e-8)


def test_without_cross_moments_it_is_gptq():
    """Targets of the kernel itself: the published algorithm, with its damping and its update."""
    x, _, kernel = sampled()
    gram, target = x.T @ x, grid(kernel)
    hessian = gram + 0.01 * np.mean(np.diag(gram)) * np.eye(9)
    upper = np.linalg.cholesky(np.linalg.inv(hessian)).T
    weights, expected = kernel.copy(), np.zeros_like(kernel)
    for row in range(9):
        expected[row] = target(weights[row : row + 1], np.array([[row]]), np.arange(4)[None])[0]
        error = (weights[row] - expected[row]) / upper[row, row]
        weights[row:] -= np.outer(upper[row, row:], error)
    found, _ = settle_in_order(
        gram, gram @ kernel, target, order=np.arange(9), kernel=kernel, pull=0.01
    )
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_by_hand():
    """G = [[2, 1], [1, 1]], best at (0.4, 0.45). In this order the first goes to 0, which raises
    the second's best to 0.45 + 0.4 = 0.85, so to 1; turned round see `elimination_test`."""
    gram, best = np.array([[2.0, 1.0], [1.0, 1.0]]), np.array([[0.4], [0.45]])

    def whole(values, rows, outputs):
        return np.round(values)

    for order, expected, rise in (([0, 1], [0, 1], 0.1825), ([1, 0], [1, 0], 0.3825)):
        found, rises = settle_in_order(gram, gram @ best, whole, order=np.array(order), pull=EXACT)
        np.testing.assert_array_equal(found[:, 0], expected)
        assert rises[0] == pytest.approx(rise)


@pytest.mark.parametrize("seed", range(4))
def test_better_than_nearest_and_better_still_in_turn(seed):
    x, _, kernel = sampled(seed, num_rows=30, num_samples=300, num_outputs=12)
    y, target = x @ kernel, grid(kernel)
    moments = x.T @ x, x.T @ y
    found, _ = settle_in_order(*moments, target, kernel=kernel, pull=0.01)
    better = settle_in_turn(*moments, found, target)
    errors = [squared_errors(x, y, each) for each in (nearest(target, kernel), found, better)]
    assert errors[1].sum() < 0.6 * errors[0].sum()
    assert errors[2].sum() < errors[1].sum()
    assert np.all(errors[2] <= errors[1] + 1e-9)
    np.testing.assert_allclose(better, nearest(target, better), atol=1e-12)


@pytest.mark.parametrize("batch", [2, rounding.BATCH])
def test_in_turn_no_single_weight_could_do_better(batch, monkeypatch):
    monkeypatch.setattr(rounding, "BATCH", batch)
    x, y, kernel = sampled(1, num_rows=6, num_outputs=2)
    target = grid(kernel, 2)
    found = settle_in_turn(x.T @ x, x.T @ y, nearest(target, kernel), target)
    reached = squared_errors(x, y, found)
    points = np.abs(kernel).max(axis=0) / 2 * np.arange(-2, 3)[:, None]
    for row in range(6):
        for output in range(2):
            for point in points[:, output]:
                other = found.copy()
                other[row, output] = point
                assert squared_errors(x, y, other)[output] >= reached[output] - 1e-9


def test_in_turn_ends_after_so_many_passes():
    x, y, kernel = sampled(num_rows=30)
    target = grid(kernel)
    start = nearest(target, kernel)
    ends = [
        squared_errors(
            x, y, settle_in_turn(x.T @ x, x.T @ y, start, target, max_passes=passes)
        ).sum()
        for passes in (0, 1, 2, 20)
    ]
    assert ends[0] == squared_errors(x, y, start).sum()
    assert ends[0] > ends[1] > ends[2] >= ends[3]


@settings(max_examples=40, derandomize=True, deadline=None)
@given(
    seed=st.integers(0, 2**16),
    num_samples=st.integers(1, 40),
    num_rows=st.integers(1, 12),
    pull=st.sampled_from([1e-6, 1e-2, 1.0]),
    own_orders=st.booleans(),
    share=st.sampled_from([0.5, 1.0]),
)
def test_a_rounded_kernel_is_never_worse_than_the_nearest_points(
    seed, num_samples, num_rows, pull, own_orders, share
):
    """On the grid, zero where it was, with the error that is said."""
    x, y, kernel = sampled(seed, num_samples=num_samples, num_rows=num_rows, num_outputs=2)
    gram, target = x.T @ x, grid(kernel)
    ridge = pull * np.trace(gram) / num_rows
    present = np.random.default_rng(seed).random(kernel.shape) < share

    def objective(weights):
        return squared_errors(x, y, weights) + ridge * np.sum((weights - kernel) ** 2, axis=0)

    found, rises = round_kernel(
        gram,
        x.T @ y,
        target,
        kernel=kernel,
        pull=pull,
        present=present,
        own_orders=own_orders,
    )
    np.testing.assert_allclose(found, nearest(target, found), atol=1e-12)
    assert not found[~present].any()
    best = np.linalg.solve(gram + ridge * np.eye(num_rows), x.T @ y + ridge * kernel)
    scale = 1e-7 * objective(np.zeros_like(kernel)).max()
    np.testing.assert_allclose(rises, objective(found) - objective(best), atol=scale)
    for start in (kernel, best):
        rounded = np.where(present, nearest(target, start), 0.0)
        assert np.all(objective(found) <= objective(rounded) + scale)


def test_own_orders_where_that_is_not_too_much_work(monkeypatch):
    x, y, kernel = sampled(2, num_rows=40, num_samples=300, num_outputs=10)
    options = {"kernel": kernel, "pull": 0.01, "reach": np.abs(kernel).max(axis=0) / 6}
    moments = x.T @ x, x.T @ y, grid(kernel)
    own, one = (round_kernel(*moments, **options, own_orders=each)[0] for each in (True, False))
    assert not np.array_equal(own, one)
    np.testing.assert_array_equal(round_kernel(*moments, **options)[0], own)
    monkeypatch.setattr(rounding, "MAX_WORK", 10 * 40**3 - 1)
    np.testing.assert_array_equal(round_kernel(*moments, **options)[0], one)


def test_one_order_is_about_as_good_as_own_orders():
    x, _, kernel = sampled(2, num_rows=40, num_samples=300, num_outputs=10)
    y, target = x @ kernel, grid(kernel)
    moments, options = (x.T @ x, x.T @ y), {"kernel": kernel, "pull": 0.01, "target": target}
    one = settle_in_order(*moments, **options)[0]
    own = eliminate(*moments, Blocks.single(40), **options).values
    errors = [squared_errors(x, y, each).sum() for each in (one, own, nearest(target, kernel))]
    assert max(errors[:2]) < 0.6 * errors[2]
    assert errors[0] < 1.25 * errors[1]


def test_singular_moments():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(10, 40))
    x[:, 3] = 0.0
    kernel = rng.normal(size=(40, 3))
    target = grid(kernel)
    found, rises = settle_in_order(x.T @ x, x.T @ (x @ kernel), target, kernel=kernel, pull=1e-2)
    assert np.isfinite(rises).all()
    np.testing.assert_array_equal(found[3], nearest(target, kernel)[3])  # nothing known: its own


@pytest.mark.parametrize("order", [np.array([0, 0]), np.array([0]), np.array([1, 2])])
def test_an_order_must_name_every_row_once(order):
    with pytest.raises(ValueError, match="`order` must be a permutation of 2 rows"):
        settle_in_order(
            np.eye(2), np.eye(2), lambda values, rows, outputs: np.round(values), order=order
        )
