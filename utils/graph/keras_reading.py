"""Reading Keras models: the graph inside them, layer by layer."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np
from keras.src.models.functional import Functional

from utils import own_objects
from utils.errors import InputError
from utils.graph.ir import Capability, Node, Ref, leaves, map_leaves, unique_name
from utils.graph.tables import with_tables

# Classes whose config or call runs code that is not Keras' own.
UNSAFE_OPS = frozenset(
    f"keras.layers.{name}"
    for name in ("Lambda", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer")
)
_LAMBDA = "keras.layers.Lambda"
_CAST = "keras.src.ops.core.Cast"
_MAX_SHOWN = 300  # characters of a foreign message


def check_safe(op: str, layer: str, allow_unsafe: bool) -> None:
    """Refuse a class that runs code of unknown origin.

    Raises:
        InputError: if `op` is one and `allow_unsafe` is off.
    """
    if op in UNSAFE_OPS and not allow_unsafe:
        allow = ", or allow it, if you trust it, with --allow_unsafe" if op == _LAMBDA else ""
        raise InputError(
            f"layer {layer!r} is a {op.rpartition('.')[2]}: it runs Python code that a graph "
            f"cannot describe. Replace it by keras.ops calls or a registered layer{allow}."
        )


def refuse_code(value: Any, layer: str) -> None:
    """Refuse a serialized lambda or unsafe layer anywhere in a layer's attrs.

    Raises:
        InputError: if there is one.
    """
    if isinstance(value, Mapping):
        inner = value.get("class_name")
        if isinstance(inner, str):
            name = "Lambda" if inner == "__lambda__" else inner
            check_safe(f"keras.layers.{name}", layer, allow_unsafe=False)
    if isinstance(value, (list, tuple, Mapping)):
        for item in value.values() if isinstance(value, Mapping) else value:
            refuse_code(item, layer)


def first_line(error: Exception) -> str:
    """Shorten an exception's text to the line that says what happened.

    Keras puts a line in front of what a layer raised, and colours.

    Example:
        >>> wrapped = chr(10).join(["Exception encountered when calling Lambda.call().", "", "No."])
        >>> first_line(ValueError(wrapped))
        'No.'
    """
    text = re.sub(r"\x1b\[\d*m", "", str(error))
    lines = [line.strip() for line in text.splitlines() if line.strip()] or ["no message"]
    wrapped = len(lines) > 1 and lines[0].startswith("Exception encountered when calling")
    return lines[wrapped][:_MAX_SHOWN]


def functional_model(model: keras.Model) -> Functional:
    """Find or make the Functional model inside any model.

    Raises:
        InputError: if there is none, because the model is not built or cannot be traced.
    """
    if not isinstance(model, keras.Model):
        raise InputError(
            f"expected a keras.Model. Received: {type(model).__module__}.{type(model).__name__}."
        )
    inner = _plain_functional(model)
    if inner is not None:
        return inner
    if isinstance(model, keras.Sequential):
        raise InputError(
            f"model {model.name!r} is not built: its input shape is unknown. Give its first layer "
            "an input (keras.Input(shape)) or call model.build(input_shape)."
        )
    return _retrace(model)


def _plain_functional(model: Any) -> Functional | None:
    """Find the graph inside a Functional or Sequential model; None if its call is its own."""
    if isinstance(model, keras.Sequential):
        return model._functional if type(model).call is keras.Sequential.call else None
    if isinstance(model, Functional) and type(model).call is Functional.call:
        return model
    return None


def _retrace(model: keras.Model) -> Functional:
    """Functional model of a subclassed one: its `call`, run once on symbolic inputs."""
    shape = (model.get_build_config() or {}).get("input_shape")
    if shape is None:
        raise InputError(
            f"model {model.name!r} ({type(model).__name__}) has not been called yet. Call it once "
            "on a batch, so that its input shape is known."
        )
    try:
        inputs = _map_shapes(lambda sizes: keras.Input(batch_shape=sizes), shape)
        return Functional(inputs, model.call(inputs), name=model.name)
    except Exception as error:  # the user's code, on tensors without values
        raise InputError(
            f"model {model.name!r} ({type(model).__name__}) cannot be traced: {first_line(error)} "
            "Use Keras layers and keras.ops in its call(), or build it with the functional API."
        ) from error


def _map_shapes(function: Any, shapes: Any) -> Any:
    """Apply `function` to each shape in a structure whose leaves are shapes."""
    if isinstance(shapes, Mapping):
        return {key: _map_shapes(function, value) for key, value in shapes.items()}
    if isinstance(shapes, (list, tuple)) and shapes and isinstance(shapes[0], (list, tuple)):
        return [_map_shapes(function, value) for value in shapes]
    return function(tuple(shapes))


class Reading:
    """One pass over a model: collects nodes and weights, flattens nested models."""

    def __init__(self, allow_unsafe: bool) -> None:
        self.allow_unsafe = allow_unsafe
        self.nodes: list[Node] = []
        self.params: dict[str, dict[str, np.ndarray]] = {}
        self.notes: list[Capability] = []
        self._by_name: dict[str, Node] = {}
        self._names: set[str] = set()  # of nodes and layers
        self._own: dict[str, Any] = {}  # unregistered classes and functions
        self._described: dict[int, tuple[Any, str, str, dict[str, Any]]] = {}
        self._calls: dict[str, int] = {}

    def add_input(self, tensor: Any) -> Ref:
        """Record an input of the model."""
        return self._add(tensor._keras_history.operation, (), {}, [tensor])[0]

    def walk(self, functional: Functional, tensors: dict[int, Ref], training: Any) -> None:
        """Record the calls of one model.

        Args:
            functional: the model.
            tensors: tensors known so far by `id`; those computed are added.
            training: the value a nested model was called with, which its layers inherit.
        """
        by_depth = functional._nodes_by_depth
        for depth in sorted(by_depth, reverse=True):
            for node in by_depth[depth]:
                known = all(id(tensor) in tensors for tensor in node.input_tensors)
                if node.is_input or not known:
                    continue
                to_ref = lambda leaf: tensors.get(id(leaf), leaf)  # noqa: E731
                args = map_leaves(to_ref, node.arguments.args)
                kwargs = map_leaves(to_ref, node.arguments.kwargs)
                context = getattr(node.operation, "_call_context_args", ())
                if training is not None and "training" in context:
                    kwargs["training"] = training
                refs = self._record(node.operation, args, kwargs, node.output_tensors)
                tensors.update(
                    {id(tensor): ref for tensor, ref in zip(node.output_tensors, refs, strict=True)}
                )

    def _record(
        self, operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any], outputs: list[Any]
    ) -> list[Ref]:
        inner = _plain_functional(operation)
        if inner is None:
            return self._add(operation, args, kwargs, outputs)
        actual = [leaf for leaf in leaves((args, kwargs)) if isinstance(leaf, Ref)]
        tensors = {
            id(tensor): self._cast(ref, tensor)
            for tensor, ref in zip(inner.inputs, actual, strict=True)
        }
        self.walk(inner, tensors, kwargs.get("training"))
        self._names.add(operation.name)
        self.notes.append(
            Capability(operation.name, "flattened", "its layers now belong to the outer model")
        )
        return [tensors[id(tensor)] for tensor in inner.outputs]

    def _cast(self, ref: Ref, wanted: Any) -> Ref:
        """Keep the conversion of what a nested model is given to its input's type."""
        node = self._by_name[ref.node]
        if node.output_dtypes[ref.index] == wanted.dtype:
            return ref
        name = unique_name(f"{ref.node}_cast", self._names)
        self._names.add(name)
        self._append(
            Node(
                name=name,
                layer=name,
                op=_CAST,
                attrs={"name": name, "dtype": wanted.dtype},
                args=(ref,),
                output_shapes=(node.output_shapes[ref.index],),
                output_dtypes=(wanted.dtype,),
            )
        )
        return Ref(name)

    def _add(
        self, operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any], outputs: list[Any]
    ) -> list[Ref]:
        layer, op, attrs = self._describe(operation)
        call = self._calls.get(layer, 0)
        self._calls[layer] = call + 1
        name = layer if call == 0 else unique_name(f"{layer}#{call}", self._names)
        self._names.add(name)
        self._append(
            Node(
                name=name,
                layer=layer,
                op=op,
                attrs=attrs,
                args=map_leaves(_plain_value, args),
                kwargs=map_leaves(_plain_value, kwargs),
                output_shapes=tuple(tuple(tensor.shape) for tensor in outputs),
                output_dtypes=tuple(tensor.dtype for tensor in outputs),
            )
        )
        return [Ref(name, i) for i in range(len(outputs))]

    def _append(self, node: Node) -> None:
        self.nodes.append(node)
        self._by_name[node.name] = node

    def _describe(self, operation: Any) -> tuple[str, str, dict[str, Any]]:
        """Layer name, class and attrs of an operation, and its weights on first sight."""
        if id(operation) in self._described:
            return self._described[id(operation)][1:]
        op, attrs = _serialize(operation)
        check_safe(op, operation.name, self.allow_unsafe)
        if not self.allow_unsafe:
            refuse_code(attrs, operation.name)
        self._note_own(operation, attrs)
        layer = unique_name(operation.name, self._names)
        self._names.add(layer)
        if layer != operation.name and "name" in attrs:
            attrs["name"] = layer
        # The operation is kept beside its description: a freed one's id could be taken anew.
        self._described[id(operation)] = (operation, layer, op, attrs)
        weights = getattr(operation, "weights", [])
        if weights:
            values = [np.array(keras.ops.convert_to_numpy(weight.value)) for weight in weights]
            self.params[layer] = dict(zip(_weight_names(operation), values, strict=True))
        return layer, op, attrs

    def _note_own(self, operation: Any, attrs: Mapping[str, Any]) -> None:
        """Keep what Keras could not find when the operation is built anew."""
        found = own_objects.objects_of(operation)
        for name, value in found.items():
            own_objects.merge_object(self._own, name, value)
        own_objects.remember(self._own)
        own_objects.remember_lambdas(operation, attrs)

    @property
    def operations(self) -> dict[str, Any]:
        """The operations met, by layer name."""
        return {layer: operation for operation, layer, _, _ in self._described.values()}

    def ordered_params(self, functional: Functional) -> dict[str, dict[str, np.ndarray]]:
        """Sort the weights as the model's own `weights` are, nested models included."""
        order: list[str] = []

        def visit(operations: list[Any]) -> None:
            for operation in operations:
                inner = _plain_functional(operation)
                if inner is not None:
                    visit(inner.operations)
                elif id(operation) in self._described:
                    order.append(self._described[id(operation)][1])

        visit(functional.operations)
        return {layer: self.params[layer] for layer in dict.fromkeys(order) if layer in self.params}


def _plain_value(leaf: Any) -> Any:
    """Tensors and variables that a call holds as constants become arrays."""
    if isinstance(leaf, Ref) or leaf is None or isinstance(leaf, (bool, int, float, str, slice)):
        return leaf
    if isinstance(leaf, keras.Variable) or keras.ops.is_tensor(leaf):
        return np.array(keras.ops.convert_to_numpy(leaf))
    return leaf


def _serialize(operation: Any) -> tuple[str, dict[str, Any]]:
    """Class path and config of an operation as Keras itself would write them."""
    try:
        written = keras.saving.serialize_keras_object(operation)
    except (NotImplementedError, TypeError) as error:
        raise InputError(
            f"layer {operation.name!r} ({type(operation).__name__}) has no usable get_config(), so "
            "it could not be built anew. Give it one that returns its constructor's arguments."
        ) from error
    # Keras leaves the module out for what stands in the script that runs (`__main__`).
    module, cls = written["module"] or type(operation).__module__, type(operation)
    attrs = with_tables(operation, dict(written["config"]))
    if module.split(".")[0] == "keras":
        return f"{module}.{written['class_name']}", attrs
    registered = written["registered_name"]
    if ">" in registered and keras.saving.get_registered_object(registered) is cls:
        return registered, attrs
    return own_objects.own_op(cls), attrs


def _weight_names(operation: Any) -> list[str]:
    """Names of a layer's weights: `kernel`, or `query/kernel` where sublayers repeat a name."""
    # An unnamed weight is called `variable`, then `variable_1`, …, counted over the whole process.
    weights = operation.weights
    names = [re.sub(r"^variable_\d+$", "variable", weight.name) for weight in weights]
    if len(set(names)) < len(names):
        paths = dict(_paths_inside(operation, ""))
        names = [paths.get(id(weight), weight.name) for weight in weights]
    taken: list[str] = []
    for name in names:
        taken.append(unique_name(name, taken))
    return taken


def _paths_inside(layer: Any, prefix: str) -> Iterator[tuple[int, str]]:
    """Name each weight, by its `id`, after the sublayers that it lies in.

    Keras' own `path` lacks those that were built before the layer around them, as on loading.
    """
    inside: set[int] = set()
    for sublayer in layer._flatten_layers(include_self=False, recursive=False):
        for key, name in _paths_inside(sublayer, f"{prefix}{sublayer.name}/"):
            inside.add(key)
            yield key, name
    for weight in layer.weights:
        if id(weight) not in inside:
            yield id(weight), f"{prefix}{weight.name}"
