"""Reading MXNet's symbol files: the network they describe."""

from __future__ import annotations

import ast
import dataclasses
import pathlib
import re
from typing import Any

from utils.archives import MAX_CONFIG_BYTES, damaged, neighbours
from utils.errors import InputError
from utils.frontends.building import build
from utils.frontends.convert import Converted
from utils.frontends.mxnet.operators import LOSSES, OPERATORS
from utils.frontends.mxnet.params import read_params
from utils.frontends.shapes import Shapes, with_shapes
from utils.frontends.source import SourceInput, SourceNetwork, SourceNode
from utils.json_reader import read_json
from utils.schema import Anything, Fields, ListOf, MapOf, Maybe, Text, Whole

_SYMBOL = "-symbol.json"
_MAX_NODES = 1 << 20
_ANEW = "Copy or create the file anew."
_TENSOR = ListOf(Whole(0), longest=3)  # its node, which of the outputs, in newer files a version
_SETTINGS = Maybe(MapOf(Anything()))
_NODE = Fields(
    {"name": Text(), "op": Text(), "inputs": ListOf(_TENSOR, _MAX_NODES)},
    dict.fromkeys(("attrs", "attr", "param"), _SETTINGS),
    further=True,
)
_SCHEMA = Fields(
    {"nodes": ListOf(_NODE, _MAX_NODES), "heads": ListOf(_TENSOR, _MAX_NODES)}, further=True
)


def convert(
    path: str, weights: str | None = None, epoch: int | None = None, input_shape: Shapes = None
) -> Converted:
    """Build the Keras network of an MXNet checkpoint.

    Args:
        path: the `-symbol.json` file, the `.params` file, or their common beginning.
        weights: the `.params` file; None: the one beside the symbol file of the epoch, or of the
            last one.
        epoch: of the `.params` file, where there are several.
        input_shape: sizes of the inputs, see `utils.frontends.shapes`; neither file has them.

    Returns:
        The network.

    Raises:
        InputError: if files are missing, damaged or refused, or the shape is; a `ConversionError`
            if nodes cannot be converted.
    """
    network = read_network(*find_files(path, weights, epoch))
    return build(_shaped(network, input_shape), OPERATORS)


def _shaped(network: SourceNetwork, shapes: Shapes) -> SourceNetwork:
    inputs = tuple(
        source if source.shape else dataclasses.replace(source, shape=_guessed(network, source))
        for source in network.inputs
    )
    shaped = with_shapes(dataclasses.replace(network, inputs=inputs), shapes)
    missing = [source.name for source in shaped.inputs if not source.shape]
    if missing:
        raise InputError(
            f"{network.name}: MXNet's files do not hold the size of the input {missing[0]!r}. "
            "Give it with --input_shape, e.g. --input_shape=1,3,224,224."
        )
    return shaped


def _guessed(network: SourceNetwork, source: SourceInput) -> tuple[int | None, ...]:
    """The shape that the first layer's weights tell: the number of channels, all else open."""
    for node in network.nodes:
        kernel = network.constants.get(node.inputs[1]) if len(node.inputs) > 1 else None
        if node.inputs[:1] != (source.name,) or kernel is None:
            continue
        if node.op == "Convolution" and kernel.ndim > 2:
            channels = kernel.shape[1] * int(node.attrs.get("num_group", 1))
            return (None, channels, *[None] * (kernel.ndim - 2))
        if node.op == "FullyConnected" and kernel.ndim == 2:
            return (None, kernel.shape[1])
    return ()


def find_files(
    path: str, weights: str | None = None, epoch: int | None = None
) -> tuple[pathlib.Path, pathlib.Path]:
    """Find the two files of a checkpoint, see `convert`.

    Raises:
        InputError: if one is missing.
    """
    target = pathlib.Path(path)
    name = target.name
    stem = name.removesuffix(_SYMBOL)
    if name.endswith(".params"):
        weights = weights or path
        stem = re.sub(r"-\d+$", "", name.removesuffix(".params"))
    symbol = target.with_name(stem + _SYMBOL) if not name.endswith(".json") else target
    if not symbol.is_file():
        raise InputError(
            f"{symbol}: no such file. Expected MXNet's *{_SYMBOL}{neighbours(symbol)}."
        )
    if weights is not None:
        return symbol, pathlib.Path(weights)
    epochs = _epochs(symbol.parent, stem)
    wanted = max(epochs, default=None) if epoch is None else epoch
    if wanted not in epochs:
        name = f"{stem}-{'*' if epoch is None else f'{epoch:04d}'}.params"
        raise InputError(f"{symbol.parent / name}: no such file. Give the file with --weights.")
    return symbol, epochs[wanted]


def _epochs(folder: pathlib.Path, stem: str) -> dict[int, pathlib.Path]:
    """The `.params` files of one network by the numbers of their epochs."""
    pattern = re.compile(re.escape(stem) + r"-([0-9]+)\.params")
    found = ((pattern.fullmatch(entry.name), entry) for entry in sorted(folder.iterdir()))
    return {int(match[1]): entry for match, entry in found if match}


def read_network(symbol: pathlib.Path, params: pathlib.Path) -> SourceNetwork:
    """Read a network.

    Args:
        symbol: the `-symbol.json` file.
        params: the `.params` file.

    Returns:
        The network; its inputs have no shape yet. Labels that only losses read are left out.

    Raises:
        InputError: if a file is damaged or they do not belong together.
    """
    entries, heads = _parse(symbol)
    constants = read_params(params)
    names = [_output_names(entry, index) for index, entry in enumerate(entries)]
    nodes, variables = [], []
    for index, entry in enumerate(entries):
        inputs = [names[source][output] for source, output in entry["inputs"]]
        if entry["op"] == "null":
            variables.append((entry["name"], entry["attrs"]))
            continue
        if entry["op"] in LOSSES:
            inputs = inputs[:1]  # the second is the label
        nodes.append(
            SourceNode(
                entry["name"],
                entry["op"],
                tuple(inputs),
                tuple(names[index].values()),
                {**entry["attrs"], "arguments": len(inputs)},
            )
        )
    read = {name for node in nodes for name in node.inputs}
    outputs = tuple(names[source][output] for source, output in heads)
    found = [name for name, _ in variables if name not in constants and name in read]
    shapes = {name: attrs.get("__shape__", ()) for name, attrs in variables}
    unset = [name for name in found if _looks_like_weight(name)]
    if unset:
        raise InputError(f"{params}: lacks the array {unset[0]!r} that {symbol.name} reads.")
    return SourceNetwork(
        name=symbol.name.removesuffix(_SYMBOL),
        inputs=tuple(SourceInput(name, _given_shape(shapes[name])) for name in found),
        outputs=outputs,
        nodes=tuple(nodes),
        constants={name: array for name, array in constants.items() if name in read},
    )


def _looks_like_weight(name: str) -> bool:
    endings = ("_weight", "_bias", "_gamma", "_beta", "_moving_mean", "_moving_var")
    return name.endswith((*endings, "_running_mean", "_running_var"))


def _given_shape(shape: Any) -> tuple[int | None, ...]:
    if not isinstance(shape, tuple) or not all(isinstance(size, int) for size in shape):
        return ()
    return tuple(size if size > 0 else None for size in shape)


class _Names(dict[int, str]):
    """Names of a node's outputs, made when they are first read."""

    def __init__(self, name: str) -> None:
        super().__init__({0: name})
        self.name = name

    def __missing__(self, output: int) -> str:
        self[output] = f"{self.name}:{output}"
        return self[output]


def _output_names(entry: dict[str, Any], index: int) -> dict[int, str]:
    return _Names(entry["name"])


def _parse(target: pathlib.Path) -> tuple[list[dict[str, Any]], list[tuple[int, int]]]:
    """Nodes, each with name, op, attrs and inputs, and the outputs of the network."""
    data = read_json(target, _SCHEMA, max_bytes=MAX_CONFIG_BYTES, advice=_ANEW)
    try:
        entries = [_entry(node, index) for index, node in enumerate(data["nodes"])]
        outputs = [(head[0], head[1]) for head in data["heads"]]
    except IndexError as error:
        raise damaged(target, "a tensor is named by fewer than two numbers") from error
    names = [entry["name"] for entry in entries]
    if not entries or not outputs or len(names) > _MAX_NODES or len(set(names)) < len(names):
        raise damaged(target, "has no nodes, no outputs, or two nodes of one name")
    for index, entry in enumerate(entries):
        if any(not 0 <= source < index for source, _ in entry["inputs"]):
            raise damaged(target, f"node {entry['name']!r} reads a node that comes later")
    if any(not 0 <= source < len(entries) for source, _ in outputs):
        raise damaged(target, "an output is no node")
    return entries, outputs


def _entry(node: dict[str, Any], index: int) -> dict[str, Any]:
    attrs = node.get("attrs") or node.get("param") or node.get("attr") or {}
    return {
        "name": node["name"] or f"node_{index}",
        "op": node["op"],
        "attrs": {key: _value(str(value)) for key, value in attrs.items()},
        "inputs": [(item[0], item[1]) for item in node["inputs"]],
    }


def _value(text: str) -> Any:
    """An attribute's text as a number, a truth value or a tuple; as text if it is none.

    Example:
        >>> _value("(3, 3)"), _value("True"), _value("relu"), _value("2")
        ((3, 3), True, 'relu', 2)
    """
    if len(text) > 1000:
        return text
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text
    return tuple(value) if isinstance(value, list) else value
