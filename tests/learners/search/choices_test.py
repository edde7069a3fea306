import numpy as np
import pytest

from learners.search.choices import ChoiceLayer, Load, polish, smallest, uniform, untouched
from tests.learners.search.toy import ToyProblem


def layers_of(*choices):
    return [ChoiceLayer(f"l{i}", tuple(c), (1,), 1) for i, c in enumerate(choices)]


def test_actions_and_wishes_are_inverse():
    layer = ChoiceLayer("conv", (2, 4, 8), (), 0)
    assert [layer.action(value) for value in (8, 4, 2)] == [0.0, pytest.approx(2 / 3), 1.0]
    assert layer.wish(layer.action(4)) == pytest.approx(4)


def test_a_single_choice_is_action_zero():
    assert ChoiceLayer("conv", (5,), (), 0).action(5) == 0.0


def test_the_load_is_that_of_the_kind_that_takes_most():
    def cost(values):
        return {
            "flops": values.sum(axis=1),
            "params": (values**2).sum(axis=1),
            "bytes": values[:, 0],
        }

    load = Load(cost, {"flops": 10.0, "params": 20.0})
    assert load(np.array([[1, 1], [4, 4]])).tolist() == [0.2, 1.6]
    assert load.of([3, 2]) == 0.65


def test_uniform_uses_the_budget_up_with_equal_ratios():
    problem = ToyProblem()
    values = uniform(problem.layers, problem.load)
    assert values.tolist() == [4, 4, 4, 4]


def test_uniform_at_the_ends():
    layers = layers_of(range(1, 5), range(1, 9))
    assert uniform(layers, lambda v: v.sum(axis=1) / 12).tolist() == untouched(layers).tolist()
    assert uniform(layers, lambda v: v.sum(axis=1) / 2).tolist() == smallest(layers).tolist()


def test_polish_leaves_what_is_inside_alone():
    layers = layers_of(range(1, 101), range(1, 101))
    assert polish(np.array([49, 50]), layers, lambda v: v.sum(axis=1) / 100).tolist() == [49, 50]


@pytest.mark.parametrize("start", [[90, 90], [1, 1], [100, 1]])
def test_polish_lands_inside(start):
    layers = layers_of(range(1, 101), range(1, 101))
    values = polish(np.array(start), layers, lambda v: v.sum(axis=1) / 100)
    assert 98 <= values.sum() <= 100


def test_polish_changes_as_little_as_it_can():
    layers = layers_of(range(1, 101), range(1, 101))
    assert polish(np.array([60, 45]), layers, lambda v: v.sum(axis=1) / 100).tolist() == [55, 45]


def test_polish_without_a_floor_leaves_what_is_below_alone():
    layers = layers_of(range(1, 101))
    assert polish(np.array([3]), layers, lambda v: v[:, 0] / 50, floor=0.0).tolist() == [3]


def test_polish_moves_two_layers_where_one_cannot_do_it():
    layers = layers_of((3, 10), (4, 14))

    def load(values):  # only (3, 14) and (10, 4) are near
        return np.where(values[:, 0] + values[:, 1] == 17, 0.99, (values.sum(axis=1)) / 17)

    assert polish(np.array([10, 14]), layers, load).tolist() == [3, 14]


def test_polish_gives_the_nearest_where_steps_are_coarse():
    layers = layers_of((1, 10), (1, 10))
    assert polish(np.array([10, 10]), layers, lambda v: v.sum(axis=1) / 12).tolist() == [10, 1] or (
        polish(np.array([10, 10]), layers, lambda v: v.sum(axis=1) / 12).tolist() == [1, 10]
    )
