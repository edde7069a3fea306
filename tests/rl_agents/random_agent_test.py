import numpy as np

from rl_agents.base import VectorAgent
from rl_agents.random_agent import RandomAgent


def test_actions_are_uniform_and_independent():
    agent = RandomAgent(4, 1, seed=1)
    assert isinstance(agent, VectorAgent)
    draws = []
    for index in range(2_000):
        agent.num_told = index
        draws.append(agent._propose(agent.generator(0)))
    draws = np.array(draws)
    np.testing.assert_allclose(draws.mean(axis=0), 0.5, atol=0.03)
    np.testing.assert_allclose(draws.std(axis=0), np.sqrt(1 / 12), atol=0.02)
    assert np.abs(np.corrcoef(draws.T) - np.eye(4)).max() < 0.08
