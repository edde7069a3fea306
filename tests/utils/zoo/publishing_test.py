import pathlib

import pytest

from tests.utils.zoo.runs import write_run
from utils.errors import InputError
from utils.report import Network
from utils.zoo import publishing
from utils.zoo.passes import Passed
from utils.zoo.place import Place
from utils.zoo.run import Side, read_run


@pytest.fixture
def passing(monkeypatch):
    """Let every network pass without being tried: that is in passes_test.py."""

    def run_passes(graph, folder, write_graphs):
        folder.mkdir()
        (folder / "IR_for_reconstruct_graph.json").write_text("{}")
        return Passed(
            compiler_distance=0.0,
            torch_distance=0.0,
            tf_distance=0.0,
            cost=publishing_cost(graph),
            weights=digest(graph),
        )

    from utils.graph import complexity as publishing_cost
    from utils.zoo.passes import digest

    monkeypatch.setattr(publishing, "run_passes", run_passes)


def place(folder):
    return Place(zoo=folder / "zoo", domain="vision", task="classification", model="net")


def publish(run, where, date="20200712"):
    return publishing.publish(read_run(run), place(where), date, lambda graphs, folder, check: None)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_documents_layout(passing, tmp_path):
    rows = publish(write_run(tmp_path / "a"), tmp_path)
    assert [row.folder for row in rows] == ["original", "20200712_sp41.71_8x6"]
    folder = place(tmp_path).folder
    assert names(folder) == [
        *("20200712_sp41.71_8x6", "checklist.json", "checklist.md", "original"),
    ]
    assert names(folder / "original") == ["moffett_ir", "net.keras", "net_int8.tflite"]
    assert names(folder / "20200712_sp41.71_8x6") == [
        *("moffett_ir", "net_sparse_41.71.keras", "net_sparse_41.71_int8.tflite", "report.json"),
    ]
    assert (folder / "original" / "net_int8.tflite").read_bytes() == b"before"
    again = publish(write_run(tmp_path / "b", zeros=0.9), tmp_path)
    assert [row.folder for row in again] == ["20200712_sp73.87_8x6"]  # the original lies there
    assert (folder / "checklist.md").read_text().count("\n| net |") == 3


def test_nothing_is_left_where_something_fails(passing, tmp_path, monkeypatch):
    run = write_run(tmp_path / "a")
    calls = []

    def fail(graph, folder, write_graphs):
        calls.append(graph)
        raise InputError("it does not pass.")

    monkeypatch.setattr(publishing, "run_passes", fail)
    with pytest.raises(InputError, match="does not pass"):
        publish(run, tmp_path)
    assert calls and names(tmp_path) == ["a"]


def test_another_original_and_a_second_time_are_refused(passing, tmp_path):
    publish(write_run(tmp_path / "a"), tmp_path)
    with pytest.raises(InputError, match="exists already"):
        publish(tmp_path / "a", tmp_path)
    before = names(place(tmp_path).folder)
    with pytest.raises(InputError, match="holds another network"):
        publish(write_run(tmp_path / "b", seed=1, zeros=0.2), tmp_path)
    assert names(place(tmp_path).folder) == before


def test_a_network_that_was_changed_since_is_refused(passing, tmp_path):
    run = write_run(tmp_path / "a")
    other = write_run(tmp_path / "b", zeros=0.7)
    (run / "model.keras").write_bytes((other / "model.keras").read_bytes())
    with pytest.raises(InputError, match="has been changed since its report"):
        publish(run, tmp_path)


def test_the_rate_counts_what_is_gone_and_what_is_zero():
    def side(params, nonzeros):
        facts = Network(params=params, nonzeros=nonzeros, sparsity=1 - nonzeros / params)
        return Side(facts=facts, network=pathlib.Path(), files={}, quantized_accuracy=None)

    assert publishing.sparse_rate(side(1000, 1000), side(500, 400)) == 60.0
    assert publishing.sparse_rate(side(1000, 990), side(1200, 1200)) == 0.0
