"""The calibration table: the range of each activation of a network, in a JSON file.

    {
     "format": "flowpress-calibration-table",
     "version": 1,
     "network": "3b0c…",        the network that it is for, see `digest`
     "method": "mse",           how the ranges were chosen
     "equalized": false,        whether its channels were equalized first
     "num_samples": 100,        from how many samples
     "ranges": {"input_layer": [-1.0, 1.0], "conv1": [0.0, 6.0]}
    }

A range is the least and the greatest value, 0 included; it stands under the layer's name, of a
layer with several outputs or calls under `name:1`, `name#1` (see `utils.graph.Node`). The file is
there to be read, edited and used again; it is checked when it is read, and a table of another
network is refused.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping
from typing import Any

from utils.document import Section, load
from utils.errors import InputError
from utils.files import atomic_path
from utils.graph import Graph, Ref

FORMAT = "flowpress-calibration-table"
VERSION = 1
_KEYS = ("format", "version", "network", "method", "equalized", "num_samples", "ranges")
_LARGEST = 1e30  # beyond it float32 squares overflow


@dataclasses.dataclass(frozen=True, kw_only=True)
class CalibrationTable:
    """Ranges of activations.

    Attributes:
        network: `digest` of the network.
        method: how they were chosen.
        equalized: whether the network's channels were equalized before.
        num_samples: from how many samples, >= 0.
        ranges: tensor -> (least, greatest), least <= 0 <= greatest.
    """

    network: str
    method: str
    equalized: bool
    num_samples: int
    ranges: Mapping[Ref, tuple[float, float]]


def digest(graph: Graph) -> str:
    """Name a network by its layers: names, classes, what they read, activations and shapes.

    Two networks that differ in the values of weights only have the same digest: a table is kept
    through further training.

    Args:
        graph: the network.

    Returns:
        64 hexadecimal digits.
    """
    facts = [
        [
            node.name,
            node.op,
            [key_of(ref) for ref in node.inputs],
            _plain(node.attrs.get("activation")),
            [list(shape) for shape in node.output_shapes],
            {name: list(array.shape) for name, array in graph.params.get(node.layer, {}).items()},
        ]
        for node in graph.nodes
    ]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _plain(activation: Any) -> str | None:
    # Equalization makes a ReLU of a ReLU6: the table itself says whether there was any.
    return {"relu6": "relu"}.get(str(activation), str(activation)) if activation else None


def write_table(table: CalibrationTable, path: str | os.PathLike[str]) -> None:
    """Write a table; the file appears whole or not at all.

    Args:
        table: the table.
        path: the `.json` file.

    Raises:
        InputError: if it cannot be written.
    """
    head = {
        "format": FORMAT,
        "version": VERSION,
        "network": table.network,
        "method": table.method,
        "equalized": table.equalized,
        "num_samples": table.num_samples,
    }
    lines = [f" {json.dumps(key)}: {json.dumps(value)}" for key, value in head.items()]
    ranges = [
        f"  {json.dumps(key_of(ref))}: [{low!r}, {high!r}]"
        for ref, (low, high) in table.ranges.items()
    ]
    lines.append(' "ranges": {\n' + ",\n".join(ranges) + "\n }")
    with atomic_path(path) as temporary:
        temporary.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def read_table(path: str | os.PathLike[str], graph: Graph, flag: str = "table") -> CalibrationTable:
    """Read a table and hold it against the network.

    Args:
        path: the file, of at most 1 MiB.
        graph: the network that it must be for.
        flag: that names it, for messages.

    Returns:
        The table.

    Raises:
        InputError: if it cannot be read, is no such table, or is another network's.
    """
    source = f"`{flag}`: {os.fspath(path)}"
    document = Section(source, "", load(path, source), _KEYS)
    document.text("format", (FORMAT,))
    if document.number("version", 0) != VERSION:
        document.refuse("version", f"must be {VERSION}. Received: {document.raw('version')!r}")
    if document.text("network") != digest(graph):
        document.refuse(
            "network",
            f"is another network's than {graph.name!r}: its layers or their shapes differ. "
            "Calibrate anew, without a table",
        )
    if not isinstance(document.raw("equalized"), bool):
        document.refuse(
            "equalized", f"must be true or false. Received: {document.raw('equalized')!r}"
        )
    return CalibrationTable(
        network=document.text("network"),
        method=document.text("method"),
        equalized=document.raw("equalized"),
        num_samples=int(document.number("num_samples", 0)),
        ranges=_ranges(document, graph),
    )


def key_of(ref: Ref) -> str:
    """Write a tensor's name: that of its node, and `:index` where it is not the first output."""
    return ref.node if ref.index == 0 else f"{ref.node}:{ref.index}"


def _ranges(document: Section, graph: Graph) -> dict[Ref, tuple[float, float]]:
    known = {
        key_of(ref): ref
        for node in graph.nodes
        for ref in (Ref(node.name, index) for index in range(len(node.output_shapes)))
    }
    held = document.raw("ranges")
    section = Section(document.source, "ranges", held, tuple(known))
    return {known[key]: _range(section, key, value) for key, value in held.items()}


def _range(section: Section, key: str, value: Any) -> tuple[float, float]:
    is_pair = isinstance(value, list) and len(value) == 2
    if not is_pair or not all(_is_number(end) for end in value):
        section.refuse(key, f"must be [least, greatest], two finite numbers. Received: {value!r}")
    low, high = map(float, value)
    if not low <= 0.0 <= high:
        section.refuse(key, f"must hold 0: least <= 0 <= greatest. Received: [{low:g}, {high:g}]")
    return low, high


def _is_number(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and abs(value) <= _LARGEST  # NaN and infinity are not


def require(table: CalibrationTable, refs: Mapping[Ref, Any], source: str) -> None:
    """Refuse a table that lacks a tensor.

    Args:
        table: the table.
        refs: the tensors that need a range.
        source: what names the table, for messages.

    Raises:
        InputError: naming those that are missing.
    """
    missing = [key_of(ref) for ref in refs if ref not in table.ranges]
    if missing:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise InputError(
            f"{source} lacks the range of {', '.join(missing[:3])}{more}. Write a line for each, "
            "or calibrate anew."
        )
