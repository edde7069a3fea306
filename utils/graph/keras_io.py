"""Between Keras models and graphs, exactly: names, weight order and outputs are kept bit by bit."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np
from keras.src.backend.common import global_state

from utils import own_objects
from utils.errors import InputError
from utils.graph.ir import INPUT_LAYER, Graph, Node, Ref, map_leaves
from utils.graph.keras_reading import Reading, check_safe, first_line, functional_model


def from_keras(model: keras.Model, *, allow_unsafe: bool = False) -> Graph:
    """Read a Keras model.

    Functional and Sequential models are read as they are, nested ones flattened (a line in
    `notes` says so). A subclassed model is called once on symbolic inputs of the shape it was
    built with; that succeeds when its `call` uses Keras layers and `keras.ops` only.

    Args:
        model: a built Keras model. It is not changed.
        allow_unsafe: also admit layers that run arbitrary Python code, such as Lambda.

    Returns:
        The graph; it owns copies of the weights.

    Raises:
        InputError: if the model is not built, or holds a layer that could not be built anew:
            Python code, a class without `get_config()`, a table inside another layer.
    """
    return read(model, allow_unsafe=allow_unsafe)[0]


def read(model: keras.Model, *, allow_unsafe: bool = False) -> tuple[Graph, dict[str, Any]]:
    """Read a Keras model, see `from_keras`; also give its operations by layer name."""
    functional = functional_model(model)
    with _deep_recursion(len(functional.operations)):
        reading = Reading(allow_unsafe)
        tensors = {id(tensor): reading.add_input(tensor) for tensor in functional.inputs}
        reading.walk(functional, tensors, training=None)
    to_ref = lambda tensor: tensors[id(tensor)]  # noqa: E731  (one expression, used twice)
    graph = Graph(
        name=model.name,
        nodes=tuple(reading.nodes),
        params=reading.ordered_params(functional),
        input_structure=map_leaves(to_ref, functional._inputs_struct),
        output_structure=map_leaves(to_ref, functional._outputs_struct),
        notes=tuple(reading.notes),
        allow_unsafe=allow_unsafe,
    )
    _check_weight_count(model, graph)
    return graph, reading.operations


def to_keras(graph: Graph) -> keras.Model:
    """Build a plain Functional model; see `to_keras_with_tensors`, which this is the model of."""
    return to_keras_with_tensors(graph)[0]


def to_keras_with_tensors(graph: Graph) -> tuple[keras.Model, dict[Ref, Any]]:
    """Build a plain Functional model and say which of its symbolic tensors is which.

    Args:
        graph: the network.

    Returns:
        An uncompiled model with the graph's names, weights and weight order, and its KerasTensors
        by the graph's references (for submodels that end inside). Layers that Keras ships are made
        from their config; nothing in the model belongs to Flowpress.

    Raises:
        InputError: if a layer cannot be built from its attrs, or runs Python code while the graph
            does not allow it.
        ValueError: if a weight or an output has another shape than the graph says.
    """
    return build(graph)[:2]


def build(
    graph: Graph, shared: Mapping[str, Any] | None = None
) -> tuple[keras.Model, dict[Ref, Any], dict[str, Any]]:
    """Build a model, see `to_keras_with_tensors`; also give its operations by layer name.

    Args:
        graph: the network.
        shared: operations of another model by layer name (see `read`): they are called here too, so
            that both models have the same variables. Their weights are those of the graph
            afterwards.
    """
    with _deep_recursion(len(graph.nodes)):
        operations, tensors = _replay(graph, shared)
        model = keras.Model(
            map_leaves(tensors.__getitem__, graph.input_structure),
            map_leaves(tensors.__getitem__, graph.output_structure),
            name=graph.name,
        )
    for layer, arrays in graph.params.items():
        _set_weights(operations[layer], layer, arrays)
    return model, tensors, operations


def dry_run(graph: Graph) -> None:
    """Check that Keras builds the graph exactly as it says, without memory for any weight.

    Args:
        graph: the network, perhaps from a file.

    Raises:
        InputError: if a layer cannot be built or called.
        ValueError: if an output's shape or a weight's shape or type is another than the graph's.
    """
    with _deep_recursion(len(graph.nodes)), without_memory():
        operations, _ = _replay(graph)
    for layer, operation in operations.items():
        _check_weights(operation, layer, graph.params.get(layer, {}))


@contextlib.contextmanager
def without_memory() -> Iterator[None]:
    """Let layers be built whose variables have shape and type, but never any memory."""
    waiting = "uninitialized_variables"  # Keras makes up for them when it next leaves a scope
    earlier = global_state.get_global_attribute(waiting)
    global_state.set_global_attribute(waiting, [])
    try:
        with keras.StatelessScope(initialize_variables=False):
            yield
    finally:
        global_state.set_global_attribute(waiting, earlier)


def _replay(
    graph: Graph, shared: Mapping[str, Any] | None = None
) -> tuple[dict[str, Any], dict[Ref, Any]]:
    """Make all operations but those that are there, and call them as the graph says."""
    names = {node.layer for node in graph.nodes}
    operations = {name: operation for name, operation in (shared or {}).items() if name in names}
    tensors: dict[Ref, Any] = {}
    for node in graph.nodes:
        if node.layer not in operations:
            operations[node.layer] = build_operation(node, allow_unsafe=graph.allow_unsafe)
        outputs = _call(operations[node.layer], node, tensors)
        _check_shapes(node, outputs)
        tensors.update({Ref(node.name, i): output for i, output in enumerate(outputs)})
    return operations, tensors


def build_operation(node: Node, *, allow_unsafe: bool = False) -> Any:
    """Make the Keras layer or operation that a node calls; its weights are fresh.

    Raises:
        InputError: see `to_keras`.
    """
    check_safe(node.op, node.layer, allow_unsafe)
    module, _, class_name = node.op.rpartition(".")
    registered, objects = None, {}
    if ">" in node.op:
        cls = keras.saving.get_registered_object(node.op) or own_objects.own_class(node.op)
        if cls is None:
            raise InputError(
                f"layer {node.layer!r}: the class {node.op!r} is not registered. Decorate it with "
                "@keras.saving.register_keras_serializable() in a module that is imported first."
            )
        module, class_name, registered = cls.__module__, cls.__name__, node.op
        objects = {node.op: cls}
    config = {
        "module": module,
        "class_name": class_name,
        "config": dict(node.attrs),
        "registered_name": registered,
    }
    try:
        with own_objects.scope():
            operation = keras.saving.deserialize_keras_object(
                config, custom_objects=objects, safe_mode=not allow_unsafe
            )
    except Exception as error:  # whatever a constructor makes of a foreign config
        raise InputError(
            f"layer {node.layer!r}: {node.op} cannot be built from its attrs "
            f"({type(error).__name__}: {first_line(error)})."
        ) from error
    if not isinstance(operation, keras.Operation):
        raise InputError(f"layer {node.layer!r}: {node.op!r} is no Keras layer or operation.")
    operation.name = node.layer  # operations without a `name` argument invent one
    own_objects.restore_lambdas(operation, node.attrs)
    return operation


def _call(operation: Any, node: Node, tensors: Mapping[Ref, Any]) -> list[Any]:
    if node.op == INPUT_LAYER:
        return [operation.output]
    fill = lambda leaf: tensors[leaf] if isinstance(leaf, Ref) else leaf  # noqa: E731
    try:
        outputs = operation(*map_leaves(fill, node.args), **map_leaves(fill, node.kwargs))
    except Exception as error:  # a foreign graph may call a layer with anything
        raise InputError(
            f"node {node.name!r}: {node.op} cannot be called as the graph says "
            f"({type(error).__name__}: {first_line(error)})."
        ) from error
    return keras.tree.flatten(outputs)


def _check_shapes(node: Node, outputs: list[Any]) -> None:
    built = tuple(tuple(output.shape) for output in outputs)
    if built != node.output_shapes:
        raise ValueError(
            f"node {node.name!r}: the graph says that {node.op} returns {node.output_shapes}, "
            f"Keras returns {built}."
        )


def _check_weights(operation: Any, layer: str, arrays: Mapping[str, np.ndarray]) -> None:
    weights = getattr(operation, "weights", [])
    expected = [(tuple(weight.shape), weight.dtype) for weight in weights]
    received = [(array.shape, str(array.dtype)) for array in arrays.values()]
    if expected != received:
        raise ValueError(
            f"layer {layer!r}: its weights must have the shapes and types {expected}. Received: "
            f"{received}."
        )


def _set_weights(operation: Any, layer: str, arrays: Mapping[str, np.ndarray]) -> None:
    _check_weights(operation, layer, arrays)
    for weight, array in zip(operation.weights, arrays.values(), strict=True):
        weight.assign(array)
    for part in operation._flatten_layers():
        if hasattr(part, "finalize_state"):  # Normalization derives tensors from its weights
            part.finalize_state()


def _check_weight_count(model: keras.Model, graph: Graph) -> None:
    """Refuse weights that a subclassed model owns itself: they would be lost silently."""
    counted = sum(array.size for arrays in graph.params.values() for array in arrays.values())
    if counted != model.count_params():
        raise InputError(
            f"model {model.name!r} has {model.count_params():,} parameters, its layers only "
            f"{counted:,}: move weights made by the model itself into a layer."
        )


@contextlib.contextmanager
def _deep_recursion(num_nodes: int) -> Iterator[None]:
    """Keras walks a model recursively, a few Python frames per layer: allow very deep ones."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(max(limit, 1000 + 8 * num_nodes))
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)
