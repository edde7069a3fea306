"""TensorFlow's SavedModels and frozen graphs as Keras networks; nothing in them runs.

What a graph computes of constants alone is worked out first: so batch norm that is written out is
found again, and shapes are known where layers need them.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import re
from collections.abc import Container, Iterable, Mapping
from typing import Any

import numpy as np

from utils.errors import InputError
from utils.frontends.building import build
from utils.frontends.convert import Converted
from utils.frontends.folded import FoldAllowance
from utils.frontends.shapes import Shapes, with_shapes
from utils.frontends.source import (
    NotConvertible,
    SourceInput,
    SourceNetwork,
    SourceNode,
    ordered,
)
from utils.frontends.tensorflow.graph import (
    MAX_FILE_BYTES,
    Allowance,
    Source,
    TfGraph,
    TfNode,
    flattened,
    num_outputs,
    parse_graph,
)
from utils.frontends.tensorflow.norms import with_norms
from utils.frontends.tensorflow.operators import FOLDING, operators, settings
from utils.frontends.tensorflow.saved_model import GRAPH_FILE, read_saved_model

_UNREAD = frozenset({"Assert", "Const", "NoOp", "Placeholder", "PlaceholderWithDefault"})
_FUSED_NORMS = frozenset({"FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"})
"""All outputs but their first are for training."""
_OUTPUT = re.compile(r"output(_\d+)?")  # of our own frozen graphs
_TYPES = frozenset(
    "bool float16 bfloat16 float32 float64 int8 int16 int32 int64 uint8 uint16 uint32".split()
)
_OPEN = "Give the input's size with --input_shape."


def convert(path: str, input_shape: Shapes = None) -> Converted:
    """Read a network and build it of Keras layers.

    Args:
        path: the folder of a SavedModel, or a frozen graph (`.pb`).
        input_shape: sizes that the file leaves open, see `utils.frontends.shapes`.

    Returns:
        The network.

    Raises:
        InputError: if the file is damaged or its graph not frozen; a `ConversionError` if
            operations cannot be converted.
    """
    network = read(path, input_shape)
    is_first = any(node.attrs.get("channel_axis") == 1 for node in network.nodes)
    return build(network, operators(is_first))


def read(path: str, input_shape: Shapes = None) -> SourceNetwork:
    """Read a network, see `convert`."""
    target = pathlib.Path(path)
    try:
        graph = read_graph(target)
        network = source_network(graph, target.stem, input_shape)
        known = worked_out(network)
        network = with_norms(network, known)
        nodes = tuple(each for each in network.nodes if not all(n in known for n in each.outputs))
        return dataclasses.replace(network, nodes=nodes, constants={**network.constants, **known})
    except InputError as error:
        is_told = str(error).startswith(os.fspath(target))
        raise error if is_told else InputError(f"{path}: {error}") from error


def read_graph(target: pathlib.Path) -> TfGraph:
    """Read a SavedModel's folder, its `saved_model.pb`, or a frozen graph.

    Raises:
        InputError: see `convert`.
    """
    if target.name == GRAPH_FILE and target.is_file():
        target = target.parent
    if target.is_dir():
        if not (target / GRAPH_FILE).is_file():
            raise InputError(f"the folder holds no {GRAPH_FILE}: it is no SavedModel.")
        return read_saved_model(target)
    if not target.is_file():
        raise InputError(f"there is no file or folder {os.fspath(target)!r}.")
    size = target.stat().st_size
    if size > MAX_FILE_BYTES:
        raise InputError(f"{size:,} bytes, at most {MAX_FILE_BYTES:,} are read.")
    definition = parse_graph(target.read_bytes())
    ends = _ends(definition)
    nodes, constants, found = flattened(definition, ends.values(), Allowance(size))
    inputs = {node.name: (node.name, 0) for node in nodes.values() if node.op == "Placeholder"}
    return TfGraph(nodes, constants, inputs, dict(zip(ends, found, strict=True)))


def _ends(definition: Any) -> dict[str, Source]:
    """Name the outputs of a frozen graph: `output`, `output_1`, …, else all of unread nodes."""
    nodes = definition.node
    read = {text.lstrip("^").partition(":")[0] for node in nodes for text in node.input}
    named = _named_ends(nodes, read)
    if named:
        return {name: (name, 0) for name in named}
    functions = {each.signature.name: each for each in definition.library.function}
    ends = {
        f"{node.name}:{number}" if number else node.name: (node.name, number)
        for node in nodes
        if node.name not in read and node.op not in _UNREAD
        for number in range(1 if node.op in _FUSED_NORMS else num_outputs(node, functions))
    }
    if not ends:
        raise InputError("no node of the graph is an output: each is read by another.")
    return ends


def _named_ends(nodes: Iterable[Any], read: Container[str]) -> list[str]:
    """Find `output`, `output_1`, … at the end; TensorFlow may have put copies behind them."""
    copies = {node.name for node in nodes if node.op == "Identity" and node.name not in read}
    inner = {
        text.partition(":")[0] for node in nodes if node.name not in copies for text in node.input
    }
    named = [node.name for node in nodes if _OUTPUT.fullmatch(node.name) and node.name not in inner]
    return sorted(named, key=lambda name: int(name.partition("_")[2] or 0))


def source_network(graph: TfGraph, name: str, input_shape: Shapes = None) -> SourceNetwork:
    """Describe a graph for the builder.

    Args:
        graph: as read.
        name: of the network.
        input_shape: see `convert`.

    Raises:
        InputError: if a variable has no value, or an input no known rank.
    """
    lost = [node.name for node in graph.nodes.values() if _is_variable(node)]
    if lost and any(source[0] in lost for node in graph.nodes.values() for source in node.inputs):
        raise InputError(
            f"the variable {lost[0]!r} has no value: the graph is not frozen. Give the folder of "
            "a SavedModel, or a graph whose variables are constants."
        )
    names = _TensorNames(graph)
    inputs = tuple(
        _source_input(names[source], graph.nodes[source[0]]) for source in graph.inputs.values()
    )
    open_inputs = [
        names[source]
        for source in graph.inputs.values()
        if graph.nodes[source[0]].attrs.get("shape") is None
    ]
    skipped = {source[0] for source in graph.inputs.values()}
    batches = {source.shape[0] for source in inputs if source.shape}
    read = SourceNetwork(
        name=name,
        inputs=inputs,
        outputs=tuple(names[source] for source in graph.outputs.values()),
        nodes=tuple(
            SourceNode(
                name=names.short(node.name),
                op=node.op,
                inputs=tuple(names[source] for source in node.inputs),
                outputs=tuple(names[node.name, i] for i in range(node.num_outputs)),
                attrs=settings(node.op, node.attrs),
            )
            for node in graph.nodes.values()
            if node.name not in skipped and not _is_variable(node) and node.num_outputs
        ),
        constants={names[name, 0]: array for name, array in graph.constants.items()},
        batch=batches.pop() if len(batches) == 1 else None,
    )
    whole = with_shapes(read, input_shape)
    lost = [each.name for each in whole.inputs if each.name in open_inputs and not each.shape]
    if lost:
        raise InputError(f"the input {lost[0]!r} has no known shape. {_OPEN}")
    return whole


def _is_variable(node: TfNode) -> bool:
    return node.op in ("VarHandleOp", "Variable", "VariableV2")


def _source_input(name: str, node: TfNode) -> SourceInput:
    """Describe a placeholder; one of unknown rank has no sizes at all."""
    dtype = str(node.attrs.get("dtype"))
    if dtype not in _TYPES:
        raise InputError(
            f"the input {name!r} is of the type {dtype}: the graph is not frozen, or takes no "
            "numbers. Give the folder of a SavedModel, or a graph whose variables are constants."
        )
    stored = node.attrs.get("shape") or ()
    sizes = tuple(None if size < 0 else size for size in stored)
    return SourceInput(name, sizes, dtype)


def _common(paths: list[list[str]]) -> list[str]:
    """Give the longest list that all lists begin with."""
    common = []
    for parts in zip(*paths, strict=False):
        if len(set(parts)) > 1:
            break
        common.append(parts[0])
    return common


class _TensorNames:
    """Names of tensors: as callers know inputs and outputs; others without what all begin with."""

    def __init__(self, graph: TfGraph) -> None:
        known = {source: name for name, source in graph.outputs.items()}
        inputs = {source: name for name, source in graph.inputs.items()}
        self._given = {**{s: n for s, n in known.items() if s not in inputs}, **inputs}
        taken = set(inputs.values())
        self._given = {
            source: f"{name}_output" if source not in inputs and name in taken else name
            for source, name in self._given.items()
        }
        skipped = ("Identity", "Placeholder", "VarHandleOp")
        inner = [node.name for node in graph.nodes.values() if node.op not in skipped]
        self._prefix = _common([name.split("/")[:-1] for name in inner])
        self._taken = set(self._given.values())

    def short(self, name: str) -> str:
        """Leave out what the names of all nodes begin with."""
        parts = name.split("/")
        count = len(self._prefix)
        is_common = parts[:count] == self._prefix and len(parts) > count
        return "/".join(parts[count:]) if is_common else name

    def __getitem__(self, source: Source) -> str:
        """Name a tensor."""
        if source in self._given:
            return self._given[source]
        name, number = source
        text = f"{name}:{number}" if number else name
        return f"{text}:0" if text in self._taken else text


def worked_out(network: SourceNetwork) -> Mapping[str, np.ndarray]:
    """Compute all that depends on constants alone.

    Args:
        network: as read.

    Returns:
        Arrays by tensor name, the network's own constants among them.

    Raises:
        InputError: if they would take more memory than a file of its size may.
    """
    known, allowance = dict(network.constants), FoldAllowance(network)
    for node in ordered(network):
        fold = FOLDING.get(node.op)
        if fold is None or not node.inputs or not all(name in known for name in node.inputs):
            continue
        given = [known[name] for name in node.inputs]
        try:
            found = [np.asarray(array) for array in fold(node, given)]
        except (NotConvertible, ValueError, TypeError, IndexError, KeyError):
            continue  # the builder comes to this node, too, and says what is wrong with it
        allowance.take(node, found, given)
        known.update(zip(node.outputs, found, strict=False))
    return known
