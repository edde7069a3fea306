import itertools

import numpy as np
import pytest

from learners.budget import parse_budget
from learners.search.budget import ChoiceBudget
from learners.search.choices import ChoiceLayer
from tests.learners.search.toy import ToyProblem
from utils.errors import InputError

NUM_WEIGHTS = np.array([100.0, 400.0, 1600.0])


def make(text, cost=lambda values: {"bits": values @ NUM_WEIGHTS}, choices=(2, 4, 8), **options):
    layers = [ChoiceLayer(f"l{i}", choices, (n,), n) for i, n in enumerate((100, 400, 1600))]
    return ChoiceBudget("bits", layers, cost, parse_budget(text), **options)


def test_the_uniform_candidate_is_on_the_budget():
    budget = make("bits:0.5")
    assert budget.uniform().tolist() == [4, 4, 4]
    assert budget.measured(budget.uniform()) == {"bits": 8400.0}
    assert budget.load.targets == {"bits": 8400.0}
    assert budget.by_name(budget.uniform()) == {"l0": 4, "l1": 4, "l2": 4}
    assert budget.remarks(budget.uniform()) == []


def test_an_amount_is_the_target_itself():
    assert make("bits:6.1k").load.targets == {"bits": 6100.0}


def test_what_cannot_be_met_is_refused_with_the_range():
    with pytest.raises(InputError, match=r"bits between 0.250 \(4.2 k\) and 1.000 \(16.8 k\)"):
        make("bits:0.1")


def test_where_choices_are_coarse_that_is_stated_in_the_words_of_the_quantity():
    budget = make("bits:0.7", choices=(2, 8))
    found = budget.uniform()
    every = np.array(list(itertools.product((2, 8), repeat=3)))
    assert abs(budget.load.of(found) - 1) == pytest.approx(np.abs(budget.load(every) - 1).min())
    (remark,) = budget.remarks(found)
    assert remark == (
        "budget bits:0.7: the nearest that whole numbers of bits reach is bits 13.8 k of 11.8 k "
        "(+17.3 %)."
    )


def test_multiples_of_a_step_are_preferred_near_the_budget():
    choices = tuple(range(1, 33))
    exact = make("bits:0.495", choices=choices)
    preferring = make("bits:0.495", choices=choices, step=8)
    assert np.sum(exact.uniform() % 8 == 0) < 3
    assert preferring.uniform().tolist() == [16, 16, 16]
    assert preferring.load.of(preferring.uniform()) == pytest.approx(1.0)  # all may cost as much


class Measured:
    """Predicts weights times bits; a real file takes half as much again."""

    def __init__(self):
        self.factor, self.calls = 1.0, 0

    def __call__(self, values):
        return {"bits": values @ NUM_WEIGHTS, "bytes": self.factor * (values @ NUM_WEIGHTS) / 8}

    def measure(self, values):
        self.calls += 1
        return {"bits": float(values @ NUM_WEIGHTS), "bytes": 1.5 * float(values @ NUM_WEIGHTS) / 8}

    def correct(self, values):
        self.factor = 1.5
        return self.measure(values)


def test_what_is_measured_is_corrected_until_the_file_is_right():
    cost = Measured()
    budget = make("bytes:1.5kB", cost, choices=tuple(range(1, 33)))
    predicted = budget.uniform()
    assert cost.measure(predicted)["bytes"] == pytest.approx(2250, rel=0.05)
    refined = budget.refined(predicted)
    assert cost.measure(refined)["bytes"] == pytest.approx(1500, rel=0.02)
    assert budget.remarks(refined) == []
    assert cost.calls < 10


def test_what_is_counted_needs_no_correction():
    budget = make("bits:0.5")
    values = np.array([2, 2, 2])
    assert budget.refined(values) is values


def test_the_toy_is_right():
    problem = ToyProblem()
    assert problem.uniform().tolist() == [4, 4, 4, 4]
    assert problem.load.of(problem.uniform()) == 1.0
