import pytest
from hypothesis import given
from hypothesis import strategies as st

from learners.discrimination_aware_pruning.iterations import (
    BLOCK_EPOCHS,
    LAYER_EPOCHS,
    LEAST_ITERATIONS,
    greedy_plan,
    scaled,
)


@pytest.mark.parametrize(
    ("steps_per_epoch", "block", "layer"),
    [(22, 50, 50), (390, 78, 50), (5004, 1001, 500)],
    ids=["digits", "CIFAR-10", "ImageNet"],
)
def test_documented_counts_by_data_set(steps_per_epoch, block, layer):
    assert scaled(10000, BLOCK_EPOCHS, steps_per_epoch) == block
    assert scaled(500, LAYER_EPOCHS, steps_per_epoch) == layer


@given(st.integers(1, 20000), st.integers(1, 100000))
def test_a_count_is_never_exceeded_and_grows_with_the_data(count, steps_per_epoch):
    found = scaled(count, 0.25, steps_per_epoch)
    assert min(count, LEAST_ITERATIONS) <= found <= count
    assert found <= scaled(count, 0.25, steps_per_epoch + 1)


@given(st.integers(1, 600), st.integers(1, 600))
def test_plans_spend_all_iterations_and_choose_all_channels(num_keep, num_iterations):
    plan = greedy_plan(num_keep, num_iterations)
    assert sum(plan.additions) == num_keep and min(plan.additions) >= 1
    assert len(plan.tuning) == len(plan.additions)
    assert sum(plan.tuning) + plan.final == num_iterations
    assert plan.final - sum(plan.tuning) in (0, 1)
    assert num_iterations == 1 or min(plan.tuning) >= 1
    assert list(plan.additions) == sorted(plan.additions)


def test_as_in_the_paper_one_channel_a_step_where_iterations_allow():
    assert greedy_plan(8, 50).additions == (1,) * 8
    assert greedy_plan(32, 500).additions == (1,) * 32
