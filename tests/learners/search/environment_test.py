import numpy as np
import pytest

from learners.search.choices import ChoiceLayer
from learners.search.environment import BudgetEnvironment
from rl_agents.base import follow, walk
from tests.learners.search.toy import COSTS, ToyProblem


@pytest.fixture
def env():
    problem = ToyProblem()
    return BudgetEnvironment(problem.layers, problem.load)


def test_the_state_says_what_the_documents_say(env):
    state = env.reset()
    assert state.shape == (env.state_dim,) == (4 + 4 + 2 + 3,)
    assert state[:4].tolist() == [1, 0, 0, 0]
    assert state[8] == pytest.approx(0.25)  # share of the parameters
    assert state[9] == pytest.approx(COSTS[0] / COSTS.sum() * 7 / 8)  # what its smallest saves
    assert state[10] == 0.0  # nothing saved so far
    state, applied, done = env.step(1.0)
    assert state[:4].tolist() == [0, 1, 0, 0]
    assert applied == 1.0
    assert not done
    assert state[10] == pytest.approx(COSTS[0] / COSTS.sum())
    assert state[12] == 1.0  # the previous action


def test_the_budget_left_falls_as_layers_are_kept(env):
    before = env.reset()[11]
    assert env.step(0.0)[0][11] < before


@pytest.mark.parametrize("actions", [np.zeros(4), np.ones(4), np.array([0.0, 1.0, 0.0, 1.0])])
def test_whatever_an_agent_wants_the_budget_is_met(env, actions):
    walk(env, follow(actions))
    assert 0.98 <= env.load(env.settled()[None])[0] <= 1.0


def test_random_roll_outs_are_inside_and_reach_every_choice(env):
    generator = np.random.default_rng(0)
    seen = [set() for _ in range(4)]
    for _ in range(300):
        walk(env, follow(generator.random(4)))
        values = env.settled()
        assert 0.98 <= env.load(values[None])[0] <= 1.0
        for found, value in zip(seen, values, strict=True):
            found.add(int(value))
    assert all(len(found) >= 7 for found in seen)


def test_what_can_be_had_is_given_as_asked(env):
    wanted = np.array([4, 4, 4, 4])
    actions = env.actions(wanted)
    assert walk(env, follow(actions)).actions == pytest.approx(actions)
    assert env.settled().tolist() == wanted.tolist()


def test_without_a_floor_an_agent_may_stay_below(env):
    problem = ToyProblem()
    free = BudgetEnvironment(problem.layers, problem.load, floor=0.0)
    walk(free, follow(np.ones(4)))
    assert free.settled().tolist() == [1, 1, 1, 1]
    walk(free, follow(np.zeros(4)))
    assert 0.9 <= free.load(free.settled()[None])[0] <= 1.0


def test_coarse_steps_end_at_the_nearest_point():
    layers = [ChoiceLayer(name, (2, 10), (3, 3, 10, 10), 900) for name in "ab"]
    env = BudgetEnvironment(layers, lambda values: values.sum(axis=1) / 13.0)
    walk(env, follow(np.zeros(2)))
    assert sorted(env.settled().tolist()) == [2, 10]


def test_layers_of_vectors_have_a_state_too():
    layers = [ChoiceLayer("fc", (1, 2, 3), (3,), 3)]
    env = BudgetEnvironment(layers, lambda values: values[:, 0] / 2.0)
    assert np.isfinite(env.reset()).all()
