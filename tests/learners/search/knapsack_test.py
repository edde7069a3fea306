import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learners.search.knapsack import least_error

NUM_CHOICES = 5


def everything(errors, costs):
    """Error and cost of every candidate."""
    rows = np.array(list(itertools.product(*(range(column.size) for column in errors))))
    pairs = [
        np.sum([column[rows[:, i]] for i, column in enumerate(table)], axis=0)
        for table in (errors, costs)
    ]
    return rows, *pairs


def best(errors, costs, budget):
    """The least error within a budget, by trying everything."""
    _, error, cost = everything(errors, costs)
    return error[cost <= budget * (1 + 1e-12)].min()


def total(table, places):
    return sum(column[place] for column, place in zip(table, places, strict=True))


def random_tables(seed, whole):
    rng = np.random.default_rng(seed)
    errors = [np.sort(rng.random(NUM_CHOICES))[::-1] for _ in range(5)]
    steps = rng.integers(1, 9, (5, NUM_CHOICES)) if whole else rng.random((5, NUM_CHOICES))
    costs = [np.cumsum(row).astype(float) for row in steps]
    low, high = (sum(column[place] for column in costs) for place in (0, -1))
    return errors, costs, low + rng.uniform(0.05, 0.95) * (high - low)


@pytest.mark.parametrize("seed", range(20))
def test_whole_numbers_are_answered_exactly(seed):
    errors, costs, budget = random_tables(seed, whole=True)
    places = least_error(errors, costs, budget)
    assert total(costs, places) <= budget
    assert total(errors, places) == pytest.approx(best(errors, costs, budget), abs=1e-12)
    scaled = [73_728.0 * column for column in costs]  # as many multiply-adds each
    assert least_error(errors, scaled, 73_728.0 * budget).tolist() == places.tolist()


@pytest.mark.parametrize("num_buckets", [20, 200, 10_000])
@pytest.mark.parametrize("seed", range(8))
def test_buckets_cost_no_more_than_one_each_of_the_budget(seed, num_buckets):
    errors, costs, budget = random_tables(seed, whole=False)
    places = least_error(errors, costs, budget, num_buckets=num_buckets)
    assert total(costs, places) <= budget
    room = budget - sum(column.min() for column in costs)
    smaller = budget - len(costs) * room / num_buckets
    assert total(errors, places) <= best(errors, costs, smaller) + 1e-12


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.lists(st.tuples(st.integers(0, 50), st.integers(0, 30)), min_size=1, max_size=4),
        min_size=1,
        max_size=4,
    ),
    st.integers(0, 90),
)
def test_any_tables_are_answered_exactly(rows, budget):
    errors = [np.array([error for error, _ in row], float) for row in rows]
    costs = [np.array([cost for _, cost in row], float) for row in rows]
    places = least_error(errors, costs, float(budget))
    _, error, cost = everything(errors, costs)
    if (cost <= budget).any():
        assert total(costs, places) <= budget
        assert total(errors, places) == error[cost <= budget].min()
    else:
        assert total(costs, places) == cost.min()


def test_a_larger_budget_is_never_worse():
    errors, costs, _ = random_tables(3, whole=False)
    low, high = (sum(column[place] for column in costs) for place in (0, -1))
    budgets = np.linspace(low, high, 40)
    found = [total(errors, least_error(errors, costs, budget)) for budget in budgets]
    # Buckets are of another size for every budget: by less than one of them per layer.
    slack = [best(errors, costs, budget - 5 * (budget - low) / 10_000) for budget in budgets[1:]]
    assert all(
        now <= before + 1e-12 or now <= bound + 1e-12
        for before, now, bound in zip(found, found[1:], slack, strict=False)
    )
    whole, tables, _ = random_tables(3, whole=True)
    exact = [total(whole, least_error(whole, tables, float(b))) for b in range(20, 130)]
    assert np.all(np.diff(exact) <= 1e-12)


def test_costs_below_zero_are_costs_too():
    errors, costs, budget = random_tables(1, whole=True)
    shifted = [column - 100.0 for column in costs]
    places = least_error(errors, shifted, budget - 500.0)
    assert places.tolist() == least_error(errors, costs, budget).tolist()


def test_where_nothing_is_within_the_cheapest_of_each_is_taken():
    errors = [np.array([3.0, 1.0, 2.0]), np.array([1.0, 2.0])]
    costs = [np.array([2.0, 5.0, 2.0]), np.array([4.0, 3.0])]
    assert least_error(errors, costs, 1.0).tolist() == [2, 1]
    assert least_error(errors, costs, 5.0).tolist() == [2, 1]


def test_of_equals_the_larger_choice_is_taken():
    flat = [np.zeros(3), np.zeros(3)]
    costs = [np.arange(3.0), np.arange(3.0)]
    assert total(costs, least_error(flat, costs, 4.0)) == 4.0


@pytest.mark.parametrize(
    ("errors", "costs", "message"),
    [
        ([np.zeros(2)], [np.zeros(3)], r"shapes \(2,\) and \(3,\) for layer 0"),
        ([np.zeros(0)], [np.zeros(0)], r"shapes \(0,\) and \(0,\) for layer 0"),
        ([np.array([np.nan])], [np.zeros(1)], "must be finite"),
        ([np.zeros(1)], [np.array([np.inf])], "must be finite"),
    ],
)
def test_other_tables_are_refused(errors, costs, message):
    with pytest.raises(ValueError, match=message):
        least_error(errors, costs, 1.0)
