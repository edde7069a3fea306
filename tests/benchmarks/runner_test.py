import logging

import pytest

from benchmarks.results import load_entries
from benchmarks.runner import Runner
from utils.errors import InputError

MODULE = '''"""Toy rows."""
import os, pathlib, signal
from benchmarks import Row, SkipRow

SOURCES = ()

def count(context):
    """Says how often it ran in its folder."""
    log = context.work_dir / "log"
    log.write_text(log.read_text() + "x" if log.exists() else "x")
    if os.environ.get("TOY_FAILS"):
        raise RuntimeError("not yet")
    return {"runs": len(log.read_text()), "seed": context.seed}

def skip(context):
    raise SkipRow("needs data")

def die(context):
    os.kill(os.getpid(), signal.SIGKILL)

ROWS = (
    Row(name="count", run=count, target={"runs": "<= 1"}),
    Row(name="skip", run=skip),
)
'''


@pytest.fixture
def make(tmp_path, caplog):
    caplog.set_level(logging.INFO, "benchmarks")
    (tmp_path / "toy_bench.py").write_text(MODULE)

    def runner(**settings):
        return Runner(tmp_path, work_dir=tmp_path / "work", **settings)

    return runner


def test_rows_run_once(make, caplog):
    assert make().run([]) == 0
    (entry,) = load_entries(make().results)
    assert entry["figures"]["runs"] == 1
    assert entry["versions"]["python"]
    assert entry["machine"]["cores"] >= 1
    assert (entry["topic"], entry["row"], entry["seed"]) == ("toy", "count", 0)
    assert "toy/skip: skipped: needs data" in caplog.text
    assert make().run(["toy"], row="count") == 0
    assert len(load_entries(make().results)) == 1
    assert "toy/count: has a result" in caplog.text
    assert "| count | runs | 1 | <= 1 | met |" in make().results.with_suffix(".md").read_text()


def test_again_and_other_seeds_run_anew(make):
    make().run([], row="count")
    make(again=True).run([], row="count")
    make(seed=4).run([], row="count")
    entries = load_entries(make().results)
    assert [entry["figures"]["seed"] for entry in entries] == [0, 0, 4]
    assert [entry["figures"]["runs"] for entry in entries] == [1, 1, 1]


def test_a_failed_row_is_recorded_and_goes_on_where_it_was(make, monkeypatch):
    monkeypatch.setenv("TOY_FAILS", "1")
    assert make().run([], row="count") == 1
    monkeypatch.delenv("TOY_FAILS")
    assert make().run([], row="count") == 0
    first, second = load_entries(make().results)
    assert (first["status"], first["error"]) == ("failed", "RuntimeError: not yet")
    assert first["target"] == {"runs": "<= 1"}
    assert second["figures"]["runs"] == 2  # its folder was still there
    assert not list(make().work_dir.rglob("log"))


def test_a_crash_takes_nothing_with_it(make, tmp_path):
    text = MODULE.replace("ROWS = (", "ROWS = (Row(name='die', run=die),")
    (tmp_path / "toy_bench.py").write_text(text)
    assert make().run([]) == 1
    statuses = {entry["row"]: entry for entry in load_entries(make().results)}
    assert statuses["count"]["status"] == "ok"
    assert statuses["die"]["status"] == "failed"
    assert "was killed, as when memory runs out" in statuses["die"]["error"]


def test_a_topic_that_cannot_be_imported_does_not_stop_the_others(make, tmp_path, caplog):
    (tmp_path / "broken_bench.py").write_text("import a_module_that_does_not_exist\n")
    assert make().run([]) == 1
    assert "broken_bench.py: cannot be imported" in caplog.text
    assert len(load_entries(make().results)) == 1


def test_unknown_topics_and_rows(make):
    with pytest.raises(InputError, match=r"unknown topic: graph. Topics: toy. A file benchmarks/"):
        make().run(["graph"])
    with pytest.raises(InputError, match="topic 'toy' has no row 'x'"):
        make().run([], row="x")


def test_list(make):
    make().run([], row="count")
    assert make().list_rows([]) == "toy/count: measured\ntoy/skip: to do"
