"""Proximal gradient descent: its steps by NumPy on the rows themselves, its counts, its choice."""

import itertools

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from learners.channel_pruning_gpu.proximal import StepRates, proximal_descent, shrink_factors
from learners.channels.criteria import GroupReader
from learners.reconstruction.least_squares import ReaderMoments
from tests.learners.conftest import statistics_of

QUICK = StepRates(initial=1e-4)


def reader_of(x, y, kernel, rows, left=None, centred=False):
    return GroupReader(ReaderMoments(statistics_of(x, y), rows, centred, left), kernel)


@pytest.fixture
def reader(layer):
    x, kernel, rows = layer
    return reader_of(x, x @ kernel, kernel, rows)


def loss_of(x, y, kernel):
    return 0.5 * np.sum((y - x @ kernel) ** 2) / np.sum(y**2)


def test_losses_are_those_of_the_rows(layer):
    x, kernel, rows = layer
    y = x @ kernel + np.random.default_rng(0).normal(size=(500, 5))
    found = proximal_descent([reader_of(x, y, kernel, rows)], 6, 3, num_iterations=40, rates=QUICK)
    assert found.losses[0] == pytest.approx(loss_of(x, y, kernel))
    assert found.losses[-1] == pytest.approx(loss_of(x, y, found.kernels[0]))
    assert (len(found.losses), len(found.rates)) == (41, 40)


def test_the_first_steps_by_hand(layer):
    """Two iterations by NumPy on X and Y; the second makes the first channel zero."""
    x, kernel, rows = layer
    y = x @ kernel + 1.0
    rate = 0.01
    rates = StepRates(initial=rate, increase=2.0, decrease=0.5)
    found = proximal_descent([reader_of(x, y, kernel, rows)], 6, 5, num_iterations=2, rates=rates)

    wanted, expected_rates = kernel, []
    for number_gone in (0, 1):
        expected_rates.append(rate)
        moved = wanted - rate * (x.T @ (x @ wanted - y)) / np.sum(y**2)
        falls = loss_of(x, y, moved) < loss_of(x, y, wanted)
        wanted, rate = (moved, 2.0 * rate) if falls else (wanted, 0.5 * rate)
        if number_gone:
            norms = np.array([np.linalg.norm(wanted[rows == c]) for c in range(6)])
            factors = np.maximum(0.0, 1.0 - norms.min() / norms)
            wanted = wanted * factors[rows][:, None]
    np.testing.assert_allclose(found.kernels[0], wanted, atol=1e-12)
    np.testing.assert_allclose(found.rates, expected_rates)


def test_the_objective_falls(layer):
    """While no channel goes: at every step that is taken, down to the least-squares error."""
    x, kernel, rows = layer
    y = x @ np.roll(kernel, 1, axis=0)
    found = proximal_descent(
        [reader_of(x, y, kernel, rows)], 6, 6, num_iterations=3000, rates=QUICK
    )
    assert (np.diff(found.losses) <= 1e-15).all()
    assert found.losses[-1] < 1e-4 * found.losses[0]
    assert found.rates.max() > 100 * found.rates[0]  # it grew
    assert (np.diff(found.rates) < 0).any()  # and shrank where it had grown too far


def test_the_whole_objective_falls_with_a_channel_gone(layer):
    """Error and group norms, at the lambda that each iteration's threshold stands for."""
    x, kernel, rows = layer
    y = x @ kernel
    rate = np.sum(y**2) / np.linalg.eigvalsh(x.T @ x)[-1]  # one over the Lipschitz constant

    def norms(of):
        return np.array([np.linalg.norm(of[rows == channel]) for channel in range(6)])

    start = kernel
    for _ in range(30):
        (found,) = proximal_descent(
            [reader_of(x, y, kernel, rows)], 6, 5, num_iterations=1,
            rates=StepRates(initial=rate),
        ).kernels  # fmt: skip
        moved = kernel - rate * (x.T @ (x @ kernel - y)) / np.sum(y**2)
        penalty = norms(moved).min() / rate
        before, after = (
            loss_of(x, y, each) + penalty * norms(each).sum() for each in (kernel, found)
        )
        assert after <= before + 1e-12
        kernel = found
    assert np.count_nonzero(norms(kernel)) == 5
    assert not np.allclose(kernel, start)


@hypothesis.settings(max_examples=30, deadline=None)
@hypothesis.given(
    num_channels=st.integers(2, 9), positions=st.integers(1, 3), data=st.data(),
    num_iterations=st.sampled_from([1, 2, 7, 50]), seed=st.integers(0, 99),
)  # fmt: skip
def test_exactly_the_wanted_number_stays(num_channels, positions, data, num_iterations, seed):
    num_keep = data.draw(st.integers(1, num_channels))
    rng = np.random.default_rng(seed)
    rows = np.tile(np.arange(num_channels), positions)
    x, kernel = rng.normal(size=(60, rows.size)), rng.normal(size=(rows.size, 3))
    found = proximal_descent(
        [reader_of(x, x @ kernel, kernel, rows)],
        num_channels, num_keep, num_iterations=num_iterations, rates=QUICK,
    )  # fmt: skip
    gone = found.norms == 0
    assert np.count_nonzero(gone) == num_channels - num_keep
    assert not found.kernels[0][gone[rows]].any()


def test_it_chooses_channels_that_others_cannot_stand_in_for():
    """Channels 0 and 1 nearly repeat one another and are large; brute force says which pair."""
    rng = np.random.default_rng(1)
    base = rng.normal(size=(400, 3))
    x = np.stack([base[:, 0], base[:, 0] + 0.05 * base[:, 1], base[:, 1], base[:, 2]], axis=1)
    kernel = np.diag([1.2, 1.1, 1.0, 0.1]) @ rng.normal(size=(4, 6))
    y = x @ kernel

    def error(kept):
        part = x[:, list(kept)]
        return np.sum((y - part @ np.linalg.lstsq(part, y, rcond=None)[0]) ** 2)

    best = min(itertools.combinations(range(4), 2), key=error)
    found = proximal_descent(
        [reader_of(x, y, kernel, np.arange(4))], 4, 2, num_iterations=2000, rates=QUICK
    )
    kept = set(np.flatnonzero(found.norms))
    assert 2 in best and len(kept & {0, 1}) == 1 and 2 in kept


def test_readers_share_thresholds_and_rates(layer):
    """A second reader that only looks at two channels keeps them."""
    x, kernel, rows = layer
    others = 5.0 * kernel * (rows < 2)[:, None]
    readers = [reader_of(x, x @ each, each, rows) for each in (0.01 * kernel, others)]
    found = proximal_descent(readers, 6, 2, num_iterations=200, rates=QUICK)
    np.testing.assert_array_equal(np.flatnonzero(found.norms), [0, 1])
    assert all(not each[rows >= 2].any() for each in found.kernels)


def test_rows_of_no_channel_stay_and_rows_that_are_gone_do_not_come_back(layer):
    x, kernel, rows = layer
    left = rows != 5
    given = np.where(rows >= 4, -1, rows)
    found = proximal_descent(
        [reader_of(x, x @ kernel, kernel * left[:, None], given, left)], 4, 1,
        num_iterations=100, rates=QUICK,
    )  # fmt: skip
    assert np.count_nonzero(found.norms) == 1
    assert found.kernels[0][rows == 4].all()
    assert not found.kernels[0][rows == 5].any()


def test_without_a_gradient_the_rate_waits():
    x = np.eye(4)
    kernel = np.array([[1.0], [2.0], [3.0], [4.0]])
    found = proximal_descent(
        [reader_of(x, x @ kernel, kernel, np.arange(4))], 4, 3, num_iterations=8, rates=QUICK
    )
    np.testing.assert_allclose(found.rates[:8], QUICK.initial)
    assert found.losses[-1] > found.losses[0] == 0.0


@pytest.mark.parametrize("num_keep", [0, 7])
def test_numbers_out_of_range(reader, num_keep):
    with pytest.raises(ValueError, match=rf"`num_keep` must be in \[1, 6\]. Received: {num_keep}"):
        proximal_descent([reader], 6, num_keep, num_iterations=3)


def test_shrinking_leaves_zeros_alone():
    np.testing.assert_allclose(shrink_factors(np.array([0.0, 2.0, 0.0]), 1), [0.0, 1.0, 0.0])
    np.testing.assert_allclose(shrink_factors(np.array([1.0, 2.0, 4.0]), 2), [0.0, 0.0, 0.5])
