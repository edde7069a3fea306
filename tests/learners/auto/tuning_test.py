"""What is fine-tuned after what, on made-up candidates."""

import dataclasses

import pytest

from learners.auto.search import Goal
from learners.auto.tuning import LOOSE, tuned
from tests.learners.auto.made_up import falling, search_of
from utils.errors import InputError


def goal(max_drop):
    return Goal(max_drop=max_drop, max_bytes=None, num_candidates=20, text="")


def tuning(gain, seen):
    """Let training give back a share of what was lost."""

    def tune(candidate, number):
        seen.append((number, candidate.trial.size))
        drop = gain * candidate.trial.drop
        trial = dataclasses.replace(candidate.trial, label="tuned", drop=drop)
        return dataclasses.replace(candidate, trial=trial), f"network {number}"

    return tune


def untuned(candidate):
    return candidate, "as it was"


def test_the_first_is_the_smallest_that_may_be_good_enough():
    seen = []
    done, network = tuned(search_of(falling), goal(1.0), tuning(0.1, seen), 3, untuned)
    assert network == "network 1"
    assert done.trial.drop <= 1.0
    assert seen[0][1] == pytest.approx(400 / LOOSE, rel=0.06) or seen[0][1] == pytest.approx(100.0)


def test_larger_ones_follow():
    search, seen = search_of(falling), []
    search.make(500.0)  # inside without training
    done, _ = tuned(search, goal(1.0), tuning(0.6, seen), 4, untuned)
    sizes = [size for _, size in seen]
    assert sizes == sorted(sizes)
    assert len(sizes) > 1
    assert done.trial.drop <= 1.0
    assert [candidate.trial.drop for candidate in search.tuned][-1] == done.trial.drop


def test_the_last_is_one_that_was_inside_before():
    search, seen = search_of(falling), []
    search.make(500.0)
    done, _ = tuned(search, goal(1.0), tuning(0.99, seen), 2, untuned)
    assert [round(size) for _, size in seen][-1] == 500
    assert done.trial.drop <= 1.0


def test_none_is_inside():
    search = search_of(lambda size: 5.0)
    with pytest.raises(InputError, match="loses 1 points or less"):
        tuned(search, goal(1.0), tuning(0.9, []), 2, untuned)


def test_budgets_alone_take_the_first():
    search = search_of(falling, max_drop=None)
    done, network = tuned(search, goal(None), tuning(1.0, []), 3, untuned)
    assert network == "network 1"
    assert done.trial.size == pytest.approx(1000.0)


@pytest.mark.parametrize(("gain", "expected"), [(1.2, "as it was"), (0.9, "network 1")])
def test_what_training_makes_worse_stays_as_it_was(gain, expected):
    search, seen = search_of(falling, max_drop=None), []
    done, network = tuned(search, goal(None), tuning(gain, seen), 3, untuned)
    assert network == expected
    assert len(seen) == 1
    assert done.trial.drop == min(search.tuned[0].trial.drop, search.candidates[-1].trial.drop)


def test_a_file_that_outgrows_its_budget_is_followed_by_a_smaller_one():
    search = search_of(falling, max_drop=None, max_bytes=700)
    aim = Goal(max_drop=None, max_bytes=700, num_candidates=20, text="bytes:700")

    def tune(candidate, number):
        trial = dataclasses.replace(candidate.trial, num_bytes=candidate.trial.num_bytes + 30)
        return dataclasses.replace(candidate, trial=trial), f"network {number}"

    done, network = tuned(search, aim, tune, 3, untuned)
    assert network == "network 2"
    assert 650 <= done.trial.num_bytes <= 700
    with pytest.raises(InputError, match="budget the goal cannot be met: the smallest of 1 files"):
        tuned(search_of(falling, max_drop=None, max_bytes=700), aim, tune, 1, untuned)
