"""A graph as a description that JSON can hold, and arrays beside it.

Both may come from anywhere. Names, counts, references, declared shapes and types are checked
before memory for the arrays is taken; then Keras builds every layer without memory for its weights,
so that what is rebuilt is what the description says. No code of a description's runs: classes are
Keras' own or registered by the caller.

The schema is in docs/graph.md.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from utils.errors import InputError
from utils.graph.encoding import Decoder, Encoder, malformed
from utils.graph.ir import Capability, Graph, Node, Ref, leaves
from utils.graph.keras_io import dry_run
from utils.graph.keras_reading import check_safe

FORMAT, VERSION = "flowpress-graph", 1
MAX_NODES = 100_000
MAX_NAME = 1024
MAX_RANK = 16
MAX_ELEMENTS = 1 << 40
# Keras' weight types. NumPy writes bfloat16 as raw bytes, so it travels as uint16.
_DTYPES = frozenset(
    [*("bfloat16", "bool", "float16", "float32", "float64")]
    + [f"{kind}int{bits}" for kind in ("", "u") for bits in (8, 16, 32, 64)]
)

_OP = re.compile(r"keras\.(layers|src\.(ops|layers|applications))(\.\w+)+|[^<>]+>[^<>]+")

Declared = Mapping[str, tuple[tuple[int, ...], np.dtype[Any]]]
"""Shape and stored type of every array that a description names, by key."""


def describe(graph: Graph) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Describe a graph.

    Args:
        graph: the network.

    Returns:
        What `json.dumps` takes, and the arrays that it names, by key.

    Raises:
        InputError: if an attr cannot be described in JSON.
    """
    encoder = Encoder()
    arrays: dict[str, np.ndarray] = {}
    layers = [_written_layer(graph, layer, encoder, arrays) for layer in _layers(graph)]
    content = {
        "format": FORMAT,
        "version": VERSION,
        "name": graph.name,
        "inputs": encoder.encode(graph.input_structure),
        "outputs": encoder.encode(graph.output_structure),
        "layers": layers,
        "nodes": [_written_node(node, encoder) for node in graph.nodes],
        "notes": [[note.layer, note.action, note.reason] for note in graph.notes],
        "constants": {},
    }
    for number, array in enumerate(encoder.arrays):
        content["constants"][str(number)] = _declared(f"constants/{number}", array, arrays)
    return content, arrays


def rebuild(
    content: Any,
    fetch: Callable[[Declared], Mapping[str, np.ndarray]],
    *,
    where: str,
    allow_unsafe: bool = False,
) -> Graph:
    """Check a description and make the graph.

    Args:
        content: what `describe` gave, parsed from JSON.
        fetch: reads the arrays; it is told what the description declares, to hold that against
            what there is before it takes memory.
        where: what the arrays come from, for messages.
        allow_unsafe: also admit layers that run arbitrary Python code.

    Returns:
        The graph; `to_keras` builds it.

    Raises:
        InputError: if anything is inconsistent, or describes what Keras would not build.
        ValueError: likewise, where the graph itself or Keras finds it.
    """
    return _Loading(content, fetch, where, allow_unsafe).graph()


def _layers(graph: Graph) -> list[str]:
    return list(dict.fromkeys((*graph.params, *(node.layer for node in graph.nodes))))


def _written_layer(
    graph: Graph, layer: str, encoder: Encoder, arrays: dict[str, np.ndarray]
) -> dict[str, Any]:
    node = graph.calls(layer)[0]
    weights = graph.params.get(layer, {})
    safe = re.sub(r"[^\w.#-]", "_", layer).replace("..", "__")
    return {
        "name": layer,
        "op": node.op,
        "attrs": encoder.encode(node.attrs),
        "weights": [
            {"name": name, **_declared(f"{safe}/{number}", array, arrays)}
            for number, (name, array) in enumerate(weights.items())
        ],
    }


def _declared(key: str, array: np.ndarray, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """File an array under a free key and say what it is."""
    while key in arrays:
        key += "_"
    dtype = str(array.dtype)
    arrays[key] = array.view(np.uint16) if dtype == "bfloat16" else array
    return {"array": key, "shape": list(array.shape), "dtype": dtype}


def _written_node(node: Node, encoder: Encoder) -> dict[str, Any]:
    return {
        "name": node.name,
        "layer": node.layer,
        "args": encoder.encode(list(node.args)),
        "kwargs": encoder.encode(node.kwargs),
        "shapes": [list(shape) for shape in node.output_shapes],
        "dtypes": list(node.output_dtypes),
    }


class _Loading:
    """Turns the parsed JSON into a graph, checking as it goes."""

    def __init__(
        self,
        content: Any,
        fetch: Callable[[Declared], Mapping[str, np.ndarray]],
        where: str,
        allow_unsafe: bool,
    ) -> None:
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise InputError(f"is no graph: `format` must be {FORMAT!r}.")
        if content.get("version") != VERSION:
            raise InputError(
                f"`version` must be {VERSION}. Received: {content.get('version')!r}. Save the "
                "graph anew with this release."
            )
        self._content = content
        self._fetch = fetch
        self._where = where
        self._allow_unsafe = allow_unsafe
        self._declared: dict[str, tuple[tuple[int, ...], str]] = {}

    def graph(self) -> Graph:
        """Check everything and make the graph."""
        layers = [self._layer(entry) for entry in self._list("layers")]
        constants = self._content.get("constants")
        if not isinstance(constants, dict):
            raise malformed("constants", "an object", constants)
        keys = {name: self._declare(entry, f"constant {name}") for name, entry in constants.items()}
        arrays = self._arrays()
        constant = {name: arrays[key] for name, key in keys.items()}
        decoder = Decoder(constant, allow_unsafe=self._allow_unsafe)
        by_name = {name: (op, decoder.attrs(attrs, name)) for name, op, attrs, _ in layers}
        if len(by_name) < len(layers):
            raise InputError("`layers`: two layers have the same name.")
        params = {
            name: {weight: arrays[key] for weight, key in weights.items()}
            for name, _, _, weights in layers
            if weights
        }
        graph = Graph(
            name=_text(self._content.get("name"), "name"),
            nodes=tuple(self._node(entry, by_name, decoder) for entry in self._list("nodes")),
            params=params,
            input_structure=_refs_only(decoder.decode(self._content.get("inputs")), "inputs"),
            output_structure=_refs_only(decoder.decode(self._content.get("outputs")), "outputs"),
            notes=tuple(_note(entry) for entry in self._list("notes")),
            allow_unsafe=self._allow_unsafe,
        )
        unused = sorted(set(by_name) - {node.layer for node in graph.nodes})
        if unused:
            raise InputError(f"`layers`: no node calls {unused[0]!r}.")
        dry_run(graph)
        return graph

    def _list(self, key: str) -> list[Any]:
        value = self._content.get(key)
        if not isinstance(value, list) or len(value) > MAX_NODES:
            raise malformed(key, f"a list of at most {MAX_NODES:,} entries", value)
        return value

    def _layer(self, entry: Any) -> tuple[str, str, Any, dict[str, str]]:
        if not isinstance(entry, dict):
            raise malformed("layers", "objects", entry)
        name, op = _text(entry.get("name"), "layers: name"), _text(entry.get("op"), "layers: op")
        if not _OP.fullmatch(op):
            raise InputError(
                f"layer {name!r}: `op` must be a class of Keras' ('keras.layers.Dense') or a "
                f"registered one ('package>Class'). Received: {op!r}."
            )
        check_safe(op, name, self._allow_unsafe)
        weights = entry.get("weights")
        if not isinstance(weights, list):
            raise malformed(f"layer {name!r}: weights", "a list", weights)
        keys = {}
        for weight in weights:
            where = f"weight of layer {name!r}"
            key = self._declare(weight, where)
            keys[_text(weight.get("name"), where)] = key
        if len(keys) < len(weights):
            raise InputError(f"layer {name!r}: two weights have the same name.")
        return name, op, entry.get("attrs"), keys

    def _declare(self, entry: Any, where: str) -> str:
        if not isinstance(entry, dict):
            raise malformed(where, "an object", entry)
        key = _text(entry.get("array"), where)
        dtype = entry.get("dtype")
        if not isinstance(dtype, str) or dtype not in _DTYPES:
            raise malformed(f"{where}: dtype", f"one of {', '.join(sorted(_DTYPES))}", dtype)
        if key in self._declared:
            raise InputError(f"{where}: the array {key!r} is used twice.")
        self._declared[key] = (_sizes(entry.get("shape"), where, unknown=False), dtype)
        return key

    def _arrays(self) -> dict[str, np.ndarray]:
        """Read the arrays, and hold them against what was declared."""
        declared = {key: (shape, _stored(dtype)) for key, (shape, dtype) in self._declared.items()}
        arrays = dict(self._fetch(declared))
        if set(arrays) != set(declared):
            differing = sorted(set(arrays) ^ set(declared))[0]
            raise InputError(
                f"{self._where}: holds other arrays than the graph says; the first is "
                f"{differing!r}."
            )
        for key, (shape, dtype) in self._declared.items():
            array = arrays[key]
            if array.shape != shape or array.dtype != _stored(dtype):
                raise InputError(
                    f"{self._where}: array {key!r} is {array.dtype}{list(array.shape)}, the graph "
                    f"says {dtype}{list(shape)}."
                )
            if dtype == "bfloat16":
                arrays[key] = array.view(_bfloat16())
        return arrays

    def _node(
        self, entry: Any, layers: Mapping[str, tuple[str, dict[str, Any]]], decoder: Decoder
    ) -> Node:
        if not isinstance(entry, dict):
            raise malformed("nodes", "objects", entry)
        name = _text(entry.get("name"), "nodes: name")
        layer = _text(entry.get("layer"), f"node {name!r}: layer")
        if layer not in layers:
            raise InputError(f"node {name!r} calls {layer!r}, which is not among the layers.")
        args, kwargs = decoder.decode(entry.get("args")), decoder.decode(entry.get("kwargs"))
        shapes, dtypes = entry.get("shapes"), entry.get("dtypes")
        if not isinstance(args, list) or not isinstance(kwargs, dict):
            raise InputError(f"node {name!r}: `args` must be a list and `kwargs` an object.")
        if not (isinstance(shapes, list) and isinstance(dtypes, list)) or (
            len(shapes) != len(dtypes)
        ):
            raise InputError(f"node {name!r}: `shapes` and `dtypes` must be equally long lists.")
        op, attrs = layers[layer]
        return Node(
            name=name,
            layer=layer,
            op=op,
            attrs=attrs,
            args=tuple(args),
            kwargs=kwargs,
            output_shapes=tuple(_sizes(shape, f"node {name!r}", unknown=True) for shape in shapes),
            output_dtypes=tuple(_text(dtype, f"node {name!r}: dtypes") for dtype in dtypes),
        )


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= MAX_NAME:
        raise malformed(where, f"a text of 1 to {MAX_NAME} characters", value)
    return value


def _sizes(shape: Any, where: str, *, unknown: bool) -> tuple[Any, ...]:
    """Check a shape: sizes, None where `unknown` ones are allowed, of a bearable volume."""
    if not isinstance(shape, list) or len(shape) > MAX_RANK:
        raise malformed(f"{where}: shape", f"a list of at most {MAX_RANK} sizes", shape)
    for size in shape:
        if not (type(size) is int and 0 <= size <= MAX_ELEMENTS) and not (unknown and size is None):
            raise malformed(f"{where}: shape", f"sizes from 0 to {MAX_ELEMENTS:,}", shape)
    if math.prod(size or 1 for size in shape) > MAX_ELEMENTS:
        raise malformed(f"{where}: shape", f"of at most {MAX_ELEMENTS:,} elements", shape)
    return tuple(shape)


def _refs_only(structure: Any, where: str) -> Any:
    found = list(leaves(structure))
    if not found or not all(isinstance(leaf, Ref) for leaf in found):
        raise malformed(where, "$ref objects in lists and objects", structure)
    return structure


def _note(entry: Any) -> Capability:
    if not isinstance(entry, list) or len(entry) != 3:
        raise malformed("notes", "lists of three texts", entry)
    return Capability(*(_text(part, "notes") for part in entry))


def _stored(dtype: str) -> np.dtype[Any]:
    return np.dtype(np.uint16 if dtype == "bfloat16" else dtype)


def _bfloat16() -> np.dtype[Any]:
    return np.dtype(tf.bfloat16.as_numpy_dtype)
