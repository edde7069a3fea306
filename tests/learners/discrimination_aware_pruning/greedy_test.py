import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learners.discrimination_aware_pruning.greedy import (
    ReadKernel,
    gradient_norms,
    select_channels,
)
from learners.discrimination_aware_pruning.iterations import GreedyPlan, greedy_plan

RNG = np.random.default_rng(0)
READOUT = 20.0


def kernel_of(values, channels=None, axis=-2):
    values = np.asarray(values, np.float32)
    channels = np.arange(values.shape[axis]) if channels is None else np.asarray(channels)
    return ReadKernel(values, axis, channels)


def test_norms_are_those_of_each_channels_slice():
    gradient = RNG.normal(size=(3, 3, 4, 5))
    norms = gradient_norms([gradient], [kernel_of(gradient)], 4)
    wanted = [np.linalg.norm(gradient[:, :, channel]) for channel in range(4)]
    np.testing.assert_allclose(norms, wanted)


@given(st.integers(0, 2**31 - 1))
def test_norms_of_coupled_readers_are_over_all_their_entries(seed):
    rng = np.random.default_rng(seed)
    first, second = rng.normal(size=(2, 6, 3)), rng.normal(size=(8, 4))
    order, places = rng.permutation(6) - 1, rng.integers(-1, 5, 8)  # -1: from elsewhere
    kernels = [kernel_of(first, order), kernel_of(second, places)]
    norms = gradient_norms([first, second], kernels, 5)
    for channel in range(5):
        parts = [first[:, order == channel], second[places == channel]]
        wanted = np.sqrt(sum(np.sum(part**2) for part in parts))
        assert norms[channel] == pytest.approx(wanted)


# --- selection ------------------------------------------------------------------------------------


class Linear:
    """L(W) = ||X W - X W0||^2 / (2 N) + weight * logistic losses, with exact gradients.

    Channels 0 and 1 carry most of the output; channels 2 and 3 are small and tell a bit each, which
    are read off outputs 2 and 3.
    """

    def __init__(self, weight):
        rng = np.random.default_rng(1)
        bits = rng.integers(0, 2, (400, 2))
        x = rng.normal(size=(400, 6)) * [2.0, 1.8, 0.3, 0.3, 0.2, 0.2]
        x[:, 2:4] += 0.5 * (2 * bits - 1)
        self.x, self.bits, self.weight = x, bits, weight
        self.kernel = np.eye(6, 4, dtype=np.float32)  # outputs are channels 0 to 3
        self.kernel[4:] = 0.1
        self.calls = 0

    def gradients(self, kernels):
        self.calls += 1
        (w,) = kernels
        outputs = self.x @ w
        reconstruction = self.x.T @ (outputs - self.x @ self.kernel) / len(self.x)
        shares = 1 / (1 + np.exp(-READOUT * outputs[:, 2:]))
        own = self.x.T @ (READOUT * (shares - self.bits)) / len(self.x)
        return [reconstruction + self.weight * np.hstack([np.zeros((6, 2)), own])]

    def selected(self, num_keep=2, num_iterations=8, lrn_rate=1e-3):
        plan = greedy_plan(num_keep, num_iterations)
        return select_channels([kernel_of(self.kernel)], 6, self.gradients, plan, lrn_rate)


def test_the_loss_finds_what_tells_the_classes_and_reconstruction_alone_does_not():
    """The paper's claim, on a layer where both cannot be kept."""
    np.testing.assert_array_equal(np.flatnonzero(Linear(0.0).selected().mask), [0, 1])
    np.testing.assert_array_equal(np.flatnonzero(Linear(1.0).selected().mask), [2, 3])


def test_what_goes_is_zero_and_what_stays_was_tuned():
    layer = Linear(1.0)
    found = layer.selected(3)
    (kernel,) = found.kernels
    assert found.mask.sum() == 3
    assert not kernel[~found.mask].any()
    kept = kernel[found.mask] != layer.kernel[found.mask]
    np.testing.assert_array_equal(kept, layer.kernel[found.mask] != 0)  # zeros stay zeros


def test_tuning_lowers_the_loss():
    layer = Linear(0.0)
    layer.kernel = np.random.default_rng(2).normal(size=(6, 4)).astype(np.float32)
    layer.x[:, 5] = layer.x[:, 0]  # one of the two can stand in for both
    found = layer.selected(5, num_iterations=400, lrn_rate=0.05)

    def loss(kernel):
        return np.sum((layer.x @ (kernel - layer.kernel)) ** 2)

    cut = kernel_of(layer.kernel).masked(found.mask)
    assert loss(found.kernels[0]) < 0.5 * loss(cut)


def test_every_iteration_of_the_plan_is_made():
    layer = Linear(1.0)
    plan = GreedyPlan(additions=(1, 2), tuning=(2, 3), final=4)
    select_channels([kernel_of(layer.kernel)], 6, layer.gradients, plan, 1e-3)
    assert layer.calls == (2 + 3) + (2 + 3) + 4  # to choose, to tune after each step, at the end


def test_choices_follow_the_tuning_before_them():
    """Channels 0 and 1 are one and the same: once one is in and tuned, the other adds nothing."""
    x = np.random.default_rng(3).normal(size=(200, 3)) * [1.0, 0.0, 0.7]
    x[:, 1] = x[:, 0]
    w0 = np.ones((3, 1), np.float32)

    def gradients(kernels):
        return [x.T @ (x @ (kernels[0] - w0)) / len(x)]

    tuned, untuned = (
        select_channels([kernel_of(w0)], 3, gradients, GreedyPlan((1, 1), steps, 0), 0.1)
        for steps in ((60, 0), (0, 0))
    )
    np.testing.assert_array_equal(tuned.mask, [True, False, True])
    np.testing.assert_array_equal(untuned.mask, [True, True, False])


def test_inputs_from_elsewhere_stay_and_are_tuned():
    kernel = kernel_of(np.ones((4, 2)), channels=[-1, 0, 1, -1])

    def gradients(kernels):
        return [np.ones((4, 2)) * [[1.0], [2.0], [3.0], [1.0]]]

    found = select_channels([kernel], 2, gradients, GreedyPlan((1,), (1,), 0), 0.1)
    np.testing.assert_array_equal(found.mask, [False, True])
    np.testing.assert_allclose(found.kernels[0][:, 0], [0.9, 0.0, 0.9, 0.9], rtol=1e-5)


@pytest.mark.parametrize(("values", "kept"), [([1, 1, 1], 0), ([1, -3, 2], 1)])
def test_equal_norms_go_by_the_kernel_then_by_index(values, kept):
    kernel = kernel_of(np.array(values)[:, None])
    found = select_channels(
        [kernel], 3, lambda kernels: [np.zeros((3, 1))], GreedyPlan((1,), (0,), 0), 0.1
    )
    np.testing.assert_array_equal(np.flatnonzero(found.mask), [kept])
