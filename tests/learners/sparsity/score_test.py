import numpy as np
import pytest

from learners.sparsity.score import SCORES, magnitude, weight_times_gradient


def test_magnitude_is_the_absolute_value_whatever_the_gradient():
    weights = np.array([[0.5, -2.0], [0.0, 1.0]], np.float32)
    found = magnitude(weights, np.full((2, 2), 7.0))
    np.testing.assert_array_equal(found, [[0.5, 2.0], [0.0, 1.0]])
    assert found.dtype == np.float32


def test_weight_times_gradient_is_the_first_order_change_of_the_loss():
    weights = np.array([1.5, -0.5, 0.25])

    def loss(w):
        return w[0] ** 2 + 3.0 * w[1] + w[2] * 0.0

    gradients = np.array([3.0, 3.0, 0.0])
    found = weight_times_gradient(weights, gradients)
    step = 1e-6  # towards zero
    for index in range(3):
        moved = weights.copy()
        moved[index] *= 1.0 - step
        assert abs(loss(moved) - loss(weights)) / step == pytest.approx(found[index], rel=1e-4)


def test_weight_times_gradient_needs_gradients():
    with pytest.raises(ValueError, match="needs `gradients`"):
        weight_times_gradient(np.ones(2))


@pytest.mark.parametrize("name", SCORES)
def test_a_weight_that_is_zero_scores_lowest(name):
    scores = SCORES[name].score(np.array([0.0, 1.0, -1.0]), np.array([5.0, 1.0, 1.0]))
    assert scores[0] == 0 and (scores[1:] > 0).all()
