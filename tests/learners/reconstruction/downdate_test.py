"""Down-dating: against solving anew with NumPy."""

import numpy as np
import pytest

from learners.reconstruction import downdate
from learners.reconstruction.downdate import Downdate

NUM_ROWS, NUM_TEAMS, WIDTH = 10, 3, 2


@pytest.fixture
def problem():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, NUM_ROWS)) @ rng.normal(size=(NUM_ROWS, NUM_ROWS))
    cross = rng.normal(size=(NUM_TEAMS, NUM_ROWS, WIDTH))
    return x.T @ x / 40, cross


def state_of(problem, members):
    gram, cross = problem
    inverse = np.linalg.inv(gram)
    return Downdate(inverse, inverse @ cross, np.asarray(members))


def solved(problem, team, values):
    """Solve for the rows that are not among `values`: {row: value [WIDTH]}."""
    gram, cross = problem[0], problem[1][team]
    kernel = np.zeros((NUM_ROWS, WIDTH))
    for row, value in values.items():
        kernel[row] = value
    left = [row for row in range(NUM_ROWS) if row not in values]
    known = gram[np.ix_(left, list(values))] @ kernel[list(values)]
    kernel[left] = np.linalg.solve(gram[np.ix_(left, left)], cross[left] - known)
    return kernel


def objective(problem, team, kernel):
    gram, cross = problem[0], problem[1][team]
    return np.trace(kernel.T @ gram @ kernel) - 2.0 * np.sum(kernel * cross)


BLOCKS = {
    "single rows": [[row] for row in range(NUM_ROWS)],
    "pairs": [[0, 5], [1, 6], [2, 7], [3, 8], [4, 9]],
    "of several sizes": [[0, 9, 4], [1, -1, -1], [-1, -1, -1], [2, 3, -1], [5, 6, 7], [8, -1, -1]],
}


@pytest.mark.parametrize("members", BLOCKS.values(), ids=BLOCKS)
@pytest.mark.parametrize("panel", [1, 3, 64])
def test_every_step_is_the_solution_of_what_is_left(problem, members, panel, monkeypatch):
    """Teams settle other blocks, at other values; one of them sometimes nothing."""
    monkeypatch.setattr(downdate, "PANEL", panel)
    rng = np.random.default_rng(1)
    state = state_of(problem, members)
    orders = np.array([rng.permutation(len(members)) for _ in range(NUM_TEAMS)]).T
    orders[[0, 3], 1] = -1
    settled = [{} for _ in range(NUM_TEAMS)]
    for blocks in orders:
        values = rng.normal(size=(NUM_TEAMS, len(members[0]), WIDTH))
        before = [objective(problem, team, state.kernel[team]) for team in range(NUM_TEAMS)]
        rises = state.settle(blocks, values)
        for team, block in enumerate(blocks):
            for slot, row in enumerate(members[block] if block >= 0 else []):
                if row >= 0:
                    settled[team][row] = values[team, slot]
            kernel = state.kernel[team]
            np.testing.assert_allclose(kernel, solved(problem, team, settled[team]), atol=1e-9)
            assert rises[team] == pytest.approx(
                objective(problem, team, kernel) - before[team], abs=1e-9
            )


@pytest.mark.parametrize("members", BLOCKS.values(), ids=BLOCKS)
@pytest.mark.parametrize("panel", [1, 64])
def test_losses_are_what_settling_costs(problem, members, panel, monkeypatch):
    monkeypatch.setattr(downdate, "PANEL", panel)
    targets = np.random.default_rng(2).normal(size=(NUM_TEAMS, NUM_ROWS, WIDTH))
    first = np.array([0, 1, 3])
    for block in range(len(members)):
        state = state_of(problem, members)
        state.settle(first)
        rows = np.maximum(members[block], 0)
        losses = state.losses(targets)[:, block]
        rises = state.settle(np.where(first == block, -1, block), targets[:, rows])
        np.testing.assert_allclose(np.where(first == block, 0.0, losses), rises, atol=1e-9)


def test_what_has_no_rows_costs_nothing(problem):
    state = state_of(problem, [[0, 1], [-1, -1]])
    before = state.kernel.copy()
    np.testing.assert_array_equal(state.losses()[:, 1], 0.0)
    np.testing.assert_array_equal(state.settle(np.full(NUM_TEAMS, 1)), 0.0)
    np.testing.assert_array_equal(state.kernel, before)


def test_an_inverse_that_is_none_is_refused(problem):
    inverse = -np.eye(NUM_ROWS)
    state = Downdate(inverse, problem[1], np.arange(NUM_ROWS)[:, None])
    with pytest.raises(ValueError, match="singular to rounding"):
        state.settle(np.zeros(NUM_TEAMS, int))


def test_when_all_is_settled_nothing_changes_any_more(problem, monkeypatch):
    monkeypatch.setattr(downdate, "PANEL", 1)
    state = state_of(problem, np.arange(NUM_ROWS)[:, None])
    for block in range(NUM_ROWS):
        state.settle(np.full(NUM_TEAMS, block))
    for _ in range(3):  # teams that were done earlier wait for others
        np.testing.assert_array_equal(state.settle(np.full(NUM_TEAMS, -1)), 0.0)
    np.testing.assert_array_equal(state.kernel, 0.0)
