"""Classes and functions of the user's that Keras cannot find by itself.

Keras rebuilds a layer from its config by looking its class up: its own classes by their path,
others only if they are registered. A network that lives in this process already has its classes,
registered or not, and the functions inside its layers. They are noted when a network is read, so
that copies, cut networks and files of it can be built in the same process. Nothing here reads a
file.
"""

from __future__ import annotations

import json
import types
from collections.abc import Iterator, Mapping
from typing import Any

import keras

from utils.errors import InputError

_by_op: dict[str, type] = {}  # "module>Class" -> class
_by_name: dict[str, Any] = {}  # the name that Keras writes -> class or function, None for several
_by_code: dict[str, Any] = {}  # a lambda as Keras writes it -> the lambda itself


def objects_of(operation: Any) -> dict[str, Any]:
    """Find the unregistered classes and functions that an operation is made of.

    Args:
        operation: a layer, with whatever layers, functions and configurable objects it holds, or an
            operation.

    Returns:
        Classes and functions by the name that Keras writes for them; None where two have one name.

    Raises:
        InputError: if two classes of layers among them have one name.
    """
    found: dict[str, Any] = {}
    for part in _parts(operation):
        # Keras puts a layer's own methods, wrapped, among its attributes.
        values = [v for name, v in vars(part).items() if not hasattr(type(part), name)]
        for value in (type(part), *map(_definition, values)):
            if value is not None and _is_own(value):
                add_object(found, value)
    return found


def add_object(found: dict[str, Any], value: Any) -> None:
    """Add a class or function to those found; of two with one name Keras gets neither.

    Raises:
        InputError: if both are classes of layers.
    """
    name = value.__name__
    known = found.setdefault(name, value)
    if known is value:
        return
    if _is_layer(known) and _is_layer(value):
        raise InputError(
            f"two classes of layers are called {name!r}, in {known.__module__!r} and "
            f"{value.__module__!r}: Keras could not tell them apart in a file. Register them with "
            "@keras.saving.register_keras_serializable(package=…)."
        )
    found[name] = None


def merge_object(found: dict[str, Any], name: str, value: Any) -> None:
    """Add what was found in another part; see `add_object`."""
    if value is None:
        found[name] = None
    else:
        add_object(found, value)


def remember(objects: Mapping[str, Any]) -> None:
    """Let `scope` offer these from now on; of one name the newest counts, None for nothing."""
    _by_name.update(objects)


def remember_model(model: keras.Model) -> None:
    """Remember all that a model is made of.

    Raises:
        InputError: if two classes of its layers have one name.
    """
    found: dict[str, Any] = {}
    for layer in model._flatten_layers(include_self=False):
        for name, value in objects_of(layer).items():
            merge_object(found, name, value)
        if isinstance(layer, keras.layers.Lambda):
            remember_lambdas(layer, layer.get_config())
    remember(found)


def scope() -> Any:
    """Open a scope in which Keras finds what was remembered."""
    return keras.saving.custom_object_scope({k: v for k, v in _by_name.items() if v is not None})


def own_op(cls: type) -> str:
    """Name an unregistered class for a graph: `module>Class`, unique in this process."""
    wanted = candidate = f"{cls.__module__}>{cls.__name__}"
    number = 0
    while _by_op.setdefault(candidate, cls) is not cls:
        number += 1
        candidate = f"{wanted}_{number}"
    return candidate


def own_class(op: str) -> type | None:
    """Find the class that `own_op` named; None if no network of this process had it."""
    return _by_op.get(op)


def remember_lambdas(operation: Any, attrs: Mapping[str, Any]) -> None:
    """Keep the lambdas that a layer holds.

    What Keras writes of one is its code without the global names that it uses (`tf`, `np`).

    Args:
        operation: the layer.
        attrs: its config.
    """
    for place, written in _lambdas(operation, attrs):
        _by_code[written] = getattr(operation, place)


def restore_lambdas(operation: Any, attrs: Mapping[str, Any]) -> None:
    """Put the very lambdas of this process into a layer that was built from a config."""
    for place, written in _lambdas(operation, attrs):
        if written in _by_code:
            setattr(operation, place, _by_code[written])


def known_lambdas(config: Any) -> tuple[Any, dict[str, Any]]:
    """Replace the lambdas of this process in a model's written config by names.

    Args:
        config: parsed JSON.

    Returns:
        The config with each known lambda written as a named function, and the lambdas by name.
    """
    found: dict[str, Any] = {}

    def replaced(value: Any) -> Any:
        if isinstance(value, list):
            return [replaced(item) for item in value]
        if not isinstance(value, Mapping):
            return value
        known = _by_code.get(_written(value)) if value.get("class_name") == "__lambda__" else None
        if known is None:
            return {key: replaced(item) for key, item in value.items()}
        name = f"lambda of this process {len(found)}"
        found[name] = known
        return {"module": "builtins", "class_name": "function", "config": name}

    return replaced(config), found


def _written(value: Mapping[str, Any]) -> str:
    return json.dumps(value, sort_keys=True, default=str)


def _lambdas(operation: Any, attrs: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Give attribute and written form of each lambda in a layer."""
    for key, value in attrs.items():
        if isinstance(value, Mapping) and value.get("class_name") == "__lambda__":
            for place in (key, f"_{key}"):
                if isinstance(vars(operation).get(place), types.FunctionType):
                    yield place, _written(value)


def _parts(operation: Any) -> list[Any]:
    return operation._flatten_layers() if isinstance(operation, keras.Layer) else [operation]


def _definition(value: Any) -> Any:
    """Give the function, or the class of a configurable object; None for any other value."""
    if isinstance(value, types.FunctionType):
        return value
    return type(value) if hasattr(type(value), "get_config") else None


def _is_layer(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, keras.Layer)


def _is_own(value: Any) -> bool:
    if value.__module__.split(".")[0] == "keras" or value.__name__ == "<lambda>":
        return False
    return keras.saving.get_registered_name(value) == value.__name__
