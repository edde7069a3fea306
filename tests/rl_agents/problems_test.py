import itertools

import numpy as np
import pytest

from rl_agents.base import follow, walk
from rl_agents.problems import MoveToTarget, Pendulum, SharedBudget


class TestSharedBudget:
    def test_optimum_agrees_with_brute_force(self):
        problem = SharedBudget(3, seed=2)
        grid = np.linspace(0.0, 1.0, 101)
        best = -np.inf
        for first, second in itertools.product(grid, grid):
            needed = problem.NEEDED - problem.costs[:2] @ [first, second]
            third = max(0.0, needed / problem.costs[2])
            if third <= 1.0:
                best = max(best, problem.score(np.array([first, second, third])))
        assert problem.score(problem.optimum()) >= best - 1e-12
        assert problem.score(problem.optimum()) == pytest.approx(best, abs=1e-3)

    @pytest.mark.parametrize("seed", range(4))
    def test_optimum_and_uniform_meet_the_budget(self, seed):
        problem = SharedBudget(12, seed=seed)
        for actions in (problem.optimum(), problem.uniform()):
            assert problem.costs @ actions == pytest.approx(0.5)
            np.testing.assert_allclose(walk(problem, follow(actions)).actions, actions, atol=1e-9)
        assert problem.gain(problem.score(problem.optimum())) == 1.0
        assert problem.gain(problem.score(problem.uniform())) == 0.0

    def test_actions_are_clipped_so_that_the_budget_stays_reachable(self):
        problem = SharedBudget(6, seed=1)
        applied = walk(problem, follow(np.zeros(6))).actions
        assert problem.costs @ applied == pytest.approx(0.5)
        assert applied[0] == 0.0
        assert applied[-1] == 1.0


class TestMoveToTarget:
    def test_walking_straight_has_no_regret(self):
        problem = MoveToTarget(12, seed=0)
        for _ in range(5):
            position, target = problem.reset()
            actions = []
            for _ in range(12):
                actions.append(0.5 + 0.5 * float(np.clip(target - position, -1.0, 1.0)))
                (position, _), _, _ = problem.step(actions[-1])
            np.testing.assert_allclose(problem.score(np.array(actions)), 0.0, atol=1e-9)

    def test_standing_still_costs_what_could_have_been_walked(self):
        problem = MoveToTarget(3, seed=0)
        position, target = problem.reset()
        for _ in range(3):
            problem.step(0.5)
        expected = -np.minimum(abs(position - target), [1.0, 2.0, 3.0])
        np.testing.assert_allclose(problem.score(np.full(3, 0.5)), expected)


def test_pendulum_is_gymnasiums():
    gymnasium = pytest.importorskip("gymnasium")
    problem, env = Pendulum(seed=3), gymnasium.make("Pendulum-v1")
    state = problem.reset()
    start, _ = env.reset(seed=int(np.random.default_rng(3).integers(2**31)))
    np.testing.assert_array_equal(state, start)
    for action in (0.0, 0.5, 0.9):
        state, applied, done = problem.step(action)
        expected, reward, *_ = env.step(np.array([4.0 * action - 2.0], np.float32))
        np.testing.assert_array_equal(state, expected)
        assert (applied, done) == (action, False)
    assert problem.score(np.zeros(3))[-1] == pytest.approx(float(reward))
