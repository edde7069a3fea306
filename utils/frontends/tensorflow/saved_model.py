"""SavedModels without loading them: signature, functions, variables out of the checkpoint.

TensorFlow's own loader restores objects and runs initializers; this reads messages. A function
takes variables as its last arguments; which ones stands in the object graph, and under which key
their values lie in the checkpoint's own object graph. The two are walked together from the root,
by the names of the children.
"""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from tensorflow.core.protobuf import saved_model_pb2, trackable_object_graph_pb2

from utils.errors import InputError
from utils.frontends.tensorflow.graph import MAX_FILE_BYTES, Allowance, Source, TfGraph, flattened

GRAPH_FILE = "saved_model.pb"
_SERVE, _SIGNATURE = "serve", "serving_default"
_OBJECTS = "_CHECKPOINTABLE_OBJECT_GRAPH"
_VALUE = "VARIABLE_VALUE"
_VARIABLE_OPS = frozenset({"VarHandleOp", "VariableV2", "Variable"})


def read_saved_model(folder: pathlib.Path) -> TfGraph:
    """Read the network that a SavedModel serves.

    Args:
        folder: with `saved_model.pb` and `variables/`.

    Returns:
        Its graph, with the variables as constants.

    Raises:
        InputError: if a file is missing, damaged or too large, or nothing is served.
    """
    meta, signature = served(folder)
    inputs = {name: _named(info) for name, info in sorted(signature.inputs.items())}
    outputs = {name: _named(info) for name, info in sorted(signature.outputs.items())}
    variables = _Checkpoint(folder / "variables").values(meta)
    nodes, constants, found = flattened(
        meta.graph_def, outputs.values(), Allowance((folder / GRAPH_FILE).stat().st_size), variables
    )
    return TfGraph(
        nodes=nodes,
        constants=constants,
        inputs={name: source for name, source in inputs.items() if source[0] in nodes},
        outputs=dict(zip(outputs, found, strict=True)),
    )


def served(folder: pathlib.Path) -> tuple[Any, Any]:
    """Read what a SavedModel serves: its MetaGraphDef, and the signature that is taken of it.

    Raises:
        InputError: see `read_saved_model`.
    """
    path = folder / GRAPH_FILE
    size = path.stat().st_size
    if size > MAX_FILE_BYTES:
        raise InputError(f"{path}: {size:,} bytes, at most {MAX_FILE_BYTES:,} are read.")
    model = saved_model_pb2.SavedModel()
    try:
        model.ParseFromString(path.read_bytes())
    except Exception as error:  # the protocol buffers' own class
        raise InputError(f"{path}: is damaged. Copy or create the file anew.") from error
    graphs = [each for each in model.meta_graphs if _SERVE in each.meta_info_def.tags]
    if not graphs:
        raise InputError(f"{path}: holds no graph with the tag {_SERVE!r}. Export it for serving.")
    return graphs[0], _signature(graphs[0])


def _signature(meta: Any) -> Any:
    """Choose what is served: the default, else the only one with inputs and outputs."""
    found = {name: each for name, each in meta.signature_def.items() if each.outputs}
    found.pop("__saved_model_init_op", None)
    if _SIGNATURE in found:
        return found[_SIGNATURE]
    if len(found) != 1:
        raise InputError(
            f"the SavedModel serves {', '.join(sorted(found)) or 'nothing'}: none of them is named "
            f"{_SIGNATURE!r}. Export it with one signature."
        )
    return next(iter(found.values()))


def _named(info: Any) -> Source:
    name, _, number = info.name.partition(":")
    if not name or not (number or "0").isdigit():
        raise InputError(f"the signature names {info.name!r}, which is no tensor.")
    return name, int(number or 0)


class _Checkpoint:
    """The values of variables."""

    def __init__(self, folder: pathlib.Path) -> None:
        self._folder = folder
        self._stored = sum(path.stat().st_size for path in folder.glob("variables.data-*"))
        self._reader: Any = None
        if (folder / "variables.index").is_file():
            import tensorflow as tf

            try:
                self._reader = tf.train.load_checkpoint(str(folder / "variables"))
                self._shapes = self._reader.get_variable_to_shape_map()
                self._types = self._reader.get_variable_to_dtype_map()
            except Exception as error:  # TensorFlow's own classes
                raise InputError(f"{folder}: is damaged. Copy or create it anew.") from error

    def values(self, meta: Any) -> dict[str, np.ndarray]:
        """Read the variables of a graph, by the names of the nodes that hold them."""
        keys = self._keys(meta)
        found = {}
        for node in meta.graph_def.node:
            if node.op not in _VARIABLE_OPS or self._reader is None:
                continue
            shared = node.attr["shared_name"].s.decode("utf-8", "replace")
            key = keys.get(node.name, shared if shared in self._shapes else node.name)
            if key in self._shapes:
                found[node.name] = self._value(key)
        return found

    def _value(self, key: str) -> np.ndarray:
        size = int(np.prod(self._shapes[key], dtype=np.float64)) * self._types[key].size
        if size > self._stored:  # stored as they are: no compression
            raise InputError(
                f"{self._folder}: {key!r} is said to have {size:,} bytes, the files have "
                f"{self._stored:,}. Copy or create them anew."
            )
        try:
            return np.asarray(self._reader.get_tensor(key))
        except Exception as error:  # TensorFlow's own classes
            raise InputError(
                f"{self._folder}: {key!r} is damaged. Copy or create it anew."
            ) from error

    def _keys(self, meta: Any) -> dict[str, str]:
        """Map the nodes that hold variables to the checkpoint's keys."""
        if self._reader is None or _OBJECTS not in self._shapes:
            return {}
        stored = trackable_object_graph_pb2.TrackableObjectGraph()
        try:
            stored.ParseFromString(self._reader.get_tensor(_OBJECTS))
        except Exception as error:  # the protocol buffers' own class
            raise InputError(f"{self._folder}: is damaged. Copy or create it anew.") from error
        objects = _matched(meta.object_graph_def.nodes, stored.nodes)
        functions = meta.object_graph_def.concrete_functions
        found = {}
        for node in meta.graph_def.node:
            called = node.attr["f"].func.name if "f" in node.attr else ""
            if called not in functions:
                continue
            captured = list(functions[called].bound_inputs)
            inputs = [text for text in node.input if not text.startswith("^")]
            for text, number in zip(inputs[len(inputs) - len(captured) :], captured, strict=False):
                if number in objects:
                    found[text.partition(":")[0]] = objects[number]
        return found


def _matched(saved: Any, stored: Any) -> Mapping[int, str]:
    """Walk both object graphs together; give the checkpoint's key of each saved variable."""
    found: dict[int, str] = {}
    waiting, seen = [(0, 0)], {(0, 0)}
    while waiting:
        ours, theirs = waiting.pop()
        if ours >= len(saved) or theirs >= len(stored):
            raise InputError("the SavedModel's objects are damaged. Export it anew.")
        for attribute in stored[theirs].attributes:
            if attribute.name == _VALUE:
                found[ours] = attribute.checkpoint_key
        children = {child.local_name: child.node_id for child in stored[theirs].children}
        for child in saved[ours].children:
            pair = (child.node_id, children.get(child.local_name, -1))
            if pair[1] >= 0 and pair not in seen:
                seen.add(pair)
                waiting.append(pair)
    return found
