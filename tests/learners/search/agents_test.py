import subprocess
import sys

import numpy as np
import pytest

from learners.search.agents import AGENTS, agent_class, default_agent, problem_agent
from learners.search.environment import BudgetEnvironment
from rl_agents.base import Agent
from tests.learners.search.toy import ToyProblem
from utils.errors import InputError


@pytest.mark.parametrize("name", AGENTS)
def test_every_agent_can_be_made_and_begins_with_the_given_candidate(name):
    problem, initial = ToyProblem(), np.array([2, 6, 4, 6])
    env = BudgetEnvironment(problem.layers, problem.load)
    agent = problem_agent(name, problem, env, initial=initial, seed=1, num_rollouts=20)
    assert isinstance(agent, Agent)
    agent.ask(env)
    assert env.settled().tolist() == initial.tolist()
    agent.tell(env.actions(env.settled()), 0.5)
    agent.ask(env)
    assert 0.98 <= problem.load.of(env.settled()) <= 1.0


def test_unknown_agents_are_refused_with_the_list():
    with pytest.raises(InputError, match=r"Unknown agent 'dpg' in --agent\..*'ddpg'.*cma-es"):
        agent_class("dpg")


def test_who_searches_where_nobody_is_named():
    assert not AGENTS[default_agent("multi-obj")].needs_problem  # it may stay below the budget
    assert default_agent("single-obj") in AGENTS


def test_the_table_loads_without_tensorflow():
    code = "import sys, learners.search.agents; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
