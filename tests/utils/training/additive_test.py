"""Sums that do not depend on who adds what."""

import math

import keras
import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils.training.additive import exact_sum, is_additive


@given(
    st.lists(st.floats(-1e6, 1e6), max_size=30),
    st.randoms(use_true_random=False),
    st.integers(1, 4),
)
def test_any_division_gives_the_same_bits(values, random, size):
    whole = exact_sum(values)
    shuffled = [value for rank in range(size) for value in values[rank::size]]
    random.shuffle(shuffled)
    assert exact_sum(shuffled) == whole


def test_what_is_not_finite_stays_so():
    assert math.isnan(exact_sum([1.0, math.nan]))
    assert math.isnan(exact_sum([math.inf, -math.inf]))
    assert exact_sum([1e308, 1e308]) == math.inf


class Largest(keras.metrics.Mean):
    """A user's own: nobody knows how its state is to be put together."""


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        (keras.metrics.SparseCategoricalAccuracy(), True),
        (keras.metrics.MeanIoU(3), True),
        (keras.metrics.Precision(), True),
        (keras.metrics.R2Score(), False),
        (Largest(), False),
    ],
)
def test_metrics_whose_states_add_up(metric, expected):
    assert is_additive(metric) is expected


def test_a_metric_may_say_it_itself():
    own = Largest()
    own.is_additive = True
    assert is_additive(own)
