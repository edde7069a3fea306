import numpy as np
import pytest

from learners.search.choices import ChoiceLayer
from learners.search.environment import BudgetEnvironment
from learners.search.greedy import GreedyAgent, allocate
from learners.search.harms import measured_harms
from learners.search.rewards import Score
from tests.learners.search.toy import ToyProblem


def test_allocation_is_within_a_step_of_the_optimum():
    problem = ToyProblem()
    values = allocate(problem.errors(), problem.layers, problem.load)
    assert problem.load.of(values) <= 1.0
    best, uniform = problem.accuracy(problem.optimum()), problem.accuracy([4, 4, 4, 4])
    assert problem.accuracy(values) >= uniform + 0.9 * (best - uniform)


def test_allocation_sees_past_a_plateau():
    layers = [ChoiceLayer(name, (1, 2, 3, 4), (), 0) for name in "ab"]
    # The first step of "a" hurts, the next ones are free; "b" hurts evenly.
    harms = [np.array([1.0, 1.0, 1.0, 0.0]), np.array([3.0, 2.0, 1.0, 0.0])]
    assert allocate(harms, layers, lambda v: v.sum(axis=1) / 5).tolist() == [1, 4]


def test_allocation_gives_the_smallest_where_nothing_fits():
    layers = [ChoiceLayer(name, (1, 2), (), 0) for name in "ab"]
    harms = [np.array([1.0, 0.0])] * 2
    assert allocate(harms, layers, lambda v: v.sum(axis=1) / 1).tolist() == [1, 1]


def agent_for(problem, **options):
    env = BudgetEnvironment(problem.layers, problem.load)
    agent = GreedyAgent(
        env.num_layers,
        env.state_dim,
        problem=problem,
        around=problem.uniform(),
        **options,
    )
    return agent, env


def test_the_first_proposal_is_the_allocation_itself():
    problem = ToyProblem()
    agent, env = agent_for(problem)
    agent.ask(env)
    harms = measured_harms(problem, problem.uniform())
    assert env.settled().tolist() == allocate(harms, problem.layers, problem.load).tolist()


def test_harms_are_measured_once_and_saved():
    problem = ToyProblem()
    agent, env = agent_for(problem)
    for _ in range(3):
        agent.tell(agent.ask(env), 0.5)
    spent = problem.num_scored
    assert spent > 0
    other, env = agent_for(problem)
    other.load_state_dict(agent.state_dict())
    assert other.ask(env).tolist() == agent.ask(env).tolist()
    assert problem.num_scored == spent


class Misleading(ToyProblem):
    """Layers alone are missed as little as they matter much."""

    def score(self, values):
        alone = self.errors()
        loss = sum(alone[i].max() ** -2 * alone[i][v - 1] for i, v in enumerate(values))
        return Score(None, float(loss))


def test_wrong_harms_are_corrected_by_what_is_learned():
    problem = Misleading()
    agent, env = agent_for(problem, num_rollouts=80)
    scores = []
    for _ in range(80):
        agent.ask(env)
        values = env.settled()
        scores.append(problem.accuracy(values))
        agent.tell(env.actions(values), scores[-1])
    best, uniform = problem.accuracy(problem.optimum()), problem.accuracy([4, 4, 4, 4])
    assert scores[0] < uniform
    assert max(scores) >= uniform + 0.85 * (best - uniform)


def test_the_state_of_other_layers_is_refused():
    agent, env = agent_for(ToyProblem())
    agent.tell(agent.ask(env), 0.5)
    state = agent.state_dict()
    with pytest.raises(ValueError, match="are for other layers than these 4"):
        agent.load_state_dict(state | {"table": np.zeros(5)})
