"""The seam for several workers: training passes through here, whether one process runs or many."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from utils.errors import InputError


@dataclasses.dataclass(frozen=True)
class MultiGpuWrapper:
    """A worker's place among its peers, and what they exchange.

    With one worker nothing is exchanged: every method returns what it was given.

    Attributes:
        rank: number of this worker, 0 to `size - 1`; worker 0 writes files and reports.
        size: number of workers.
        local_rank: number of this worker on its machine, which is that of its GPU.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    @classmethod
    def init(cls, enbl_multi_gpu: bool) -> MultiGpuWrapper:
        """Find this process' place.

        Args:
            enbl_multi_gpu: the flag.

        Returns:
            The only worker.

        Raises:
            InputError: if the flag is on: several workers are not supported yet.
        """
        if not enbl_multi_gpu:
            return cls()
        raise InputError(
            "`--enbl_multi_gpu` is not supported by this version. Leave the flag out: one process "
            "then trains alone."
        )

    @property
    def is_chief(self) -> bool:
        """Whether this worker writes files and reports."""
        return self.rank == 0

    def distributed_optimizer(self, optimizer: Any) -> Any:
        """Make an optimizer apply the mean of all workers' gradients.

        Args:
            optimizer: a Keras optimizer.

        Returns:
            The optimizer to train with.
        """
        return optimizer

    def broadcast(self, variables: Sequence[Any]) -> None:
        """Give all workers the values of worker 0.

        Args:
            variables: Keras variables, changed in place.
        """

    def mean_metrics(self, metrics: Mapping[str, float]) -> dict[str, float]:
        """Average metrics over the workers.

        Args:
            metrics: value by name, the same names on all workers.

        Returns:
            Mean by name.
        """
        return dict(metrics)
