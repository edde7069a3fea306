import keras
import pytest

from learners.filter_pruning.recipe import Rates
from learners.filter_pruning.schedule import PartRate, StagedRate, part_rate
from utils.training import fine_tune_schedule


def test_warm_up_and_stages():
    rates = Rates(2.0, ((2.0, 1.0), (4.0, 0.1), (6.0, 0.01)))
    staged = StagedRate(0.5, rates, steps_per_epoch=4)
    wanted = {0: 0.0, 4: 0.25, 8: 0.5, 15: 0.5, 16: 0.05, 23: 0.05, 24: 0.005, 400: 0.005}
    assert {step: round(float(staged(step)), 6) for step in wanted} == wanted


def test_before_the_first_stage_the_rate_is_whole():
    staged = StagedRate(0.5, Rates(0.0, ((1.0, 0.2),)), steps_per_epoch=10)
    assert [round(float(staged(step)), 6) for step in (0, 9, 10)] == [0.5, 0.5, 0.1]


@pytest.mark.parametrize(
    "whole",
    [fine_tune_schedule(0.1, 30), StagedRate(0.1, Rates(1.0, ((2.0, 0.5),)), steps_per_epoch=10)],
)
def test_parts_see_the_whole_schedule(whole):
    part = PartRate(whole, 12)
    for step in (0, 5, 17):
        assert float(part(step)) == pytest.approx(float(whole(step + 12)))
    optimizer = keras.optimizers.SGD(part)
    assert float(optimizer.learning_rate) == pytest.approx(float(whole(12)))
    assert part.get_config() == {"whole": whole, "first_step": 12}


def test_the_rate_of_a_part():
    steps = {"num_steps": 40, "steps_per_epoch": 10}
    cosine = fine_tune_schedule(0.1, 40)
    assert float(part_rate(None, 0.1, first_step=0, **steps)(7)) == pytest.approx(float(cosine(7)))
    assert float(part_rate(None, 0.1, first_step=20, **steps)(7)) == pytest.approx(
        float(cosine(27))
    )
    rates = Rates(0.0, ((2.0, 0.5),))
    assert float(part_rate(rates, 0.1, first_step=10, **steps)(9)) == pytest.approx(0.1)
    assert float(part_rate(rates, 0.1, first_step=10, **steps)(10)) == pytest.approx(0.05)
