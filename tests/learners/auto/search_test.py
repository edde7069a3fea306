"""The hunt on made-up candidates: no network is made."""

import types

import pytest

from learners.auto.allocate import Answer
from learners.auto.joint import Joint
from learners.auto.record import Trial
from learners.auto.search import Goal, Search, sentences
from learners.auto.workshop import Candidate
from utils.errors import InputError

REST = 50.0


class Workshop:
    """Kernels of 100 to 1,000 bytes; the fewer, the more is lost."""

    least, most, budget, scales = 100.0, 1000.0, None, None
    ways = ("channels", "bits")

    def __init__(self, drop):
        self.drop, self.made = drop, []
        deciding = types.SimpleNamespace(is_share=True, name="accuracy")
        self.judge = types.SimpleNamespace(
            file=types.SimpleNamespace(
                before=types.SimpleNamespace(deciding=deciding), num_images=10
            )
        )
        self.offer = types.SimpleNamespace(kind="int8", deflated=True)

    def answer(self, size):
        return Answer(joint=Joint(widths={}, options={}), bytes=size, errors={"bits": 1.0 / size})

    def answer_of_size(self, size, way):
        return self.answer(size)

    def answer_of_error(self, error, way):
        return self.answer(1.0 / error)

    def make(self, answer, label, size):
        self.made.append((label, round(size)))
        trial = Trial(
            label=label,
            values={},
            size=size,
            num_bytes=round(answer.bytes + REST),
            drop=self.drop(answer.bytes),
            value=0.9,
            loss=0.1,
            error=(3.0 if "channels" in label else 0.5) / answer.bytes,
            predicted=1.0 / answer.bytes,
            seconds=1.0,
        )
        return Candidate(trial=trial, joint=answer.joint, built=None)


def search_of(drop, max_drop=1.0, max_bytes=None, num_candidates=20):
    workshop = Workshop(drop)
    goal = Goal(
        max_drop=max_drop, max_bytes=max_bytes, num_candidates=num_candidates, text="the goal"
    )
    return Search(workshop, goal, REST, lambda sentence: None)


def falling(size):
    return 400.0 / size


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
    with pytest.raises(InputError, match="has about 150 bytes, the budget leaves 120"):
        search.run(None)


def test_each_way_is_tried_alone_and_scaled():
    search = search_of(falling)
    search.calibrate()
    assert search.workshop.scales["channels"] == pytest.approx(3.0)
    assert search.workshop.scales["bits"] == pytest.approx(0.5)
    assert [label for label, _ in search.workshop.made] == ["probe of channels", "probe of bits"]


def test_each_way_is_compared_at_the_bytes_of_the_winner():
    search = search_of(falling)
    winner = search.run(1.0)
    assert winner is not None
    search.compare(winner)
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
