"""The ResNets in PyTorch; where torch is, which Flowpress itself does not need."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from benchmarks.peers.network import ResNet, blocks, cost, load  # noqa: E402
from benchmarks.peers.plan import load_counts  # noqa: E402


def test_cost_is_that_of_ours():
    for name, number in (("resnet20", 3), ("resnet56", 9)):
        assert cost(ResNet(number)) == load_counts(name)["dense"]


def test_blocks_are_those_of_the_counts():
    assert list(blocks(ResNet(3))) == list(load_counts("resnet20")["0.5"]["keep"])


def test_weights_come_by_their_names(tmp_path):
    arrays = {key: np.asarray(value) for key, value in ResNet(3).state_dict().items()}
    np.savez(tmp_path / "resnet20.npz", **{f"module.{key}": value for key, value in arrays.items()})
    found = load("resnet20", tmp_path).state_dict()
    np.testing.assert_array_equal(found["linear.weight"], arrays["linear.weight"])
    del arrays["layer1.0.bn1.running_mean"]
    np.savez(tmp_path / "resnet20.npz", **arrays)
    with pytest.raises(ValueError, match=r"missing \['layer1.0.bn1.running_mean'\]"):
        load("resnet20", tmp_path)
