"""Several workers that train one network: who this process is, and what it shares with the others.

All workers run the same program on the same seed. What is not divided, every worker does; three
kinds of work are divided: training batches (`utils.training`), evaluation batches, and the batches
that statistics are summed over. Whoever divides asks `current()`. Inside `alone()`, where worker 0
works while the others wait, there is nobody to share with.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from utils import horovod_calls
from utils.causes import explanation
from utils.errors import InputError


@dataclasses.dataclass(frozen=True)
class MultiGpuWrapper:
    """A worker's place among its peers, and what they exchange.

    With one worker nothing is exchanged: every method returns what it was given. Every method that
    exchanges is called by all workers, in the same order.

    Attributes:
        rank: number of this worker, 0 to `size - 1`; worker 0 writes files and reports.
        size: number of workers.
        local_rank: number of this worker on its machine, which is that of its GPU.
        local_size: number of workers on its machine.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1

    @classmethod
    def check(cls, enbl_multi_gpu: bool) -> None:
        """Refuse several workers where they cannot be, before TensorFlow is loaded.

        Raises:
            InputError: if they are wanted, by the flag or by a launcher, and Horovod is missing.
        """
        if enbl_multi_gpu or horovod_calls.launched_size() > 1:
            horovod_calls.require_installed()

    @classmethod
    def init(cls, enbl_multi_gpu: bool) -> MultiGpuWrapper:
        """Find this process' place; what it finds is `current()` from then on.

        Args:
            enbl_multi_gpu: the flag. A process that a launcher started (`horovodrun`) has its
                place without it.

        Returns:
            The place: the only worker where neither flag nor launcher want others.

        Raises:
            InputError: see `check` and `horovod_calls.start`.
        """
        global _current
        place = cls()
        if enbl_multi_gpu or horovod_calls.launched_size() > 1:
            hvd = horovod_calls.start()
            place = cls(hvd.rank(), hvd.size(), hvd.local_rank(), hvd.local_size())
        _current = place
        return place

    @property
    def is_chief(self) -> bool:
        """Whether this worker writes files and reports."""
        return self.rank == 0

    def barrier(self) -> None:
        """Wait until all workers are here."""
        if self.size > 1:
            horovod_calls.gather_bytes(b"")

    def distributed_optimizer(self, optimizer: Any) -> Any:
        """Make an optimizer apply the mean of all workers' gradients.

        Args:
            optimizer: a Keras optimizer.

        Returns:
            The optimizer to train with: with several workers an `AveragingOptimizer`.
        """
        if self.size == 1:
            return optimizer
        from utils.training.averaging import AveragingOptimizer

        return AveragingOptimizer(optimizer)

    def broadcast(self, variables: Sequence[Any]) -> None:
        """Give all workers the values of worker 0.

        Args:
            variables: Keras variables of the same shapes and types in every worker, changed in
                place.
        """
        if self.size == 1 or not variables:
            return
        values = [np.asarray(variable) for variable in variables]
        content = b"".join(value.tobytes() for value in values) if self.is_chief else b""
        content = horovod_calls.broadcast_bytes(content, self.rank)
        if self.is_chief:
            return
        start = 0
        for variable, value in zip(variables, values, strict=True):
            part = content[start : start + value.nbytes]
            variable.assign(np.frombuffer(part, value.dtype).reshape(value.shape))
            start += value.nbytes

    def from_chief(self, value: Any) -> Any:
        """Give all workers a value of worker 0: of what differs from worker to worker, say a time.

        Args:
            value: as JSON can hold it.

        Returns:
            Worker 0's value, as JSON gives it back; with one worker the value itself.
        """
        if self.size == 1:
            return value
        return json.loads(horovod_calls.broadcast_bytes(json.dumps(value).encode(), self.rank))

    def files_from_chief(self, files: Mapping[str, bytes]) -> dict[str, bytes]:
        """Give all workers the files of worker 0: content by name."""
        if self.size == 1:
            return dict(files)
        sizes = self.from_chief({name: len(content) for name, content in files.items()})
        content = b"".join(files.values()) if self.is_chief else b""
        content, found, start = horovod_calls.broadcast_bytes(content, self.rank), {}, 0
        for name, size in sizes.items():
            found[name] = content[start : start + size]
            start += size
        return found

    def gather(self, value: Any) -> list[Any]:
        """Collect a value, as JSON can hold it, of every worker, in the order of their ranks."""
        if self.size == 1:
            return [value]
        found = horovod_calls.gather_bytes(json.dumps(value).encode())
        return [json.loads(each) for each in found]

    def gather_arrays(self, arrays: Sequence[np.ndarray]) -> list[list[np.ndarray]]:
        """Collect arrays, of any number, shapes and types, of every worker."""
        if self.size == 1:
            return [list(arrays)]
        facts = self.gather([[array.dtype.str, array.shape] for array in arrays])
        contents = horovod_calls.gather_bytes(b"".join(array.tobytes() for array in arrays))
        found = []
        for own, content in zip(facts, contents, strict=True):
            parts, start = [], 0
            for kind, shape in own:
                size = np.dtype(kind).itemsize * math.prod(shape)
                part = np.frombuffer(content[start : start + size], np.dtype(kind))
                parts.append(part.reshape(shape))
                start += size
            found.append(parts)
        return found

    def sum_arrays(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Add up arrays over the workers.

        Args:
            arrays: of the same shapes and types in every worker.

        Returns:
            The sums.
        """
        return list(arrays) if self.size == 1 else horovod_calls.sum_arrays(arrays)

    def agree(self, digest: str, what: str = "the network") -> None:
        """Make sure that all workers came to the same.

        Args:
            digest: stands for what they came to.
            what: its name, for the message.

        Raises:
            InputError: in every worker, if one came to something else.
        """
        digests = self.gather(digest)
        others = [rank for rank, each in enumerate(digests) if each != digests[0]]
        if others:
            raise InputError(
                f"the workers disagree on {what}: worker 0 has {digests[0]}, "
                + ", ".join(f"worker {rank} {digests[rank]}" for rank in others[:3])
                + ". All must run the same Flowpress on the same data, with the same flags and "
                "packages."
            )

    @contextlib.contextmanager
    def failing_together(self) -> Iterator[None]:
        """Let what fails in one worker fail in all: they would wait for it in the next exchange.

        For each worker's own part of a work. Inside nothing is exchanged.

        Raises:
            InputError: in the workers that did their part; names the first that did not, and why.
        """
        if self.size == 1:
            yield
            return
        failure: Exception | None = None
        try:
            yield
        except Exception as error:  # whatever a part of the data does to it
            failure = error
        reasons = self.gather(_reason(failure))
        if failure is not None:
            raise failure
        for rank, reason in enumerate(reasons):
            if reason is not None:
                raise InputError(f"worker {rank}: {reason}")

    def mean_metrics(self, metrics: Mapping[str, float]) -> dict[str, float]:
        """Average metrics over the workers.

        Args:
            metrics: value by name, the same names on all workers.

        Returns:
            Mean by name.
        """
        if self.size == 1:
            return dict(metrics)
        names = sorted(metrics)
        values = np.array([float(metrics[name]) for name in names])
        means = horovod_calls.sum_arrays([values])[0] / self.size
        by_name = dict(zip(names, means.tolist(), strict=True))
        return {name: by_name[name] for name in metrics}

    def own(self, count: int) -> range:
        """Say which of `count` pieces of work are this worker's: every `size`-th.

        Example:
            >>> list(MultiGpuWrapper(rank=1, size=3).own(8))
            [1, 4, 7]
        """
        return range(self.rank, count, self.size)

    def is_own(self, number: int) -> bool:
        """Whether a piece of work, counted from 0, is this worker's."""
        return number % self.size == self.rank


def _reason(failure: Exception | None) -> str | None:
    if failure is None or isinstance(failure, InputError):
        return None if failure is None else str(failure)
    return explanation(failure)


_current = MultiGpuWrapper()


def current() -> MultiGpuWrapper:
    """Give this process' place among those that it shares work with at the moment."""
    return _current


@contextlib.contextmanager
def together(workers: MultiGpuWrapper) -> Iterator[None]:
    """Share work with some workers for a while."""
    global _current
    before, _current = _current, workers
    try:
        yield
    finally:
        _current = before


def alone() -> contextlib.AbstractContextManager[None]:
    """Share nothing for a while: worker 0 works, the others wait for it behind."""
    return together(MultiGpuWrapper())
