"""What the report says of a hunt, on made-up candidates."""

import dataclasses
import json
import types

import pytest

from learners.auto.joint import Joint
from learners.auto.offers import Option
from learners.auto.record import Trial
from learners.auto.report import bits_left, compared_rows, facts, make_search, save_setting
from learners.auto.workshop import Candidate


def trial(label, drop, num_bytes=100):
    return Trial(
        label=label, values={}, size=1.0, num_bytes=num_bytes, drop=drop, value=0.9 - drop / 100,
        loss=0.1, error=0.1, predicted=0.1, seconds=2.0,
    )  # fmt: skip


@pytest.fixture
def winner(places):
    options = {layer.name: Option(bits=4, percent=50, pattern="element") for layer in places.layers}
    joint = Joint(widths={group.name: 8 for group in places.groups}, options=options)
    return Candidate(trial=trial("joint", 1.0), joint=joint, built=None)


@pytest.fixture
def search(winner, places):
    deciding = types.SimpleNamespace(is_share=True, merit=lambda value: value)
    file = types.SimpleNamespace(before=types.SimpleNamespace(deciding=deciding))
    return types.SimpleNamespace(
        workshop=types.SimpleNamespace(
            judge=types.SimpleNamespace(file=file),
            places=places,
            offer=types.SimpleNamespace(deflated=True),
        ),
        scales={"channels": 1.5, "bits": 0.5},
        candidates=[winner, winner],
        tuned=[],
        compared={"bits": trial("bits", 3.0)},
        together=winner.trial,
    )


def test_candidates_and_comparison(search, winner):
    rows = compared_rows(search, winner)
    assert [(row.label, row.kept, row.drop) for row in rows] == [
        ("together", True, 1.0),
        ("bits alone", False, 3.0),
    ]
    found = make_search(search, winner, rows, "max_drop:1")
    assert len(found.rollouts) == 1  # the same candidate, tried for two sizes
    assert found.rollouts[0].cost == {"bytes": 100.0}
    assert found.deflated
    assert found.scales == {"channels": 1.5, "bits": 0.5}
    assert found.winner is not None
    assert set(found.winner.setting.values()) == {2.0}  # half of the weights, 4 bits each


def test_a_way_alone_that_won_is_the_row_that_is_kept(search, winner):
    alone = dataclasses.replace(winner, trial=search.compared["bits"])
    rows = compared_rows(search, alone)
    assert [(row.label, row.kept) for row in rows] == [("together", False), ("bits alone", True)]


def test_facts_and_bits(winner, places):
    assert facts(winner, places)["one"] == {
        "bits": 4,
        "granularity": "output channel",
        "percent": 50,
    }
    assert bits_left(winner, places)["two"] == 2.0


def test_the_file(winner, places, tmp_path):
    path = save_setting(winner.joint, places, tmp_path, {"drop": 1.0})
    document = json.loads(path.read_text())
    assert path.name == "setting.json"
    assert (document["quantity"], document["drop"]) == ("joint", 1.0)
    assert document["values"]["one/percent"] == 50
