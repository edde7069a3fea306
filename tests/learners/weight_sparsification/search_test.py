"""The problem of `optimal`: its choices and its budget, before any table is made."""

import types

import numpy as np
import pytest

from learners.budget import parse_budget
from learners.weight_sparsification.config import WeightSparseConfig
from learners.weight_sparsification.search import sparse_problem
from learners.weight_sparsification.targets import find_targets, num_left
from tests.learners import networks
from utils.errors import InputError
from utils.graph import complexity, from_keras


def problem(budget=None, **values):
    graph = from_keras(networks.vgg())
    config = WeightSparseConfig(**values)
    targets = find_targets(graph, config)
    found = None if budget is None else parse_budget(budget, ("nonzeros",))
    context = types.SimpleNamespace(
        run=types.SimpleNamespace(budget=budget),
        budget=found,
        stage=types.SimpleNamespace(entry=types.SimpleNamespace(quantity="sparsity")),
    )
    learner = types.SimpleNamespace(context=context, config=config)
    left = num_left(targets, config, found, complexity(graph).nonzeros)

    def no_images():
        raise AssertionError("no image may be drawn before the first roll-out")

    def shares():  # no choices, and off the budget
        tenth = {name: size // 10 + 1 for name, size in targets.sizes.items()}
        return {**tenth, targets.layers[0].name: targets.layers[0].size // 2 + 1}

    return graph, targets, sparse_problem(learner, graph, targets, left, no_images, shares)


def test_a_ratio_counts_what_is_up_for_pruning():
    _, targets, found = problem(prune_ratio=0.8)
    stay = int(found.refined(found.uniform()).sum())
    wanted = round(0.2 * sum(targets.sizes.values()))
    assert 0.98 * (wanted + targets.nonzeros) - 1 <= stay + targets.nonzeros
    assert stay <= wanted + 1


def test_a_budget_counts_the_whole_network():
    graph, targets, found = problem("nonzeros:0.5")
    stay = int(found.refined(found.uniform()).sum()) + targets.nonzeros
    assert 0.97 <= stay / (0.5 * complexity(graph).nonzeros) <= 1.0


def test_every_layer_may_keep_all_its_weights_and_the_ratio_is_a_choice():
    _, targets, found = problem(prune_ratio=0.77)
    for layer in found.layers:
        assert layer.choices[-1] == targets.sizes[layer.name]
        assert min(abs(c - 0.23 * targets.sizes[layer.name]) for c in layer.choices) <= 1
        assert np.all(np.diff(layer.choices) > 0)


def test_a_budget_out_of_reach_is_refused_with_what_is_in_reach():
    with pytest.raises(InputError, match=r"cannot be met.*nonzeros between"):
        problem("nonzeros:0.0001")


def test_the_start_after_the_uniform_one_is_made_of_choices_and_meets_the_budget():
    _, targets, found = problem(prune_ratio=0.8)
    (start,) = found.starts()
    uniform = found.refined(found.uniform())
    assert all(value in layer.choices for value, layer in zip(start, found.layers, strict=True))
    assert found.floor <= found.load.of(start) <= 1.0
    assert start[0] > uniform[0]
