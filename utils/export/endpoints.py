"""What a file's inputs and outputs are called: as in the Keras network.

The converter calls outputs `output_0`, `output_1` … and their tensors `StatefulPartitionedCall:0`.
Whoever uses the file looks for the names of the network.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from utils.export.flatbuffer import NUMBERED, natural_key, read_model, write_model


def output_names(model: keras.Model) -> tuple[str, ...]:
    """Give the names of a network's outputs, those of the layers that make them, in order.

    Where a name comes twice, what follows gets a number.

    Args:
        model: a built Functional or Sequential model.

    Returns:
        Names, all different.
    """
    names: list[str] = []
    for tensor in model.outputs:
        history = getattr(tensor, "_keras_history", None)
        name = "output" if history is None else str(history.operation.name)
        free = (text for text in (name, *(f"{name}_{n}" for n in range(1, 1 + len(names)))))
        names.append(next(text for text in free if text not in names))
    return tuple(names)


def with_names(content: bytes, outputs: Sequence[str]) -> bytes:
    """Call a file's outputs and the tensors at its border as in the network.

    Args:
        content: of a `.tflite` file with one signature.
        outputs: names of the network's outputs, in order.

    Returns:
        The file, its outputs in that order. Those that have names of their own already, as of a
        network that gives a dict, keep them, sorted as Keras does; a file that has these names, or
        another number of outputs, is left as it is.
    """
    model = read_model(content)
    if len(model.signatureDefs or ()) != 1:
        return content
    signature = model.signatureDefs[0]
    ends = sorted(signature.outputs, key=lambda each: natural_key(each.name.decode()))
    if len(ends) != len(outputs) or [end.name.decode() for end in signature.outputs] == [*outputs]:
        return content
    # Such names of layers would be taken for the converter's, whatever their order.
    numbered = all(map(NUMBERED.fullmatch, outputs))
    if not numbered and all(NUMBERED.fullmatch(end.name.decode()) for end in ends):
        for end, name in zip(ends, outputs, strict=True):
            end.name = name.encode()
    signature.outputs = ends
    _name_tensors(model, signature)
    return write_model(model)


def _name_tensors(model: Any, signature: Any) -> None:
    """Give the tensors at the border the names of the signature; one may be at both ends."""
    tensors = model.subgraphs[signature.subgraphIndex].tensors
    for end in (*signature.outputs, *signature.inputs):
        tensors[end.tensorIndex].name = end.name
