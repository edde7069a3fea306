"""Batches that are divided, each once, under their own numbers."""

import numpy as np
import pytest
import tensorflow as tf

from tests.utils.several import run_workers
from utils.multi_gpu_wrapper import MultiGpuWrapper, together
from utils.shards import Shard, counted, shard


def numbered(batches, rank, size):
    with together(MultiGpuWrapper(rank, size)):
        part = shard(batches)
    return [(number, int(batch)) for number, batch in part.numbered()]


@pytest.mark.parametrize("kind", ["list", "dataset"])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_every_batch_once(kind, size):
    batches = list(range(7)) if kind == "list" else tf.data.Dataset.range(7)
    found = [entry for rank in range(size) for entry in numbered(batches, rank, size)]
    assert sorted(found) == [(number, number) for number in range(7)]


def test_too_few_or_uncounted_batches_are_not_divided():
    few = tf.data.Dataset.range(2)
    uncounted = tf.data.Dataset.range(6).filter(lambda number: number > 1)
    endless = tf.data.Dataset.range(6).repeat()
    for batches in ([1, 2], few, uncounted, endless, iter(range(6))):
        with together(MultiGpuWrapper(1, 3)):
            part = shard(batches)
        assert part.batches is batches
        assert part.workers.size == 1


def test_batches_are_counted_so_that_they_can_be_divided():
    batches = tf.data.Dataset.range(7).batch(2).unbatch().batch(1).cache()
    assert counted(batches) is batches
    found = []
    for rank in range(2):
        with together(MultiGpuWrapper(rank, 2)):
            assert shard(batches).workers.size == 1
            part = shard(counted(batches))
            found += [number for number, _ in part.numbered()]
            assert part.workers.size == 2
            endless = tf.data.Dataset.range(2).repeat()
            assert counted(endless) is endless
    assert sorted(found) == list(range(7))


def test_what_stands_for_the_batches_has_their_numbers():
    part = Shard(["b", "e"], MultiGpuWrapper(1, 3))
    assert list(part.numbered(["x", "y"])) == [(1, "x"), (4, "y")]


def test_arrays_come_back_in_the_order_of_the_batches(monkeypatch):
    def work(workers):
        own = [(np.full(n + 1, n), np.array([0.5 * n])) for n in workers.own(5)]
        return Shard([], workers).gathered(own)

    for rows in run_workers(monkeypatch, 2, work):
        assert [row[0].tolist() for row in rows] == [[n] * (n + 1) for n in range(5)]
        assert [float(row[1][0]) for row in rows] == [0.0, 0.5, 1.0, 1.5, 2.0]


def test_a_worker_may_come_with_nothing(monkeypatch):
    def work(workers):
        return Shard([], workers).gathered([(np.ones(2),)] if workers.is_chief else [])

    for rows in run_workers(monkeypatch, 2, work):
        assert [[part.tolist() for part in row] for row in rows] == [[[1.0, 1.0]]]
