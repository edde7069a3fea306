"""Ways that there are, and candidates that are made once."""

import types

import pytest

from learners.auto.offers import make_offer
from learners.auto.record import Record
from learners.auto.workshop import Judge, Workshop


class File:
    """Counts what is made of it."""

    def __init__(self):
        self.made = 0

    def see(self, model):
        self.made += 1

        class Scores(dict):
            value = 0.5

        return types.SimpleNamespace(num_bytes=1000, scores=Scores(loss=1.0))

    def drop(self, scores):
        return 2.0


@pytest.fixture
def workshop(places, tables, sampler, tmp_path):
    judge = Judge(file=File(), errors=lambda model: 0.25, record=Record(tmp_path, {}, resume=True))
    return Workshop(places, make_offer([], None), tables, sampler, judge)


def test_all_ways_where_all_are_offered(workshop):
    assert workshop.ways == ("channels", "zeros", "bits")
    assert 0 < workshop.least < workshop.most
    assert workshop.measured(workshop.answer(1e9).joint) == {}


def test_a_device_without_zeros(places, tables, sampler, workshop):
    offer = make_offer(["int8", "tflm"], "tflm")
    assert Workshop(places, offer, tables, sampler, workshop.judge).ways == ("channels", "bits")


def test_an_error_that_is_wanted_of_one_way(workshop):
    most = workshop.answer_of_size(workshop.least, "bits").error
    found = workshop.answer_of_error(0.1 * most, "bits")
    assert found.error <= 0.1 * most
    assert set(found.joint.widths.values()) == {8}


def test_a_candidate_is_made_once(workshop, places, tables, sampler):
    answer = workshop.answer(0.5 * workshop.most)
    first = workshop.make(answer, "joint", 10.0)
    assert (first.trial.num_bytes, first.trial.drop, first.trial.error) == (1000, 2.0, 0.25)
    assert first.trial.predicted == pytest.approx(answer.error)
    again = workshop.make(answer, "joint", 10.0)
    assert again.trial == first.trial
    assert workshop.make(answer, "joint", 20.0).trial.size == 20.0  # where the hunt goes on from
    assert workshop.judge.file.made == 1
    with pytest.raises(ValueError, match="earlier session"):
        _ = again.network
