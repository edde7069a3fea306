import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learners.due_steps import due_steps
from learners.weight_sparsification.config import WeightSparseConfig
from learners.weight_sparsification.schedule import (
    Once,
    Polynomial,
    Stairs,
    make_schedule,
    polynomial_for,
)
from utils.errors import InputError


def test_the_rise_is_zhu_and_guptas():
    # s_t = s_f (1 - (1 - (t - t_b) / (t_e - t_b))^3), computed by hand at the quarters.
    schedule = Polynomial(begin=1000, end=5000, every=1000)
    ratios = [0.8 * (1 - schedule.left(step)) for step in (0, 1000, 2000, 3000, 4000, 5000, 9000)]
    assert ratios == pytest.approx([0, 0, 0.4625, 0.7, 0.7875, 0.8, 0.8])
    assert [s for s in range(10000) if schedule.is_update(s)] == [1000, 2000, 3000, 4000, 5000]
    assert schedule.num_updates() == 4


def test_the_end_is_an_update_even_where_it_is_no_multiple():
    schedule = Polynomial(begin=0, end=7, every=3)
    assert [step for step in range(20) if schedule.is_update(step)] == [0, 3, 6, 7]
    assert schedule.num_updates() == 3


@given(
    begin=st.integers(0, 50),
    length=st.integers(1, 50),
    every=st.integers(1, 60),
    exponent=st.floats(0.1, 8.0),
)
def test_it_never_rises_and_the_last_update_leaves_nothing(begin, length, every, exponent):
    schedule = Polynomial(begin=begin, end=begin + length, every=every, exponent=exponent)
    left = [schedule.left(step) for step in range(120)]
    assert all(later <= earlier for earlier, later in itertools.pairwise(left))
    updates = [step for step in range(120) if schedule.is_update(step)]
    assert schedule.left(updates[-1]) == 0.0
    assert len(updates) == schedule.num_updates() + 1


@given(
    pretrain=st.integers(0, 40),
    sparse=st.integers(1, 60),
    frequency=st.integers(1, 60),
)
def test_stairs_are_where_the_own_loop_has_them(pretrain, sparse, frequency):
    if frequency > sparse:
        with pytest.raises(ValueError, match="frequency"):
            Stairs(pretrain_step=pretrain, sparse_step=sparse, frequency=frequency)
        return
    stairs = Stairs(pretrain_step=pretrain, sparse_step=sparse, frequency=frequency, exponent=1.0)
    due = list(due_steps(pretrain, sparse, frequency))
    assert [step for step in range(200) if stairs.is_update(step)] == [step for step, _ in due]
    np.testing.assert_allclose([1 - stairs.left(s) for s, _ in due], [share for _, share in due])
    assert stairs.end == due[-1][0]


@pytest.mark.parametrize(("begin", "end", "every"), [(5, 5, 1), (6, 5, 1), (-1, 5, 1), (0, 5, 0)])
def test_a_rise_without_room_is_refused(begin, end, every):
    with pytest.raises(ValueError, match="`begin` must be in"):
        Polynomial(begin=begin, end=end, every=every)


@pytest.mark.parametrize("num_steps", [1, 2, 3, 10, 1000])
def test_however_short_the_training_all_goes_within_it(num_steps):
    schedule = polynomial_for(num_steps, 0.1, 0.5, every=500, exponent=3.0)
    updates = [step for step in range(1, num_steps + 1) if schedule.is_update(step)]
    assert updates and schedule.left(updates[-1]) == 0.0


def test_flags_become_schedules():
    config = WeightSparseConfig(iter_ratio_beg=0.2, iter_ratio_end=0.6, mask_update_step=50.0)
    assert make_schedule(config, 1000) == Polynomial(begin=200, end=600, every=50, exponent=3.0)
    assert make_schedule(config, 0) == Once()
    assert make_schedule(WeightSparseConfig(criterion="obs"), 1000) == Once()
    config = WeightSparseConfig(schedule="step", pretrain_step=5, sparse_step=20, frequency=10)
    assert make_schedule(config, 25) == Stairs(pretrain_step=5, sparse_step=20, frequency=10)
    with pytest.raises(InputError, match=r"would go at step 25 .* and training lasts 24 steps"):
        make_schedule(config, 24)
