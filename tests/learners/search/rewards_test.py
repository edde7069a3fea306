import math

import pytest

from learners.search.rewards import Score, reward


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


def test_scores_are_taken_from_what_an_evaluation_gave():
    assert Score.of({"loss": 0.5, "accuracy": 0.75, "top5": 0.9}) == Score(0.75, 0.5)
    assert Score.of({"loss": 0.5}) == Score(None, 0.5)


def test_unknown_policies_are_refused():
    with pytest.raises(ValueError, match=r"`policy` must be one of accuracy, flops. Received: 'x'"):
        reward(Score(0.9, 0.3), 1e6, policy="x", noise_tolerance=0.15)
