import math

import numpy as np
import pytest

from learners.search.calibration import along, calibrated_errors, calibration_places, num_scores
from learners.search.choices import ChoiceLayer
from learners.search.rewards import Score
from tests.learners.search.toy import HARMS, SIZE, ToyProblem

COUNTS = np.arange(1, SIZE + 1)


class Unscaled(ToyProblem):
    """The same error in each layer, however much it is missed."""

    def errors(self):
        return [(1.0 - COUNTS / SIZE) ** 2 for _ in HARMS]


def test_errors_get_the_scale_of_the_loss():
    problem = Unscaled()
    table = calibrated_errors(problem)
    assert problem.num_scored == num_scores(problem.layers) == 1 + 4 * 2
    for column, weight in zip(table, HARMS, strict=True):
        assert column == pytest.approx(weight * (1.0 - COUNTS / SIZE) ** 2, abs=1e-12)


def test_a_layer_that_seems_not_to_be_missed_is_not_free():
    class Blind(Unscaled):
        def score(self, values):
            return super().score([SIZE, *values[1:]])  # the first layer makes no difference

    table = calibrated_errors(Blind())
    assert table[0][0] > 0.0
    assert table[0][0] < 0.1 * table[1][0]
    assert np.all(np.diff(table[0]) < 0.0)


class Failing(Unscaled):
    def __init__(self, fails):
        super().__init__()
        self.fails = fails

    def score(self, values):
        if self.fails(values):
            raise RuntimeError("out of memory")
        return super().score(values)


def test_a_loss_that_fails_is_left_out():
    table = calibrated_errors(Failing(lambda values: values[1] == 4))
    for column, weight in zip(table, HARMS, strict=True):
        assert column == pytest.approx(weight * (1.0 - COUNTS / SIZE) ** 2, abs=1e-12)


@pytest.mark.parametrize("fails", [lambda values: True, lambda values: min(values) < SIZE])
def test_without_any_loss_the_errors_stand_as_they_are(fails):
    problem = Failing(fails)
    for column, error in zip(calibrated_errors(problem), problem.errors(), strict=True):
        assert column.tolist() == error.tolist()


def test_losses_that_are_not_finite_are_failures():
    class Diverging(Unscaled):
        def score(self, values):
            score = super().score(values)
            return Score(score.accuracy, math.nan if values[2] == 1 else score.loss)

    assert calibrated_errors(Diverging())[2][0] == pytest.approx(HARMS[2] * (7 / 8) ** 2)


def test_fewer_losses_are_measured_where_layers_are_many():
    layer = ChoiceLayer("conv", tuple(range(1, 65)), (), 0)
    assert calibration_places(layer, 59) == [7, 31]
    assert calibration_places(layer, 60) == [7]
    assert num_scores([layer] * 59) == 119
    assert num_scores([layer] * 100) == 101


@pytest.mark.parametrize(
    ("choices", "places"), [((2, 4, 8), [0, 1]), ((1, 2), [0]), ((2, 8), [0]), ((4,), [])]
)
def test_places_are_choices_below_the_untouched_one(choices, places):
    assert calibration_places(ChoiceLayer("conv", choices, (), 0), 4) == places


def test_between_measurements_rises_follow_the_error_and_beyond_are_in_proportion():
    errors = np.linspace(0.0, 1.0, 11)
    found = along(errors, np.array([0.5, 0.2]), np.array([2.0, 0.2]))
    assert found[[0, 2, 5, 10]] == pytest.approx([0.0, 0.2, 2.0, 4.0])
    assert np.all(np.diff(found) > 0.0)


def test_noise_does_not_let_rises_fall():
    found = along(np.linspace(0.0, 1.0, 11), np.array([0.2, 0.5, 0.8]), np.array([0.4, 0.3, -1.0]))
    assert np.all(np.diff(found) >= 0.0)
    assert found[2] == found[5] == pytest.approx(0.4)


def test_nothing_known_is_nothing_risen():
    nothing = along(np.array([0.0, 0.5]), np.array([0.0, 0.5]), np.array([1.0, math.nan]))
    assert nothing.tolist() == [0.0, 0.0]
