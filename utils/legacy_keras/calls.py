"""How layers call each other in a written functional model.

Keras 2:    [["conv", 0, 0, {}], ["relu", 1, 0, {"training": false}]]
            layer, which of its calls, which of that call's outputs, keyword arguments
since then: {"args": [{"class_name": "__keras_tensor__", …}], "kwargs": {}}
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import keras

from utils.errors import InputError

# By layer the outputs of each of its calls so far.
Calls = dict[str, list[list[Any]]]
_CONSTANT = "_CONSTANT_VALUE"


class NotYetError(Exception):
    """A tensor that is not made yet."""


@dataclasses.dataclass(frozen=True)
class _Ref:
    layer: str
    call: int
    output: int


def arguments(node: Any, calls: Calls) -> tuple[list[Any], dict[str, Any]]:
    """Read the arguments of a call, in whichever way they are written.

    Args:
        node: an entry of `inbound_nodes`.
        calls: what was made so far.

    Returns:
        Positional and keyword arguments, with tensors.

    Raises:
        NotYetError: if a tensor is not made yet.
        InputError: if there is no such tensor.
    """
    if isinstance(node, Mapping) and set(node) == {"args", "kwargs"}:
        written = keras.saving.deserialize_keras_object(dict(node))
        found = keras.tree.map_structure(lambda leaf: _revived(leaf, calls), written)
        return list(found["args"]), found["kwargs"]
    parts = [node] if _is_ref(node) or _is_constant(node) else node
    kwargs: dict[str, Any] = {}
    if isinstance(parts, list):
        parts = list(parts)
        for index, part in enumerate(parts):
            if (_is_ref(part) or _is_constant(part)) and len(part) == 4:
                kwargs |= {k: v for k, v in (part[3] or {}).items() if v is not None}
                parts[index] = part[:3] if _is_ref(part) else part[2]
    return [unwrapped(tensors(parts, calls))], tensors(kwargs, calls)


def tensors(written: Any, calls: Calls) -> Any:
    """Replace the references in lists and dicts by tensors.

    Raises:
        NotYetError: if one is not made yet.
        InputError: if there is no such tensor.
    """
    return keras.tree.map_structure(lambda leaf: _tensor(leaf, calls), _refs(written, calls))


def unwrapped(value: Any) -> Any:
    """Take the only item out of a list.

    Example:
        >>> unwrapped([3]), unwrapped([3, 4])
        (3, [3, 4])
    """
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _is_ref(value: Any) -> bool:
    return (
        isinstance(value, (list, tuple))
        and len(value) in (3, 4)
        and isinstance(value[0], str)
        and value[0] != _CONSTANT
        and all(type(number) is int for number in value[1:3])
    )


def _is_constant(value: Any) -> bool:
    return isinstance(value, list) and len(value) >= 3 and value[0] == _CONSTANT


def _refs(value: Any, calls: Calls) -> Any:
    """Find the references in a structure of lists and dicts."""
    if _is_ref(value) and value[0] in calls:
        return _Ref(*value[:3])
    if isinstance(value, Mapping):
        return {key: _refs(item, calls) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_refs(item, calls) for item in value]
    return value


def _tensor(value: Any, calls: Calls) -> Any:
    if not isinstance(value, _Ref):
        return value
    made = calls[value.layer]
    if not 0 <= value.call < len(made) or not made[value.call]:
        raise NotYetError
    if not 0 <= value.output < len(made[value.call]):
        raise InputError(f"layer {value.layer!r} has no output {value.output}.")
    return made[value.call][value.output]


def _revived(leaf: Any, calls: Calls) -> Any:
    """Find the tensor that today's Keras wrote."""
    if not isinstance(leaf, keras.KerasTensor):
        return leaf
    layer, call, output = leaf._pre_serialization_keras_history
    if layer not in calls:
        raise InputError(f"a layer reads {layer!r}, which is not there.")
    return _tensor(_Ref(layer, call, output), calls)
