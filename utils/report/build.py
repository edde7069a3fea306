"""Helpers for those who fill a report: sizes of files and the facts of a network."""

from __future__ import annotations

import hashlib
import os
import pathlib
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from utils.report.schema import Network

_BLOCK = 1 << 20


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


def file_sha256(path: str | os.PathLike[str]) -> str:
    """Digest a file as `sha256sum` does.

    Args:
        path: the file.

    Returns:
        64 hexadecimal digits.
    """
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def network_facts(
    weights: Sequence[np.ndarray],
    *,
    flops: int | None = None,
    path: str | os.PathLike[str] | None = None,
    **figures: Any,
) -> Network:
    """Gather what a report says of a network.

    Args:
        weights: all its arrays.
        flops: multiply-adds, when they could be counted.
        path: its `.keras` file, when saved; it is read for its sizes and its digest.
        **figures: further entries of `Network`: accuracy, latency …

    Returns:
        The record.
    """
    params = sum(array.size for array in weights)
    nonzeros = sum(int(np.count_nonzero(array)) for array in weights)
    return Network(
        params=params,
        nonzeros=nonzeros,
        sparsity=1 - nonzeros / params if params else 0.0,
        flops=flops,
        file_bytes=None if path is None else pathlib.Path(path).stat().st_size,
        file_bytes_deflated=None if path is None else deflated_size(path),
        sha256=None if path is None else file_sha256(path),
        path=None if path is None else os.fspath(path),
        **figures,
    )
