import numpy as np
import pytest

from rl_agents.evolution import EvolutionAgent, mutated
from rl_agents.problems import SharedBudget, play


class TestMutation:
    def test_some_entries_move_the_rest_stays(self):
        vector = np.full(30, 0.5)
        changed = [
            np.count_nonzero(mutated(vector, 0.1, np.random.default_rng(seed)) != vector)
            for seed in range(400)
        ]
        assert min(changed) >= 1
        assert np.mean(changed) == pytest.approx(3.0 + 1.0, abs=0.4)  # 3 drawn and 1 certain

    def test_steps_have_their_size(self):
        moves = [
            mutated(np.full(1, 0.5), 0.05, np.random.default_rng(seed))[0] - 0.5
            for seed in range(2_000)
        ]
        assert np.std(moves) == pytest.approx(0.05, rel=0.1)
        assert np.mean(moves) == pytest.approx(0.0, abs=0.005)

    def test_borders_reflect(self):
        for seed in range(200):
            child = mutated(np.array([0.0, 1.0, 0.5]), 0.8, np.random.default_rng(seed))
            assert child.min() >= 0.0
            assert child.max() <= 1.0
        draws = [mutated(np.zeros(1), 0.1, np.random.default_rng(s))[0] for s in range(500)]
        assert np.count_nonzero(np.array(draws) == 0.0) == 0

    def test_parent_is_left_alone(self):
        parent = np.full(4, 0.5)
        mutated(parent, 0.3, np.random.default_rng(0))
        np.testing.assert_array_equal(parent, np.full(4, 0.5))


@pytest.mark.parametrize(("num_rollouts", "expected"), [(10, 6), (200, 20), (5_000, 50)])
def test_population_is_a_tenth_of_the_roll_outs(num_rollouts, expected):
    assert EvolutionAgent(3, 1, num_rollouts=num_rollouts).population_size == expected


def test_population_holds_the_best_seen():
    problem = SharedBudget(4)
    agent = EvolutionAgent(4, problem.state_dim, num_rollouts=60)
    scores = play(agent, problem, 60)
    members = agent.state_dict()["scores"]
    np.testing.assert_allclose(np.sort(members), np.sort(scores)[-agent.population_size :])


def test_children_descend_from_good_members():
    problem = SharedBudget(30)
    agent = EvolutionAgent(30, problem.state_dim, num_rollouts=10)
    good = np.full(30, 0.6)
    for index in range(agent.population_size):
        agent.ask(problem)
        agent.tell(good if index == 2 else np.ones(30), float(index == 2))
    inherited = [
        np.count_nonzero(agent._propose(np.random.default_rng(seed)) == 0.6) for seed in range(30)
    ]
    assert max(inherited) >= 24  # about four mutated
    assert np.mean(inherited) >= 5  # tournaments of two among six members find it every third time
