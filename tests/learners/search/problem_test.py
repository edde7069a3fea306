import numpy as np
import pytest

from learners.search.config import RolloutConfig
from learners.search.rewards import Score
from tests.learners.search.toy import ToyProblem

VALUES = np.array([2, 6, 4, 6])


def test_what_follows_from_the_budget():
    problem = ToyProblem("bits:0.5")
    assert problem.quantity == "bits"
    assert problem.budget.text == "bits:0.5"
    assert problem.load.of(VALUES) == 1.0
    assert problem.measured(VALUES) == {"bits": 40.0}
    assert problem.refined(VALUES).tolist() == VALUES.tolist()
    assert problem.remarks(VALUES) == []


def test_a_setting_tells_networks_apart_by_their_weights_where_nothing_is_cut():
    setting = ToyProblem().setting(VALUES)
    assert setting.quantity == "bits"
    assert setting.values == {"layer0": 2, "layer1": 6, "layer2": 4, "layer3": 6}
    assert set(setting.network.values()) == {9 * 8**2}


def test_single_obj_keeps_to_the_budget_and_rewards_the_score():
    problem = ToyProblem()
    assert problem.floor == pytest.approx(0.98)
    assert problem.reward(Score(0.7, 1.0), VALUES) == 0.7


def test_multi_obj_weighs_the_first_kind_of_the_quantity():
    config = RolloutConfig(reward_type="multi-obj", reward_policy="flops", noise_tolerance=0.1)
    problem = ToyProblem(config=config)
    assert problem.floor == 0.0
    assert problem.reward(Score(0.5, 1.0), VALUES) == pytest.approx(-0.5 * np.log(40.0))
