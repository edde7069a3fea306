"""Python values of a graph as JSON, exactly, and back with nothing but data made on the way.

JSON knows None, bool, int, float, str, lists and objects. What else a graph holds is an object with
one key that starts with `$`: `{"$tuple": […]}`, `{"$slice": [start, stop, step]}`, `{"$ellipsis":
true}`, `{"$float": "inf"}`, `{"$ref": [node, output]}`, `{"$constant": number}` (an array beside
the JSON).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from utils.errors import InputError
from utils.graph.ir import Ref
from utils.graph.keras_reading import refuse_code

MAX_DEPTH = 64
MAX_INTEGER = 1 << 53
_MAX_SHOWN = 80


class Encoder:
    """Writes values; arrays are put aside.

    Attributes:
        arrays: the constants met so far, by number.
    """

    def __init__(self) -> None:
        self.arrays: list[np.ndarray] = []

    def encode(self, value: Any) -> Any:
        """Describe a value.

        Args:
            value: nested lists, tuples and dicts of plain values, slices, refs and arrays.

        Returns:
            What `json.dumps` takes.

        Raises:
            InputError: if it holds anything else.
        """
        if isinstance(value, (list, tuple)):
            items = [self.encode(item) for item in value]
            return {"$tuple": items} if isinstance(value, tuple) else items
        if isinstance(value, Mapping):
            return {self._key(key): self.encode(item) for key, item in value.items()}
        if isinstance(value, np.ndarray):
            self.arrays.append(value)
            return {"$constant": len(self.arrays) - 1}
        return _encode_leaf(value)

    @staticmethod
    def _key(key: Any) -> str:
        if not isinstance(key, str) or key.startswith("$"):
            raise InputError(
                f"names in attrs must be strings that do not start with '$'. Received: {key!r}."
            )
        return key


def _encode_leaf(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return {"$float": str(value)}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Ref):
        return {"$ref": [value.node, value.index]}
    if isinstance(value, slice):
        return {"$slice": [_encode_leaf(part) for part in (value.start, value.stop, value.step)]}
    if value is Ellipsis:
        return {"$ellipsis": True}
    raise InputError(
        f"a {type(value).__module__}.{type(value).__name__} cannot be written to a graph file. "
        "Give the layer plain values."
    )


class Decoder:
    """Reads what `Encoder` wrote, or refuses it.

    Args:
        constants: arrays by number.
        allow_unsafe: admit attrs that name classes which run foreign code.
    """

    def __init__(self, constants: Mapping[str, np.ndarray], *, allow_unsafe: bool = False) -> None:
        self._constants = constants
        self._allow_unsafe = allow_unsafe

    def decode(self, value: Any, depth: int = 0) -> Any:
        """Rebuild a value.

        Raises:
            InputError: if it is nested too deeply, an integer is absurd, or a `$` object malformed.
        """
        if depth > MAX_DEPTH:
            raise InputError(f"values are nested more than {MAX_DEPTH} deep.")
        if isinstance(value, list):
            return [self.decode(item, depth + 1) for item in value]
        if isinstance(value, dict):
            special = [key for key in value if key.startswith("$")]
            if special:
                return self._special(value, special[0], depth)
            return {key: self.decode(item, depth + 1) for key, item in value.items()}
        if isinstance(value, int) and abs(value) > MAX_INTEGER:
            raise malformed("an integer", f"at most {MAX_INTEGER:,}", value)
        return value

    def attrs(self, value: Any, layer: str) -> dict[str, Any]:
        """Rebuild a layer's attrs.

        Raises:
            InputError: also if they are no object, or name a class that runs foreign code.
        """
        attrs = self.decode(value)
        if not isinstance(attrs, dict):
            raise malformed(f"layer {layer!r}: attrs", "an object", value)
        if not self._allow_unsafe:
            refuse_code(attrs, layer)
        return attrs

    def _special(self, value: dict[str, Any], key: str, depth: int) -> Any:
        content = value[key]
        if len(value) == 1:
            if key == "$tuple" and isinstance(content, list):
                return tuple(self.decode(item, depth + 1) for item in content)
            if key == "$slice" and isinstance(content, list) and len(content) == 3:
                parts = self.decode(content, depth + 1)
                if all(part is None or type(part) is int for part in parts):
                    return slice(*parts)
            if key == "$ref" and _is_ref(content):
                return Ref(*content)
            if key == "$ellipsis" and content is True:
                return Ellipsis
            if key == "$float" and content in ("inf", "-inf", "nan"):
                return float(content)
            if key == "$constant" and str(content) in self._constants:
                return self._constants[str(content)]
        raise malformed(
            "a value", "one of $tuple, $slice, $ref, $ellipsis, $float, $constant", value
        )


def _is_ref(content: Any) -> bool:
    return (
        isinstance(content, list)
        and len(content) == 2
        and isinstance(content[0], str)
        and type(content[1]) is int
    )


def malformed(where: str, allowed: str, received: Any) -> InputError:
    """Make the error for a value of the wrong kind, which is shown in short."""
    shown = repr(received)
    shown = shown if len(shown) <= _MAX_SHOWN else shown[:_MAX_SHOWN] + "…"
    return InputError(f"{where} must be {allowed}. Received: {shown}.")
