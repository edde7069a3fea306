"""One worker exchanges nothing; several are refused with the next step."""

from __future__ import annotations

import importlib.machinery
import importlib.util

import pytest

from utils.errors import InputError
from utils.multi_gpu_wrapper import MultiGpuWrapper


def test_a_single_worker_exchanges_nothing() -> None:
    workers = MultiGpuWrapper.init(False)
    assert (workers.rank, workers.size, workers.local_rank) == (0, 1, 0)
    assert workers.is_chief
    optimizer = object()
    assert workers.distributed_optimizer(optimizer) is optimizer
    assert workers.mean_metrics({"loss": 0.5}) == {"loss": 0.5}
    workers.broadcast([])


def test_without_horovod(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"needs Horovod, .*pip install -e '\.\[horovod\]'"):
        MultiGpuWrapper.init(True)


def test_with_horovod(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = importlib.machinery.ModuleSpec("horovod", None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    with pytest.raises(InputError, match=r"not supported by this version\. Leave the flag out"):
        MultiGpuWrapper.init(True)
