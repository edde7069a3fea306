import numpy as np

from learners.search.environment import BudgetEnvironment
from learners.search.greedy import allocate
from learners.search.weights import TableAgent
from tests.learners.search.toy import HARMS, ToyProblem


class Flat(TableAgent):
    """A table that takes all layers to be missed alike; remembers the weights it answered."""

    def __init__(self, *sizes, **options):
        super().__init__(*sizes, **options)
        self.num_tables = 0
        self.asked = []

    def make_table(self):
        self.num_tables += 1
        return [(1.0 - np.arange(1, 9) / 8) ** 2 for _ in HARMS]

    def answer(self, table):
        self.asked.append(np.array([column[0] for column in table]))
        return allocate(table, self._layers, self._problem.load)


def agent_for(problem, **options):
    env = BudgetEnvironment(problem.layers, problem.load)
    agent = Flat(
        env.num_layers, env.state_dim, problem=problem, around=problem.uniform(), **options
    )
    return agent, env


def test_the_table_itself_comes_first_then_a_few_weights_are_disturbed():
    agent, env = agent_for(ToyProblem(), num_rollouts=40)
    changes = []
    for _ in range(40):
        first = len(agent.asked)
        agent.tell(agent.ask(env), 0.5)
        changes.append(np.sum(np.abs(agent.asked[first] - agent.asked[-1]) > 1e-12))
    assert changes[0] == 0
    assert 1.0 <= np.mean(changes[1:]) <= 4.0
    assert agent.num_tables == 1


def test_what_scores_better_is_kept_and_what_does_not_is_dropped():
    agent, env = agent_for(ToyProblem(), num_rollouts=40)
    best, weights = -np.inf, None
    for reward in (0.5, 0.7, 0.6, np.nan, 0.7, 0.8):
        agent.tell(agent.ask(env), reward)
        if reward > best:
            best, weights = reward, agent._proposal[1]
        np.testing.assert_array_equal(agent._weights, weights)


def test_a_wrong_table_is_put_right():
    problem = ToyProblem()
    agent, env = agent_for(problem, num_rollouts=100)
    found = []
    for _ in range(100):
        agent.ask(env)
        found.append(problem.accuracy(env.settled()))
        agent.tell(env.actions(env.settled()), found[-1])
    best, uniform = problem.accuracy(problem.optimum()), problem.accuracy([4, 4, 4, 4])
    assert found[0] < uniform + 0.6 * (best - uniform)
    assert max(found) >= uniform + 0.9 * (best - uniform)


def test_initial_candidates_are_not_learned_from():
    problem = ToyProblem()
    env = BudgetEnvironment(problem.layers, problem.load)
    agent, _ = agent_for(problem, initial=[env.actions(problem.uniform())])
    agent.tell(agent.ask(env), 0.9)
    assert agent.num_tables == 0
    assert agent._best == -np.inf
    agent.tell(agent.ask(env), 0.1)
    assert agent._best == 0.1
