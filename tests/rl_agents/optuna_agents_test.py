import sys
import warnings

import numpy as np
import pytest

from learners.search.agents import create_agent
from rl_agents.problems import SharedBudget, play
from utils.errors import InputError


@pytest.mark.parametrize(
    ("agent", "package"), [("tpe", "optuna"), ("cma-es", "optuna"), ("cma-es", "cmaes")]
)
def test_missing_package_names_the_extra(monkeypatch, agent, package):
    monkeypatch.setitem(sys.modules, package, None)
    message = rf"needs the package '{package}'.*extra `search`: pip install '\.\[search\]'"
    with pytest.raises(InputError, match=message):
        create_agent(agent, 3, 1)


@pytest.mark.parametrize("name", ["tpe", "cma-es"])
def test_no_warnings_reach_the_user(name, recwarn):
    problem = SharedBudget(3)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        play(create_agent(name, 3, problem.state_dim, num_rollouts=8), problem, 8)
    assert [str(warning.message) for warning in caught] == []


def test_cma_es_starts_at_the_first_initial_vector():
    problem = SharedBudget(6)
    start = np.full(6, 0.8)
    agent = create_agent("cma-es", 6, problem.state_dim, initial=[start])
    agent.ask(problem)
    agent.tell(start, 0.5)
    draws = []
    for seed in range(40):
        agent.seed, agent._asked = seed, None
        draws.append(agent._propose(agent.generator(0)))
    assert np.mean(draws) == pytest.approx(0.8, abs=0.06)


def test_layers_keep_their_order_beyond_ten():
    problem = SharedBudget(12)
    agent = create_agent("tpe", 12, problem.state_dim)
    actions = agent.ask(problem)
    agent.tell(actions, 1.0)
    trial = agent._study.trials[-1]
    np.testing.assert_array_equal(list(trial.params.values()), actions)
    assert trial.value == 1.0
