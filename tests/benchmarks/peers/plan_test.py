"""Rows of the peer and the file that keeps them."""

import pytest

from benchmarks.peers.plan import (
    BUDGETS,
    DENSE_TOP1,
    PeerRow,
    is_measured,
    keep_result,
    load_counts,
    load_results,
    rows,
)


def test_rows_are_all_combinations():
    found = rows(epochs=[1, 3], network=["resnet20"], budget=["0.5"], importance=["l2", "taylor"])
    assert [(row.epochs, row.importance) for row in found] == [
        (1, "l2"),
        (1, "taylor"),
        (3, "l2"),
        (3, "taylor"),
    ]


def test_results_are_kept_and_replaced(tmp_path):
    path = tmp_path / "results.json"
    first = PeerRow(network="resnet20", budget="0.5", importance="l2")
    other = PeerRow(network="resnet20", budget="0.5", importance="l2", seed=1)
    assert load_results(path) == []
    keep_result(first, {"before": 0.1}, path)
    keep_result(other, {"before": 0.2}, path)
    assert not is_measured(PeerRow(network="resnet56", budget="0.5", importance="l2"), [])
    keep_result(first, {"before": 0.3}, path)
    found = load_results(path)
    assert [row["before"] for row in found] == [0.2, 0.3]
    assert is_measured(first, found) and is_measured(other, found)
    assert [path] == list(tmp_path.iterdir())


@pytest.mark.parametrize("network", DENSE_TOP1)
def test_every_budget_has_its_counts(network):
    counts = load_counts(network)
    for budget in BUDGETS:
        share = counts[budget]["flops"] / counts["dense"]["flops"]
        assert share == pytest.approx(float(budget), rel=0.02)
        assert len(counts[budget]["keep"]) == {"resnet20": 9, "resnet56": 27}[network]


def test_a_row_says_what_it_is():
    row = PeerRow(network="resnet20", budget="0.5", importance="l1", distilled=True, seed=2)
    assert row.words() == "resnet20 flops:0.5 l1 local distilled 3 epochs sgd at 0.02 seed 2"
