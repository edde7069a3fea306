"""The hunt on made-up candidates: no network is made."""

import dataclasses

import pytest

from learners.auto.search import Goal, sentences
from tests.learners.auto.made_up import falling, search_of
from utils.errors import InputError


def test_the_smallest_inside_wins():
    search = search_of(falling)
    found = search.run(1.0)
    assert found is not None
    assert found.trial.drop <= 1.0
    assert 400 <= found.trial.size <= 400 * 1.05


def test_a_budget_for_bytes_is_never_exceeded():
    search = search_of(falling, max_bytes=700)
    found = search.run(1.0)
    assert found is not None
    assert all(candidate.trial.num_bytes <= 700 for candidate in search.candidates)


def test_without_a_drop_the_budget_is_used_up():
    search = search_of(falling, max_drop=None, max_bytes=700)
    found = search.run(None)
    assert found is not None
    assert 0.98 * 700 <= found.trial.num_bytes <= 700


@pytest.mark.parametrize("deflated", [True, False])
@pytest.mark.parametrize("max_drop", [None, 1.0])
def test_room_is_left_for_what_training_adds_to_a_deflated_file(deflated, max_drop):
    search = search_of(falling, max_drop=max_drop, max_bytes=420)
    search.workshop.offer.deflated = deflated
    found = search.run(max_drop, room=0.1)
    assert found is not None or max_drop is not None
    most = max(candidate.trial.num_bytes for candidate in search.candidates)
    assert most <= 0.9 * 420 if deflated else 0.98 * 420 <= most <= 420


def test_nothing_inside_says_what_the_best_is():
    search = search_of(lambda size: 5.0, max_drop=1.0)
    assert search.run(1.0) is None
    with pytest.raises(InputError, match=r"no file that was tried loses 1 points or less.*5\.00"):
        raise search.refuse(1.0)


def test_the_largest_is_tried_before_giving_up():
    search = search_of(lambda size: 0.5 if size > 990 else 2.0, num_candidates=1)
    found = search.run(1.0)
    assert found is not None
    assert found.trial.size == pytest.approx(1000.0)


def test_a_budget_that_cannot_be_met():
    search = search_of(falling, max_drop=None, max_bytes=120)
    with pytest.raises(
        InputError, match="1 files that were made has 150 bytes, the budget leaves 120"
    ):
        search.run(None)


def test_a_file_beyond_the_budget_is_no_advice():
    search = search_of(falling, max_bytes=120)
    assert search.run(1.0) is None
    with pytest.raises(InputError, match="has 150 bytes, the budget leaves 120"):
        raise search.refuse(1.0)


def test_each_way_is_tried_alone_and_scaled():
    search = search_of(falling)
    assert search.scales == {}
    search.calibrate()
    assert search.scales == pytest.approx({"channels": 3.0, "bits": 0.5})
    assert search.workshop.scales["channels"] == pytest.approx(3.0)
    assert search.workshop.scales["bits"] == pytest.approx(0.5)
    assert [label for label, _ in search.workshop.made] == ["probe of channels", "probe of bits"]


def test_each_way_is_compared_at_the_bytes_of_the_winner():
    search = search_of(falling)
    search.calibrate()
    winner = search.run(1.0)
    assert winner is not None
    assert search.compare(winner) is winner  # the others are no smaller
    assert set(search.compared) == {"channels", "bits"}
    assert all(
        trial.num_bytes == pytest.approx(winner.trial.num_bytes, rel=0.02)
        for trial in search.compared.values()
    )
    said = " ".join(sentences(search, winner, Goal(
        max_drop=1.0, max_bytes=None, num_candidates=1, text="max_drop:1"
    )))  # fmt: skip
    assert "of accuracy on 10 held-out training images (max_drop:1)" in said
    assert "channels alone" in said
    assert "scaled by 3 for channels, 0.5 for bits" in said


@pytest.mark.parametrize(("drop", "wins"), [(0.9, True), (1.1, False)])
def test_a_way_alone_that_is_smaller_and_inside_wins(drop, wins):
    search = search_of(falling)
    winner = search.run(1.0)
    assert winner is not None
    make = search.workshop.make

    def smaller(answer, label, size):
        made = make(answer, label, size)
        if label != "bits":
            return made
        num_bytes = made.trial.num_bytes // 2
        return dataclasses.replace(
            made, trial=dataclasses.replace(made.trial, num_bytes=num_bytes, drop=drop)
        )

    search.workshop.make = smaller
    best = search.compare(winner)
    assert (best.trial.label == "bits") == wins and (best is winner) != wins
    goal = Goal(max_drop=1.0, max_bytes=None, num_candidates=1, text="max_drop:1")
    said = " ".join(sentences(search, best, goal))
    assert ("the file with fewer bits alone is the smallest, and is kept" in said) == wins


def test_what_was_tuned_is_not_held_against_what_was_not():
    search = search_of(falling)
    found = search.run(1.0)
    assert found is not None
    winner = dataclasses.replace(found, trial=dataclasses.replace(found.trial, label="tuned"))
    search.workshop.make = lambda answer, label, size: dataclasses.replace(
        winner, trial=dataclasses.replace(winner.trial, label=label, num_bytes=1, drop=0.0)
    )
    assert search.compare(winner) is winner


@pytest.mark.parametrize(("drop", "wins"), [(0.1, True), (9.0, False)])
def test_where_the_bytes_are_given_what_loses_least_wins(drop, wins):
    search = search_of(falling, max_drop=None, max_bytes=700)
    winner, make = search.run(None), search.workshop.make

    def other(answer, label, size):
        made = make(answer, label, size)
        own = drop if label == "bits" else made.trial.drop
        return dataclasses.replace(made, trial=dataclasses.replace(made.trial, drop=own))

    search.workshop.make = other
    best = search.compare(winner)
    assert (best.trial.label == "bits") == wins and (best is winner) != wins
    goal = Goal(max_drop=None, max_bytes=700, num_candidates=1, text="bytes:700")
    said = " ".join(sentences(search, best, goal))
    assert ("the file with fewer bits alone loses least, and is kept" in said) == wins


@pytest.mark.parametrize(
    ("drop", "deflated", "told"),
    [(0.5, True, "640 bytes deflated, loses 0.50"), (-0.5, False, "640 bytes, gains 0.50")],
)
def test_what_came_of_a_candidate_is_told(drop, deflated, told):
    search, sentences_told = search_of(lambda size: drop), []
    search._say = sentences_told.append
    search.workshop.offer.deflated = deflated
    search.tell(search.make(590).trial)
    assert f"joint: {told} points (1 s)" in sentences_told
