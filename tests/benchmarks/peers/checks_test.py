"""The self-test passes on what it is for, and fails on other counts."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torch_pruning")

from benchmarks.peers import plan, runs  # noqa: E402
from benchmarks.peers.checks import self_test  # noqa: E402
from benchmarks.peers.network import BLOCKS, ResNet  # noqa: E402


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(0)
    for name, number in BLOCKS.items():
        state = ResNet(number).state_dict()
        np.savez(
            tmp_path / f"{name}.npz", **{key: np.asarray(value) for key, value in state.items()}
        )
    return tmp_path


def test_every_check_is_said(weights):
    lines = list(self_test(weights))
    assert len(lines) == len(BLOCKS) * (2 + len(plan.BUDGETS) * len(plan.SCOPES))


def test_other_counts_are_refused(weights, monkeypatch):
    ours = plan.load_counts
    monkeypatch.setattr(plan, "load_counts", lambda name: {**ours(name), "dense": {"flops": 1}})
    with pytest.raises(runs.MismatchError, match="ours counts"):
        list(self_test(weights))
