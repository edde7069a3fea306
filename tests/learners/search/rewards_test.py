import math

import pytest

from learners.search.rewards import Score, refuse_blind, reward
from utils.errors import InputError
from utils.training.metrics import Metric, Scores, scalar

MAE = Metric(name="mae", higher_is_better=False)
PSNR = Metric(name="psnr", higher_is_better=True)


def test_accuracy_is_its_own_reward():
    assert reward(Score(0.9, 0.3), 1e6, policy="accuracy", noise_tolerance=0.15) == 0.9


def test_without_classes_the_loss_counts():
    assert reward(Score(None, 0.3), 1e6, policy="accuracy", noise_tolerance=0.15) == -0.3
    assert reward(Score(None, 0.5), math.e, policy="flops", noise_tolerance=0.15) == -0.5


def test_flops_is_amc_with_a_floor_under_the_error():
    at = {"policy": "flops", "noise_tolerance": 0.15}
    assert reward(Score(0.6, 1.0), math.e**10, **at) == pytest.approx(-4.0)
    # Below the tolerance a smaller error earns nothing, fewer multiply-adds do.
    assert reward(Score(0.9, 1.0), 1e6, **at) == reward(Score(0.99, 1.0), 1e6, **at)
    assert reward(Score(0.9, 1.0), 1e5, **at) > reward(Score(0.9, 1.0), 1e6, **at)


@pytest.mark.parametrize("policy", ["accuracy", "flops"])
@pytest.mark.parametrize("score", [Score(math.nan, 0.1), Score(None, math.inf)])
def test_what_is_not_finite_gives_nan(policy, score):
    assert math.isnan(reward(score, 1e6, policy=policy, noise_tolerance=0.1))


def test_unknown_policies_are_refused():
    with pytest.raises(ValueError, match=r"`policy` must be one of accuracy, flops. Received: 'x'"):
        reward(Score(0.9, 0.3), 1e6, policy="x", noise_tolerance=0.15)


def test_the_score_is_that_of_the_metric_that_decides():
    values = {"loss": 0.5, "accuracy": 0.75, "mae": 2.0}
    assert Score.of(Scores(values, scalar("accuracy"))) == Score(0.75, 0.5)
    assert Score.of(Scores(values, scalar("loss"))) == Score(None, 0.5)
    assert Score.of(Scores(values, MAE)).value == -2.0


def test_a_metric_that_tells_nothing_apart_is_refused():
    message = (
        r"`metric`: accuracy of the whole network is 0 on .*Name another with --metric: loss, mae"
    )
    blind = Scores({"loss": 0.5, "accuracy": 0.0, "mae": 0.0}, scalar("accuracy"))
    with pytest.raises(InputError, match=message):
        refuse_blind(blind, "accuracy")
    refuse_blind(Scores(blind, MAE), "accuracy")
    refuse_blind(Scores({"loss": 0.5, "accuracy": 0.1}, scalar("accuracy")), "flops")


def test_the_policy_flops_needs_a_fraction():
    scores = Scores({"loss": 0.5, "psnr": 30.0}, PSNR)
    refuse_blind(scores, "accuracy")
    with pytest.raises(InputError, match=r"reward_policy=flops needs a fraction .*Received: psnr"):
        refuse_blind(scores, "flops")
