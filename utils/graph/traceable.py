"""Names that TensorFlow's graphs take."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

import keras

from utils.command import notes
from utils.graph.copying import copy_network
from utils.graph.ir import unique_name

_NUM_SHOWN = 5


def traceable_name(name: str) -> str:
    """Turn any text into a name that TensorFlow's graphs take.

    Example:
        >>> traceable_name("Mein Netz für Ziffern"), traceable_name("_1"), traceable_name("conv-1")
        ('Mein_Netz_fur_Ziffern', 'n_1', 'conv-1')
    """
    letters = unicodedata.normalize("NFKD", name)
    plain = "".join(letter for letter in letters if not unicodedata.combining(letter))
    plain = re.sub(r"[^A-Za-z0-9_.>-]", "_", plain)
    return plain if re.match(r"[A-Za-z0-9.]", plain) else f"n{plain}"


def traceable(model: keras.Model) -> keras.Model:
    """Give the parts of a model names that TensorFlow's graphs take, and say so on the console.

    Keras allows any name without a slash, but neither trains nor exports a layer called `Block ü`.

    Args:
        model: a built model that nobody else uses: it is renamed in place.

    Returns:
        The model, or a copy of it where weights have such names too.
    """
    operations = _operations(model)
    odd = [item for item in operations if traceable_name(item.name) != item.name]
    if not odd:
        return model
    taken = {item.name for item in operations if item not in odd}
    renamed = {}
    for item in odd:
        renamed[item.name] = item.name = unique_name(traceable_name(item.name), taken)
        taken.add(item.name)
        if isinstance(item, keras.layers.InputLayer):
            item.output.name = item.name
    shown = ", ".join(
        f"{old!r} is called {new!r}" for old, new in list(renamed.items())[:_NUM_SHOWN]
    )
    notes.print(f"note: names that TensorFlow's graphs do not take: {shown}.", markup=False)
    holds_weights = any(getattr(item, "weights", ()) for item in odd if item is not model)
    return copy_network(model, allow_unsafe=True) if holds_weights else model


def _operations(model: keras.Model) -> list[Any]:
    """List a model and all layers and operations in it."""
    found: dict[int, Any] = {}
    for layer in model._flatten_layers():
        for operation in (layer, *getattr(layer, "operations", ())):
            found[id(operation)] = operation
    return list(found.values())
