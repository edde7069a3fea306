import math

import numpy as np
import pytest

from learners.search.choices import ChoiceLayer
from learners.search.harms import harm_curve, harm_places, harm_points, measured_harms
from learners.search.rewards import Score
from tests.learners.search.toy import HARMS, ToyProblem


def test_harm_falls_to_zero_at_the_largest_choice():
    layer = ChoiceLayer("conv", tuple(range(1, 65)), (), 0)
    curve = harm_curve(layer, lambda value: 5.0 + 1.0 / value, 6)
    counts = np.arange(1, 65)
    assert curve[-1] == 0.0
    assert np.all(np.diff(curve) <= 1e-12)
    assert curve == pytest.approx(1.0 / counts - 1.0 / 64, abs=0.06)


def test_noise_cannot_make_more_worse():
    losses = {64: 1.0, 32: 0.9, 16: 1.3, 8: 1.2, 4: 2.0, 2: 3.0, 1: 5.0}
    layer = ChoiceLayer("conv", tuple(range(1, 65)), (), 0)
    curve = harm_curve(layer, lambda value: losses[min(losses, key=lambda n: abs(n - value))], 6)
    assert np.all(np.diff(curve) <= 1e-12)


def test_what_fails_counts_as_the_worst():
    layer = ChoiceLayer("conv", (1, 2, 4, 8), (), 0)
    curve = harm_curve(layer, lambda value: math.nan if value == 1 else 1.0 / value, 4)
    assert curve[0] == curve[1]
    flat = harm_curve(layer, lambda value: math.nan, 4)
    assert flat == pytest.approx([1.0, 2 / 3, 1 / 3, 0.0])


def test_harms_are_those_of_one_layer_near_the_candidate():
    problem = ToyProblem()
    around = np.array([4, 3, 2, 5])
    harms = measured_harms(problem, around)
    assert [len(harm) for harm in harms] == [8, 8, 8, 8]
    for harm, weight in zip(harms, HARMS, strict=True):
        assert harm[-1] == 0.0
        assert harm[0] == pytest.approx(weight * (7 / 8) ** 2)
        assert harm[4] == pytest.approx(weight * (3 / 8) ** 2)  # one of those that are measured
    assert problem.num_scored == 4 * len(harm_places(problem.layers[0], 6)) == 20


class Failing(ToyProblem):
    def score(self, values):
        if values[0] == 1:
            raise RuntimeError("a failure")
        return super().score(values)


def test_a_choice_that_fails_counts_as_the_worst():
    harms = measured_harms(Failing(), np.array([4, 4, 4, 4]))
    assert harms[0][0] == harms[0].max() > 0.0


def test_fewer_points_are_measured_where_layers_are_many():
    assert [harm_points(count) for count in (1, 20, 40, 1000)] == [6, 6, 3, 2]


class Nan(ToyProblem):
    def score(self, values):
        return Score(math.nan, math.nan)


def test_harms_that_cannot_be_measured_are_a_line():
    assert measured_harms(Nan(), np.array([4, 4, 4, 4]))[2] == pytest.approx(np.linspace(1, 0, 8))
