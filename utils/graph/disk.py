"""A graph in a folder: `graph.json` (structure) and `params.npz` (arrays, never pickled).

Both may come from anywhere: see `utils.graph.description`, and the archive's headers are held
against it before memory for the arrays is taken.

The schema is in docs/graph.md.
"""

from __future__ import annotations

import functools
import json
import math
import os
import pathlib
from typing import Any

import numpy as np

from utils.errors import InputError
from utils.files import MAX_ARCHIVE_BYTES, atomic_path, load_npz, save_npz
from utils.graph.description import Declared, describe, parse_json, rebuild
from utils.graph.ir import Graph

GRAPH_FILE, PARAMS_FILE = "graph.json", "params.npz"
MAX_JSON_BYTES = 64 << 20
# What an .npz adds to each array: the header, and twice its name in the directory.
_OVERHEAD_BYTES = 1 << 10

_Path = str | os.PathLike[str]


def save(graph: Graph, folder: _Path) -> None:
    """Write a graph; each of the two files appears whole or not at all.

    Args:
        graph: the network.
        folder: is made if it is missing; `graph.json` and `params.npz` in it are replaced.

    Raises:
        InputError: if the folder cannot be written, or an attr cannot be described in JSON.
    """
    target = pathlib.Path(folder)
    save_files(graph, target / GRAPH_FILE, target / PARAMS_FILE)


def save_files(graph: Graph, graph_path: _Path, params_path: _Path) -> None:
    """Write a graph to two files of any name, see `save`."""
    content, arrays = describe(graph)
    save_npz(arrays, params_path)
    with atomic_path(graph_path) as temporary:
        temporary.write_text(json.dumps(content, indent=1, allow_nan=False), encoding="utf-8")


def load(folder: _Path, *, allow_unsafe: bool = False) -> Graph:
    """Read and check a graph.

    Args:
        folder: what `save` wrote.
        allow_unsafe: also admit layers that run arbitrary Python code. Only for files you trust.

    Returns:
        The graph; `to_keras` builds it.

    Raises:
        InputError: if a file is missing, damaged, oversized or inconsistent, or describes something
            that Keras would not build. The message names the file and the place.
    """
    target = pathlib.Path(folder)
    return load_files(target / GRAPH_FILE, target / PARAMS_FILE, allow_unsafe=allow_unsafe)


def load_files(graph_path: _Path, params_path: _Path, *, allow_unsafe: bool = False) -> Graph:
    """Read and check a graph of two files of any name, see `load`."""
    path, arrays = pathlib.Path(graph_path), pathlib.Path(params_path)
    content = _read_json(path)
    try:
        return rebuild(
            content,
            functools.partial(_load_arrays, arrays),
            where=str(arrays),
            allow_unsafe=allow_unsafe,
        )
    except InputError as error:
        known = str(error).startswith((str(path), str(arrays)))
        raise error if known else InputError(f"{path}: {error}") from error
    except ValueError as error:
        raise InputError(f"{path}: {error}") from error


def _read_json(path: pathlib.Path) -> Any:
    try:
        if path.stat().st_size > MAX_JSON_BYTES:
            raise InputError(
                f"{path}: {path.stat().st_size:,} bytes, at most {MAX_JSON_BYTES:,} are read."
            )
        return parse_json(path.read_bytes().decode())
    except FileNotFoundError as error:
        raise InputError(
            f"{path}: no such file. Give the folder or file that the graph was saved to."
        ) from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}.") from error
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: is not JSON ({error}). Save the graph anew.") from error


def _load_arrays(path: pathlib.Path, declared: Declared) -> dict[str, np.ndarray]:
    """Read the archive once the declared sizes are known to be bearable."""
    budget = sum(
        math.prod(shape) * dtype.itemsize + _OVERHEAD_BYTES + len(key)
        for key, (shape, dtype) in declared.items()
    )
    if budget > MAX_ARCHIVE_BYTES:
        raise InputError(
            f"declares {budget:,} bytes of arrays, at most {MAX_ARCHIVE_BYTES:,} are read."
        )
    return load_npz(path, max_bytes=budget)
