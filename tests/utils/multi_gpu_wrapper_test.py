"""One worker exchanges nothing; several are refused with the next step."""

from __future__ import annotations

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


def test_several_workers_are_refused() -> None:
    with pytest.raises(InputError, match=r"not supported by this version\. Leave the flag out"):
        MultiGpuWrapper.init(True)
