import numpy as np
import pytest

from learners.search.calibration import num_scores
from learners.search.dp import DpAgent
from learners.search.environment import BudgetEnvironment
from tests.learners.search.toy import ToyProblem


def agent_for(problem, **options):
    env = BudgetEnvironment(problem.layers, problem.load)
    agent = DpAgent(
        env.num_layers, env.state_dim, problem=problem, around=problem.uniform(), **options
    )
    return agent, env


def play(problem, num_rollouts, **options):
    agent, env = agent_for(problem, num_rollouts=num_rollouts, **options)
    found = []
    for _ in range(num_rollouts):
        agent.ask(env)
        found.append(env.settled())
        agent.tell(env.actions(found[-1]), problem.accuracy(found[-1]))
    return found


def test_the_first_proposal_is_the_optimum_of_the_table_without_a_roll_out():
    problem = ToyProblem()
    agent, env = agent_for(problem)
    agent.ask(env)
    assert problem.accuracy(env.settled()) == pytest.approx(problem.accuracy(problem.optimum()))
    assert problem.num_scored == num_scores(problem.layers) == 9


def test_the_table_is_made_once_and_saved():
    problem = ToyProblem()
    agent, env = agent_for(problem)
    for _ in range(3):
        agent.tell(agent.ask(env), 0.5)
    other, _ = agent_for(problem)
    other.load_state_dict(agent.state_dict())
    assert other.ask(env).tolist() == agent.ask(env).tolist()
    assert problem.num_scored == 9


class Interacting(ToyProblem):
    """What layers lose alone says little: together the first and the last are missed much more."""

    @staticmethod
    def accuracy(values):
        dropped = 1.0 - np.asarray(values) / 8
        return float(ToyProblem.accuracy(values) - 0.8 * dropped[0] * dropped[3])


def test_the_weights_learn_what_a_sum_cannot_say():
    problem = Interacting()
    found = [problem.accuracy(values) for values in play(problem, 60)]
    best, uniform = problem.accuracy(problem.optimum()), problem.accuracy([4, 4, 4, 4])
    assert found[0] < best
    assert max(found) >= uniform + 0.9 * (best - uniform)


def test_equal_seeds_give_equal_searches_others_do_not():
    runs = [
        [tuple(values.tolist()) for values in play(Interacting(), 20, seed=seed)]
        for seed in (3, 3, 4)
    ]
    assert runs[0] == runs[1] != runs[2]


def test_every_proposal_is_within_the_budget_and_new_while_there_are_others():
    problem = ToyProblem()
    found = play(problem, 12)
    assert all(0.98 <= problem.load.of(values) <= 1.0 for values in found)
    assert len({tuple(values.tolist()) for values in found}) >= 10


def test_the_state_of_other_layers_is_refused():
    agent, env = agent_for(ToyProblem())
    agent.tell(agent.ask(env), 0.5)
    state = agent.state_dict()
    with pytest.raises(ValueError, match="are for other layers than these 4"):
        agent.load_state_dict(state | {"weights": np.zeros(3)})
