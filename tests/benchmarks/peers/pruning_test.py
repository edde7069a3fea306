"""Torch-Pruning's cut: which channels stay, and that nothing else changes."""

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torch_pruning")

from benchmarks.peers.network import ResNet, blocks, cost  # noqa: E402
from benchmarks.peers.pruning import (  # noqa: E402
    accumulate_gradients,
    cut,
    flops_per_channel,
    importance_of,
    kept_by_count,
    kept_by_rank,
    scores,
)


def a_network():
    torch.manual_seed(0)
    return ResNet(3).eval()


def test_importances_are_the_named_ones():
    network = a_network()
    block = blocks(network)["layer2.0"]
    with torch.no_grad():
        block.conv1.weight[5] = 0.0
        block.conv2.weight[:, 5] = 0.0
        block.bn1.weight[5] = 0.0
    batch = (torch.randn(4, 3, 32, 32), torch.arange(4))
    accumulate_gradients(network, [batch])
    for name in ("l2", "l1", "taylor"):
        found = scores(network, importance_of(name))
        assert {key: len(value) for key, value in found.items()}["layer3.2"] == 64
        assert int(found["layer2.0"].argmin()) == 5


def test_a_cut_is_a_mask():
    network, images = a_network(), torch.randn(2, 3, 32, 32)
    keep = {name: range(0, part.conv1.out_channels, 2) for name, part in blocks(network).items()}
    with torch.no_grad():
        for part in blocks(network).values():
            part.conv2.weight[:, 1::2] = 0.0
        wanted = network(images)
    cut(network, keep)
    with torch.no_grad():
        torch.testing.assert_close(network.eval()(images), wanted, rtol=0, atol=1e-5)
    assert all(part.conv2.in_channels * 2 in (16, 32, 64) for part in blocks(network).values())


def test_counts_keep_the_highest():
    kept = kept_by_count({"a": torch.tensor([0.1, 0.9, 0.5])}, {"a": 2})
    assert kept["a"].tolist() == [1, 2]


def test_ranking_removes_the_lowest_of_all_until_it_fits():
    found = {"a": torch.tensor([0.1, 3.0]), "b": torch.tensor([0.2, 0.3, 4.0])}
    kept = kept_by_rank(found, {"a": 10, "b": 1}, dense=23, target=12)
    assert {name: indices.tolist() for name, indices in kept.items()} == {"a": [1], "b": [1, 2]}
    kept = kept_by_rank(found, {"a": 10, "b": 1}, dense=23, target=0)
    assert [len(indices) for indices in kept.values()] == [1, 1]  # no block is emptied


def test_a_channel_costs_what_its_cut_saves():
    network = a_network()
    before, each = cost(network)["flops"], flops_per_channel(network)
    cut(network, {name: range(1, len(p.bn1.weight)) for name, p in blocks(network).items()})
    assert before - cost(network)["flops"] == sum(each.values())
