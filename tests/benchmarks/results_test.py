import json
import threading

import pytest

from benchmarks import results
from benchmarks.recorded import RECORDED
from utils.errors import InputError


def entry(**changes):
    values = {
        "topic": "pruning",
        "row": "selection",
        "seed": 0,
        "machine": {"cpu": "Test CPU", "cores": 2, "os": "Linux x86_64"},
        "code": "abc",
        "title": "Channel selection.",
        "about": "ResNet-20, default flags",
        "status": "ok",
        "figures": {"selection_seconds": 38.2, "peak_memory_mib": 1500},
        "target": {"selection_seconds": "<= 56"},
        "peer": {},
        "seconds": 45.0,
        "versions": {"tensorflow": "2.21.0"},
        "date": "2026-03-01T12:00:00+00:00",
    }
    return values | changes


def test_entries_are_kept_in_order(tmp_path):
    path = tmp_path / "results.json"
    assert results.load_entries(path) == []
    results.append_entry(path, entry())
    results.append_entry(path, entry(seed=1))
    assert [item["seed"] for item in results.load_entries(path)] == [0, 1]
    document = json.loads(path.read_text(encoding="utf-8"))
    assert document["recorded"] == list(RECORDED)
    assert [item.name for item in tmp_path.iterdir()] == ["results.json"]


def append_many(path, first):
    for number in range(first, first + 10):
        results.append_entry(path, entry(seed=number))


def test_two_runs_at_a_time_do_not_lose_entries(tmp_path):
    path = tmp_path / "results.json"
    # Each thread locks through a file descriptor of its own, as two processes would.
    threads = [threading.Thread(target=append_many, args=(path, first)) for first in (0, 100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seeds = sorted(item["seed"] for item in results.load_entries(path))
    assert seeds == [*range(10), *range(100, 110)]


@pytest.mark.parametrize("text", ["", "[]", "{}", "{"])
def test_a_file_of_another_kind_is_refused(tmp_path, text):
    path = tmp_path / "results.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"results\.json is no results file"):
        results.append_entry(path, entry())
    assert path.read_text() == text


@pytest.mark.parametrize(
    ("change", "known"),
    [
        ({}, True),
        ({"status": "failed"}, False),
        ({"seed": 1}, False),
        ({"code": "def"}, False),
        ({"machine": {"cpu": "Other", "cores": 2, "os": "Linux x86_64"}}, False),
    ],
)
def test_what_a_result_belongs_to(change, known):
    assert results.has_result([entry(**change)], entry()) is known


def test_the_latest_entry_of_each_row_counts():
    entries = [entry(row="b"), entry(row="a"), entry(row="b", seed=5), entry(topic="graph")]
    found = results.latest(entries)
    assert list(found) == ["graph", "pruning"]
    assert list(found["pruning"]) == ["b", "a"]
    assert found["pruning"]["b"]["seed"] == 5


def test_targets_met_and_missed_are_said_plainly():
    missed = entry(row="slow", figures={"selection_seconds": 61.25}, peer={"selection_seconds": 70})
    page = results.render_tables([entry(), missed])
    assert "**Targets: 1 met, 1 missed; rows failed: 0.**" in page
    assert "- pruning/slow: `selection_seconds` is 61.25, wanted <= 56." in page
    assert "| selection | selection_seconds | 38.2 | <= 56 | met |  |" in page
    assert "|  | peak_memory_mib | 1,500 |  |  |  |" in page
    assert "| slow | selection_seconds | 61.25 | <= 56 | **missed** | 70 |" in page
    assert (
        "- `slow`: ResNet-20, default flags Measured 2026-03-01T12:00:00+00:00 in 45 s, seed 0, on "
        "Test CPU, 2 cores, TensorFlow 2.21.0, code abc."
    ) in page


def test_failed_rows_are_shown_with_their_error():
    failed = entry(status="failed", error="RuntimeError: a | b\nc", figures={})
    page = results.render_tables([failed])
    assert "**Targets: 0 met, 0 missed; rows failed: 1.**" in page
    assert "- pruning/selection failed: RuntimeError: a \\| b c" in page
    assert "| selection | | failed | selection_seconds <= 56 | **failed** | |" in page
    assert results.verdicts(failed) == {"selection_seconds": False}


def test_recorded_figures_are_part_of_the_page():
    page = results.render_tables([])
    assert "| pruning | channel selection" in page
    assert "| selection_seconds | 565 |" in page


def test_a_text_meets_no_target():
    assert results.verdicts(entry(figures={"selection_seconds": "fast"})) == {
        "selection_seconds": False
    }


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "yes"),
        (1234567, "1,234,567"),
        (1234567.8, "1,234,568"),
        (0.000123456, "0.00012346"),
        (None, ""),
        ([1, 2.5], "1, 2.5"),
        ({"a": 1}, "a: 1"),
        ("a|b", "a\\|b"),
    ],
)
def test_values_as_text(value, text):
    assert results._value(value) == text


def test_write_tables(tmp_path):
    path = tmp_path / "results.json"
    results.append_entry(path, entry())
    results.write_tables(path)
    page = (tmp_path / "results.md").read_text(encoding="utf-8")
    assert page == results.render_tables(results.load_entries(path))
