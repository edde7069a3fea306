"""Helpers for those who fill a report: sizes of files and the facts of a network."""

from __future__ import annotations

import os
import pathlib
import zlib
from collections.abc import Mapping
from typing import Protocol

from utils.report.schema import Network

_BLOCK = 1 << 20


class Counts(Protocol):
    """What `utils.graph.complexity` returns, as far as a report needs it."""

    @property
    def params(self) -> int:
        """Number of weights."""

    @property
    def nonzeros(self) -> int:
        """Number of weights that are not zero."""

    @property
    def flops(self) -> int:
        """Multiply-adds."""


def deflated_size(path: str | os.PathLike[str]) -> int:
    """Size of a file after deflating it: what it costs to store or send.

    Args:
        path: the file.

    Returns:
        Bytes of the raw file's zlib stream at level 9.
    """
    deflate = zlib.compressobj(level=9)
    size = 0
    with open(path, "rb") as stream:
        while block := stream.read(_BLOCK):
            size += len(deflate.compress(block))
    return size + len(deflate.flush())


def network_facts(
    counts: Counts,
    *,
    path: str | os.PathLike[str] | None = None,
    top1: float | None = None,
    metrics: Mapping[str, float] | None = None,
    latency_ms: tuple[float, float] | None = None,
) -> Network:
    """Gather what a report says of a network.

    Args:
        counts: the network's complexity.
        path: its `.keras` file, when saved; it is read for its two sizes.
        top1: fraction classified correctly.
        metrics: further metrics.
        latency_ms: p50 and p95 of the float32 `.tflite` file in milliseconds, when measured.

    Returns:
        The record.
    """
    p50, p95 = latency_ms or (None, None)
    return Network(
        top1=top1,
        metrics=dict(metrics or {}),
        params=counts.params,
        nonzeros=counts.nonzeros,
        sparsity=1 - counts.nonzeros / counts.params if counts.params else 0.0,
        flops=counts.flops,
        file_bytes=None if path is None else pathlib.Path(path).stat().st_size,
        file_bytes_deflated=None if path is None else deflated_size(path),
        latency_ms_p50=p50,
        latency_ms_p95=p95,
        path=None if path is None else os.fspath(path),
    )
