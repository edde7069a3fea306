import numpy as np
import pytest

from learners.budget import parse_budget
from learners.channel_pruning_rmt.config import ChannelPrunedRmtConfig
from learners.channels.budget import ChannelBudget
from learners.channels.groups import prunable_groups
from learners.channels.problem import ChannelProblem
from learners.search.config import RolloutConfig
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
    budget = parse_budget("flops:0.5")
    choices = ChannelBudget(graph, groups, budget)
    problem = ChannelProblem(budget, lambda: choices, make_scorer, config or RolloutConfig())
    return problem, choices


def test_candidates_are_scored_by_their_counts():
    problem, budget = make()
    values = budget.uniform()
    assert problem.score(values) == scorer(budget.by_name(values))


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
    config = RolloutConfig(reward_type="multi-obj", reward_policy="flops", noise_tolerance=0.1)
    problem, budget = make(config)
    assert problem.floor == 0.0
    values = budget.uniform()
    flops = budget.cost(values[None])["flops"][0]
    assert problem.reward(Score(0.5, 1.0), values) == pytest.approx(-0.5 * np.log(flops))


def test_errors_are_looked_up_for_the_choices_that_there_are():
    class Tables:
        def errors(self, group):
            return np.linspace(1.0, 0.0, {"conv1": 8, "conv2": 8, "conv3": 12, "fc1": 16}[group])

    class Scorer:
        tables = Tables()

    graph = from_keras(networks.vgg())
    groups = prunable_groups(graph, ChannelPrunedRmtConfig())
    budget = parse_budget("flops:0.5")
    choices = ChannelBudget(graph, groups, budget, round_to=4)
    problem = ChannelProblem(budget, lambda: choices, Scorer, RolloutConfig())
    for layer, errors in zip(problem.layers, problem.errors(), strict=True):
        whole = Tables().errors(layer.name)
        assert errors.tolist() == [whole[count - 1] for count in layer.choices]
