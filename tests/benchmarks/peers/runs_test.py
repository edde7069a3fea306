"""A row of the peer is refused where it is not measured on what ours is."""

import pytest

pytest.importorskip("torch")
pytest.importorskip("torch_pruning")

from benchmarks.peers.network import ResNet
from benchmarks.peers.plan import PeerRow, load_counts
from benchmarks.peers.runs import MismatchError, check_cost, check_dense, pruned


def test_dense_accuracy_is_the_known_one():
    check_dense("resnet20", 0.9177)
    with pytest.raises(MismatchError, match=r"must have an accuracy of 0.9173.*Received: 0.9160"):
        check_dense("resnet20", 0.9160)


def test_flops_are_those_of_ours():
    row = PeerRow(network="resnet20", budget="0.5", importance="l1")
    counts = load_counts("resnet20")
    found = check_cost(pruned(ResNet(3), row), "resnet20", "0.5")
    assert (found["flops"], found["params"]) == (counts["0.5"]["flops"], counts["0.5"]["params"])
    with pytest.raises(MismatchError, match="within 1 %"):
        check_cost(ResNet(3), "resnet20", "0.5")
