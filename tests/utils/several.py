"""Several workers as threads of this process, for what they exchange; Horovod is not needed."""

import threading

import numpy as np

from utils import horovod_calls, shards
from utils.multi_gpu_wrapper import MultiGpuWrapper


def run_workers(monkeypatch, size, work):
    """Let `size` workers do `work(workers)`; give what each returned, or raised.

    What asks `utils.shards` for its part gets that of its thread.

    Args:
        monkeypatch: takes the place of Horovod's calls.
        size: number of workers.
        work: a function of a `MultiGpuWrapper`.

    Returns:
        What came of it, by rank.
    """
    exchange = _Exchange(size)
    for name in ("broadcast_bytes", "gather_bytes", "sum_arrays"):
        monkeypatch.setattr(horovod_calls, name, getattr(exchange, name))
    monkeypatch.setattr(shards, "current", lambda: exchange.own.workers)
    found = [None] * size

    def one(rank):
        exchange.own.rank = rank
        exchange.own.workers = MultiGpuWrapper(rank, size, rank, size)
        try:
            found[rank] = work(exchange.own.workers)
        except Exception as error:
            found[rank] = error

    threads = [threading.Thread(target=one, args=(rank,), daemon=True) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive(), "the workers wait for each other for ever"
    return found


class _Exchange:
    """Calls that all threads make together."""

    def __init__(self, size):
        self.own = threading.local()
        self._given = [None] * size
        self._barrier = threading.Barrier(size, timeout=30)

    def _all(self, value):
        self._given[self.own.rank] = value
        self._barrier.wait()
        found = list(self._given)
        self._barrier.wait()
        return found

    def broadcast_bytes(self, content, rank):
        assert rank == self.own.rank
        return self._all(content)[0]

    def gather_bytes(self, content):
        return self._all(content)

    def sum_arrays(self, arrays):
        everyone = self._all(list(arrays))
        assert len({len(each) for each in everyone}) == 1
        return [np.sum(np.stack(parts), axis=0) for parts in zip(*everyone, strict=True)]
