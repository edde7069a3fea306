"""Sharing out: against all allocations there are."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learners.reconstruction.sharing import errors_by_turns, turns


def curves(rng, num_teams, num_steps, *, convex):
    rises = rng.exponential(size=(num_teams, num_steps))
    rises = np.sort(rises, axis=1) if convex else rises
    return np.concatenate([np.zeros((num_teams, 1)), np.cumsum(rises, axis=1)], axis=1)


def best(errors, total):
    sizes = range(errors.shape[1])
    return min(
        sum(errors[team, count] for team, count in enumerate(counts))
        for counts in itertools.product(sizes, repeat=len(errors))
        if sum(counts) == total
    )


def allocated(errors, total):
    counts = np.bincount(turns(errors)[:total], minlength=len(errors))
    return errors[np.arange(len(errors)), counts].sum()


def test_convex_curves_are_shared_optimally_at_every_total():
    errors = curves(np.random.default_rng(0), 3, 5, convex=True)
    for total in range(16):
        assert allocated(errors, total) == pytest.approx(best(errors, total))


def test_a_dear_step_in_front_of_free_ones():
    """Choosing the cheapest next step would take all of the second team first."""
    errors = np.array([[0.0, 1.0, 1.0, 1.0], [0.0, 0.5, 1.0, 1.5]])
    np.testing.assert_array_equal(turns(errors)[:3], [0, 0, 0])


@settings(max_examples=30, derandomize=True, deadline=None)
@given(seed=st.integers(0, 2**16), convex=st.booleans())
def test_the_corners_of_the_hulls_are_optimal(seed, convex):
    errors = curves(np.random.default_rng(seed), 3, 4, convex=convex)
    order = turns(errors)
    np.testing.assert_array_equal(np.bincount(order), [4, 4, 4])
    curve = errors_by_turns(errors, order)
    direct = [allocated(errors, total) for total in range(13)]
    np.testing.assert_allclose(curve, direct)
    optimum = np.array([best(errors, total) for total in range(13)])
    # No straight line between two optima lies under the shared curve's corners.
    line = np.interp(np.arange(13), *lower_hull(optimum))
    corners = np.isclose(curve, line)
    assert corners.sum() >= len(lower_hull(optimum)[0])
    assert np.all(curve >= line - 1e-12)


def lower_hull(values):
    """Corners (x, y) of the lower convex hull of a curve, by its definition."""
    corners = [0]
    while corners[-1] < len(values) - 1:
        here = corners[-1]
        slopes = (values[here + 1 :] - values[here]) / np.arange(1, len(values) - here)
        corners.append(here + 1 + int(np.flatnonzero(np.isclose(slopes, slopes.min()))[-1]))
    return np.array(corners), values[corners]


def test_curves_of_several_lengths():
    """Against the optimum over all allocations, at the corners of its hull."""
    rng = np.random.default_rng(1)
    errors = [np.concatenate([[0.0], np.cumsum(np.sort(rng.exponential(size=n)))]) for n in (2, 5)]
    order = turns(errors)
    np.testing.assert_array_equal(np.bincount(order), [2, 5])
    expected = [
        min(errors[0][n] + errors[1][m] for n in range(3) for m in range(6) if n + m == total)
        for total in range(8)
    ]
    np.testing.assert_allclose(errors_by_turns(errors, order), expected)


def test_nothing_to_share():
    assert turns(np.zeros((3, 1))).size == 0
    np.testing.assert_array_equal(errors_by_turns(np.ones((3, 1)), np.empty(0, int)), [3.0])


def test_equal_slopes_go_by_team():
    errors = np.tile(np.arange(3.0), (2, 1))
    np.testing.assert_array_equal(turns(errors), [0, 0, 1, 1])
