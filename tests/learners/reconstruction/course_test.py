"""The course of an elimination: who may go next, in one layer and in several."""

import numpy as np
import pytest

from learners.reconstruction.blocks import Blocks
from learners.reconstruction.course import Course
from learners.reconstruction.downdate import Downdate


def apart(*kernels, members=None):
    """Rows that know nothing of each other: a block's loss is the square of its weights."""
    kernel = np.array(kernels, float)[:, :, None]
    members = np.arange(kernel.shape[1])[:, None] if members is None else members
    return Downdate(np.eye(kernel.shape[1]), kernel, members)


def test_every_team_goes_its_own_way():
    course = Course(Blocks.single(3), 2)
    order, (errors,) = course.run([apart([3, 1, 2], [1, 2, 3])], [1.0])
    np.testing.assert_array_equal(order, [[1, 2, 0], [0, 1, 2]])
    np.testing.assert_allclose(errors, [[0, 1, 5, 14], [0, 1, 5, 14]])


def test_several_layers_agree_on_one_order():
    states = [apart([3, 1, 2]), apart([1, 2, 0])]
    order, errors = Course(Blocks.single(3), 1).run(states, [1.0, 10.0])
    np.testing.assert_array_equal(order, [[2, 0, 1]])  # losses 4 + 0, 9 + 10, 1 + 40
    np.testing.assert_allclose(errors[0], [[0, 4, 13, 14]])
    np.testing.assert_allclose(errors[1], [[0, 0, 1, 5]])


def test_enough_of_every_group_stays():
    blocks = Blocks.n_of_m(4, 4, stay=1, of=2)
    order, (errors,) = Course(blocks, 1).run([apart([1, 2, 4, 3])], [1.0])
    np.testing.assert_array_equal(order, [[0, 3]])
    np.testing.assert_allclose(errors, [[0, 1, 10]])


def test_groups_smaller_than_what_stays_are_left_alone():
    blocks = Blocks(np.arange(3), 3, groups=np.array([0, 1, 1]), num_left=1)
    order, _ = Course(blocks, 1).run([apart([1, 3, 2])], [1.0])
    np.testing.assert_array_equal(order, [[2]])


def test_nothing_may_go():
    order, (errors,) = Course(Blocks(np.arange(2), 2, num_left=2), 1).run([apart([1, 2])], [1.0])
    assert order.shape == (1, 0)
    np.testing.assert_array_equal(errors, [[0.0]])


@pytest.mark.parametrize("per_step", [2, 3, 10])
def test_several_a_step_go_by_the_losses_before_it(per_step):
    order, (errors,) = Course(Blocks.single(4), 1, per_step=per_step).run(
        [apart([4, 1, 3, 2])], [1.0]
    )
    np.testing.assert_array_equal(order, [[1, 3, 2, 0]])
    np.testing.assert_allclose(errors, [[0, 1, 5, 14, 30]])


def test_what_is_absent_is_settled_at_zero_and_not_in_the_order():
    course = Course(Blocks.single(3), 2)
    state = apart([3, 1, 2], [1, 2, 3])
    course.leave_out(state, np.array([[True, False, True], [False, False, False]]))
    np.testing.assert_array_equal(state.kernel[:, :, 0], [[0, 1, 0], [1, 2, 3]])
    order, (errors,) = course.run([state], [1.0])
    np.testing.assert_array_equal(order, [[1, -1, -1], [0, 1, 2]])
    np.testing.assert_allclose(errors, [[0, 1, 1, 1], [0, 1, 5, 14]])


def test_weights_go_where_they_are_aimed():
    course = Course(Blocks.single(3), 1, aim=np.round)
    state = apart([0.9, 1.6, 0.5001])
    order, (errors,) = course.run([state], [1.0])
    np.testing.assert_array_equal(order, [[0, 1, 2]])
    np.testing.assert_array_equal(state.kernel[0, :, 0], [1, 2, 1])
    np.testing.assert_allclose(errors[0], np.cumsum([0, 0.01, 0.16, 0.4999**2]))


@pytest.mark.parametrize(
    ("blocks", "per_step", "message"),
    [
        (Blocks.single(3), 0, "`per_step` must be at least 1. Received: 0"),
        (Blocks.n_of_m(4, 4, stay=1, of=2), 2, "one at a time"),
    ],
)
def test_steps_that_cannot_be_are_refused(blocks, per_step, message):
    with pytest.raises(ValueError, match=message):
        Course(blocks, 1, per_step=per_step)
