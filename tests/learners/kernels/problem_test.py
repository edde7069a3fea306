import numpy as np
import pytest

from learners.budget import parse_budget
from learners.kernels.layers import kernel_layers
from learners.kernels.problem import KernelProblem, KernelScorer, LinearCost, choice_layers
from learners.search.budget import ChoiceBudget
from learners.search.config import RolloutConfig
from learners.search.rewards import Score
from tests.learners import networks
from utils.graph import from_keras


class Tables:
    """Stands for the tables: a layer gets wrong by what it lost."""

    def errors(self, name):
        return np.linspace(1.0, 0.0, 10)

    def weights(self, name, choice, value):
        return {(name, "kernel"): value(name, "kernel") * choice}


class Network:
    """Stands for the network: scores by the sum of its kernels."""

    def __init__(self, graph):
        self.original = {
            (la.layer, w): np.ones(s)
            for la in kernel_layers(graph)
            for w, s in zip(la.weights, la.shapes, strict=True)
        }

    def score(self, values):
        return Score(sum(float(array.sum()) for array in values.values()), 0.0)


def make(calls=None):
    graph = from_keras(networks.vgg())
    layers = kernel_layers(graph)
    chosen = choice_layers(
        layers, {la.name: tuple(np.linspace(1, la.size, 10, dtype=int).tolist()) for la in layers}
    )
    cost = LinearCost("nonzeros", np.ones(len(layers)), 100.0)
    choices = ChoiceBudget("sparsity", chosen, cost, parse_budget("nonzeros:0.5", ("nonzeros",)))

    def make_scorer():
        if calls is not None:
            calls.append(1)
        return KernelScorer(Tables(), Network(graph))

    return KernelProblem(choices, make_scorer, RolloutConfig(), num_sampled=7), chosen


def test_candidates_are_scored_by_their_kernels():
    problem, layers = make()
    values = problem.uniform()
    wanted = sum(int(v) * la.num_params for v, la in zip(values, layers, strict=True))
    assert problem.score(values).accuracy == pytest.approx(wanted)


def test_tables_are_made_at_the_first_score():
    calls = []
    problem, _ = make(calls)
    problem.uniform()
    assert not calls
    problem.errors()
    problem.score(problem.uniform())
    assert len(calls) == 1


def test_budget_and_setting_are_those_of_the_choices():
    problem, layers = make()
    total = sum(la.num_params for la in layers) + 100
    load = problem.load.of(problem.uniform())
    assert problem.load.targets["nonzeros"] == pytest.approx(0.5 * total)
    assert 0.98 <= load <= 1.0
    setting = problem.setting(problem.uniform())
    assert setting.quantity == "sparsity"
    assert setting.network == {la.name: la.num_params for la in layers}
    assert problem.num_sampled == 7
