"""The peer's figures for tables and rows."""

import json

import pytest

from benchmarks.peer_results import best_peer, means, render_peers
from benchmarks.results import write_tables


def a_row(**changes):
    row = {
        "network": "resnet20",
        "budget": "0.5",
        "importance": "l2",
        "scope": "local",
        "distilled": True,
        "seed": 0,
        "epochs": 3,
        "rate": 0.02,
        "optimizer": "sgd",
        "held_out": False,
        "before": 0.27,
        "after": [0.88, 0.89, 0.895],
        "flops_kept": 0.499,
        "params": 1000,
        "seconds": 10.0,
        "device": "a card",
    }
    return row | changes


ROWS = [
    a_row(),
    a_row(seed=1, after=[0.86, 0.89, 0.899], seconds=20.0),
    a_row(importance="l1", after=[0.9, 0.9, 0.898], distilled=False),
    a_row(importance="l1", held_out=True, after=[0.99, 0.99, 0.99]),
    a_row(epochs=1, after=[0.889]),
]


def test_means_are_over_seeds():
    found = next(mean for mean in means(ROWS) if mean["importance"] == "l2" and mean["epochs"] == 3)
    assert found["seeds"] == [0, 1]
    assert found["top1"] == pytest.approx(0.897) and found["first"] == pytest.approx(0.87)
    assert (found["lowest"], found["highest"], found["seconds"]) == (0.895, 0.899, 15.0)


def test_the_best_peer_is_one_of_the_wanted(tmp_path):
    path = tmp_path / "results.json"
    path.write_text(json.dumps({"rows": ROWS}))
    best = best_peer("resnet20", "0.5", epochs=3, path=path)
    assert best["top1"] == 0.898 and best["what"] == "Torch-Pruning, l1 local, plain, sgd at 0.02"
    taught = best_peer("resnet20", "0.5", epochs=3, distilled=True, path=path)
    assert taught["top1"] == pytest.approx(0.897)
    assert best_peer("resnet56", "0.5", epochs=3, path=path) == {}
    assert best_peer("resnet20", "0.5", epochs=3, path=tmp_path / "none.json") == {}


def test_the_table_is_part_of_the_page(tmp_path):
    (tmp_path / "peers").mkdir()
    (tmp_path / "peers" / "results.json").write_text(json.dumps({"rows": ROWS}))
    write_tables(tmp_path / "results.json")
    page = (tmp_path / "results.md").read_text()
    assert (
        "| resnet20 | 0.4990 | l2 local, distilled, sgd at 0.02 | 3 | 27.00 | 87.00 | 89.70 "
        "| 89.50 to 89.90 | 0, 1 | 15 |" in page
    )
    assert "fine-tuning on: a card" in page


def test_without_rows_there_is_no_table():
    assert render_peers([]) == []
