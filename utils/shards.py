"""Finite batches that all workers have, divided among them: every n-th batch for each."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from utils.multi_gpu_wrapper import MultiGpuWrapper, current


@dataclasses.dataclass(frozen=True)
class Shard:
    """One worker's part.

    Attributes:
        batches: of this worker, in order; iterated as often as wanted.
        workers: who has the other parts; one worker where nothing is divided.
    """

    batches: Iterable[Any]
    workers: MultiGpuWrapper

    def numbered(self, batches: Iterable[Any] | None = None) -> Iterator[tuple[int, Any]]:
        """Give each batch of this worker with its number among all.

        Args:
            batches: what stands for this worker's batches, one by one; None for themselves.
        """
        for index, batch in enumerate(self.batches if batches is None else batches):
            yield self.workers.rank + index * self.workers.size, batch

    def gathered(self, found: Sequence[tuple[np.ndarray, ...]]) -> list[tuple[np.ndarray, ...]]:
        """Collect arrays that were found for the first batches of each worker.

        Args:
            found: for each of this worker's batches as many arrays, of any shapes and types.

        Returns:
            Those of all workers, in the order of the batches.
        """
        if self.workers.size == 1:
            return list(found)
        parts = self.workers.gather_arrays([array for row in found for array in row])
        width = max(len(row) for row in found) if found else 0
        width = max(self.workers.gather(width))
        rows = [
            [tuple(part[start : start + width]) for start in range(0, len(part), width)]
            for part in parts
        ]
        longest = max(map(len, rows))
        return [own[index] for index in range(longest) for own in rows if index < len(own)]


def shard(batches: Iterable[Any]) -> Shard:
    """Take this worker's part of batches; all where there are fewer than workers.

    Args:
        batches: the same in every worker: a list, or a `tf.data.Dataset` that knows its length;
            others are not divided.

    Example:
        >>> list(shard(["a", "b"]).numbered())
        [(0, 'a'), (1, 'b')]
    """
    workers = current()
    if workers.size == 1 or _length(batches) < workers.size:
        return Shard(batches, MultiGpuWrapper())
    if isinstance(batches, Sequence):
        return Shard([batches[index] for index in workers.own(len(batches))], workers)
    dataset: Any = batches
    return Shard(dataset.shard(workers.size, workers.rank), workers)


def counted(batches: Any) -> Any:
    """Let a finite `tf.data.Dataset` of unknown length know it, so that `shard` divides it.

    Several workers go through it once for that; one that is cached is kept by it.

    Args:
        batches: the same in every worker, at every pass.
    """
    import tensorflow as tf

    if current().size == 1 or batches.cardinality() != tf.data.UNKNOWN_CARDINALITY:
        return batches
    number = sum(1 for _ in batches)
    return batches.apply(tf.data.experimental.assert_cardinality(number))


def _length(batches: Any) -> int:
    """Count the batches; below zero where that is not known, or there is no end."""
    if isinstance(batches, Sequence):
        return len(batches)
    cardinality = getattr(batches, "cardinality", None)
    return -1 if cardinality is None else int(cardinality())
