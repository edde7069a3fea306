import itertools

import numpy as np
import pytest

from learners.search.allocation import Allocator
from learners.search.choices import ChoiceLayer, Load, polish, uniform
from tests.learners.search.toy import ToyProblem

SIZE, NUM_LAYERS = 7, 4


class Chain:
    """Layers one after the other: each costs what it reads times what it gives."""

    def __init__(self, seed, kinds=("flops",)):
        rng = np.random.default_rng(seed)
        self.factors = rng.uniform(0.2, 1.0, NUM_LAYERS + 1)
        self.slopes = rng.uniform(0.2, 1.0, NUM_LAYERS)
        self.layers = [
            ChoiceLayer(f"l{i}", tuple(range(1, SIZE + 1)), (), 0) for i in range(NUM_LAYERS)
        ]
        counts = np.arange(1, SIZE + 1)
        self.errors = [
            rng.lognormal() * (1.0 - counts / SIZE) ** rng.uniform(1.0, 3.0)
            for _ in range(NUM_LAYERS)
        ]
        full = self.cost(np.full((1, NUM_LAYERS), SIZE))
        self.load = Load(self.cost, {kind: 0.45 * float(full[kind][0]) for kind in kinds})

    def cost(self, values):
        values = np.asarray(values, float)
        ends = np.full((len(values), 1), 4.0)
        widths = np.concatenate([ends, values, ends], axis=1)
        return {
            "flops": (widths[:, :-1] * widths[:, 1:]) @ self.factors,
            "params": values @ self.slopes,
        }

    def everything(self):
        rows = np.array(list(itertools.product(range(1, SIZE + 1), repeat=NUM_LAYERS)))
        errors = np.sum([e[rows[:, i] - 1] for i, e in enumerate(self.errors)], axis=0)
        loads = self.load(rows)
        return errors[(loads >= 0.98) & (loads <= 1.0)].min()


def allocator(problem):
    start = polish(uniform(problem.layers, problem.load), problem.layers, problem.load)
    return Allocator(problem.layers, problem.load, start), start


def test_costs_that_add_up_are_answered_as_by_brute_force():
    problem = ToyProblem()
    found = Allocator(problem.layers, problem.load, problem.uniform())
    assert found.is_additive
    values = found(problem.errors())
    assert problem.load.of(values) <= 1.0
    assert problem.accuracy(values) == pytest.approx(problem.accuracy(problem.optimum()))
    assert found.error(problem.errors(), values) == pytest.approx(1 - problem.accuracy(values))


@pytest.mark.parametrize("kinds", [("flops",), ("flops", "params")])
def test_products_and_several_kinds_come_near_to_brute_force(kinds):
    gaps = []
    for seed in range(12):
        problem = Chain(seed, kinds)
        found, start = allocator(problem)
        assert not found.is_additive
        values = found(problem.errors)
        assert 0.98 <= problem.load.of(values) <= 1.0
        least = problem.everything()
        uniform_error = found.error(problem.errors, start)
        gaps.append(
            (found.error(problem.errors, values) - least) / max(uniform_error - least, 1e-12)
        )
    assert np.mean(gaps) <= 0.02  # of what uniform loses
    assert max(gaps) <= 0.15
    assert np.sum(np.array(gaps) <= 1e-9) >= 8


def test_an_answer_does_not_depend_on_those_before():
    problem = Chain(3)
    found, _ = allocator(problem)
    first = found(problem.errors)
    found([column[::-1].copy() for column in problem.errors])
    assert found(problem.errors).tolist() == first.tolist()


def test_without_a_floor_an_answer_may_stay_below():
    problem = ToyProblem()
    flat = [np.zeros(8)] * 4
    found = Allocator(problem.layers, problem.load, problem.uniform(), floor=0.0)
    assert problem.load.of(found(flat)) <= 1.0


def test_what_cannot_be_met_gives_the_smallest():
    layers = [ChoiceLayer(name, (1, 2), (), 0) for name in "ab"]
    load = Load(lambda values: {"bits": values.sum(axis=1)}, {"bits": 1.0})
    errors = [np.array([1.0, 0.0])] * 2
    assert Allocator(layers, load, np.array([2, 2]))(errors).tolist() == [1, 1]
