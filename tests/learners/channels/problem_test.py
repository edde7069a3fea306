import numpy as np
import pytest

from learners.budget import parse_budget
from learners.channel_pruning_rmt.config import ChannelPrunedRmtConfig
from learners.channels.budget import ChannelBudget
from learners.channels.groups import prunable_groups
from learners.channels.problem import ChannelProblem
from learners.search.config import AGENTS, SearchConfig
from learners.search.environment import BudgetEnvironment
from learners.search.rewards import Score
from tests.learners import networks
from utils.graph import from_keras

SCALES = {"conv1": 0.1, "conv2": 0.4, "conv3": 0.2, "fc1": 0.3}


def scorer(counts):
    """Pretends that every channel is missed a little less than the one before."""
    sizes = {"conv1": 8, "conv2": 8, "conv3": 12, "fc1": 16}
    loss = sum(SCALES[n] * (1 - count / sizes[n]) ** 2 for n, count in counts.items())
    if counts["conv1"] == 1:
        raise RuntimeError("a failure")
    return Score(1.0 - loss, loss)


def make(config=None, make_scorer=lambda: scorer):
    graph = from_keras(networks.vgg())
    groups = prunable_groups(graph, ChannelPrunedRmtConfig())
    budget = ChannelBudget(graph, groups, parse_budget("flops:0.5"))
    return ChannelProblem(budget, make_scorer, config or SearchConfig()), budget


def test_candidates_are_scored_by_their_counts():
    problem, budget = make()
    values = budget.uniform()
    assert problem.score(values) == scorer(budget.counts(values))


def test_the_scorer_is_made_when_it_is_needed():
    calls = []

    def make_scorer():
        calls.append(1)
        return scorer

    problem, budget = make(make_scorer=make_scorer)
    assert not calls
    problem.score(budget.uniform())
    problem.score(budget.uniform())
    assert len(calls) == 1


def test_single_obj_keeps_to_the_budget_multi_obj_may_stay_below():
    assert make()[0].floor == pytest.approx(0.98)
    config = SearchConfig(reward_type="multi-obj", reward_policy="flops", noise_tolerance=0.1)
    problem, budget = make(config)
    assert problem.floor == 0.0
    values = budget.uniform()
    flops = budget.cost(values[None])["flops"][0]
    assert problem.reward(Score(0.5, 1.0), values) == pytest.approx(-0.5 * np.log(flops))


def test_harms_are_those_of_one_layer_near_the_candidate():
    problem, budget = make()
    around = budget.uniform()
    harms = problem.harms(around)
    assert [len(harm) for harm in harms] == [8, 8, 12, 16]
    assert harms[1][0] == pytest.approx(0.4 * (7 / 8) ** 2, abs=1e-6)
    assert all(harm[-1] == 0.0 for harm in harms)
    assert harms[0][0] == harms[0].max() > 0.0  # the failure counts as the worst


@pytest.mark.parametrize("name", AGENTS)
def test_every_agent_can_be_made_and_begins_with_the_given_candidate(name):
    problem, budget = make()
    env = BudgetEnvironment(problem.layers, problem.load)
    agent = problem.agent(name, env, initial=budget.uniform(), seed=1, num_rollouts=20)
    agent.ask(env)
    assert env.settled().tolist() == budget.uniform().tolist()
    agent.tell(env.actions(env.settled()), 0.5)
    agent.ask(env)
    assert 0.98 <= problem.load.of(env.settled()) <= 1.0
