"""The packed file of a network, `model.fpq`, made and run: see `utils.quantization.packed`."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from utils.export.errors import ExportError
from utils.export.exporters import Made, Source
from utils.export.runner import Inputs, arrange
from utils.graph.keras_io import from_keras, to_keras
from utils.quantization.coding import RAW, Coding
from utils.quantization.packed import codings, pack, payload_bytes, unpack
from utils.traced import traced
from utils.weight_facts import bits, kernels

_LOW_BITS = 8


def is_low_bit(model: keras.Model) -> bool:
    """Tell whether a kernel of a network has fewer than 8 bits, read off its values.

    A kernel of nothing but zeros is not counted: new networks have such.
    """
    found = kernels(np.asarray(weight) for weight in model.weights)
    return any(kernel.any() and (bits([kernel]) or 64) < _LOW_BITS for kernel in found)


def packed_file(source: Source) -> Made:
    """Pack a network, unpack it and compare all weights bit by bit.

    Raises:
        InputError: if the network cannot be described or rebuilt.
        ExportError: if a weight is another.
    """
    graph = from_keras(source.model, allow_unsafe=True)  # who loads it decides anew
    content = pack(graph)
    found = unpack(content, allow_unsafe=True).params
    for layer, weights in graph.params.items():
        for name, weight in weights.items():
            if not same_weight(weight, found[layer][name]):
                raise ExportError(f"the packed file changes the weight {name!r} of {layer!r}")
    return Made(content=content, notes=(_note(content),))


def same_weight(weight: np.ndarray, other: np.ndarray) -> bool:
    """Compare two weights bit by bit; -0.0 and 0.0 are the same number."""
    if weight.dtype != other.dtype or weight.shape != other.shape:
        return False
    if weight.dtype.kind == "f":
        weight, other = weight + weight.dtype.type(0), other + weight.dtype.type(0)
    return weight.tobytes() == other.tobytes()


def _note(content: bytes) -> str:
    stored = codings(content).values()
    indexed = [coding for coding in stored if coding.kind != RAW]
    sparse = sum(coding.nonzeros is not None for coding in stored)
    payload = payload_bytes(content)
    others = f"; zeros are left out of {sparse}" if sparse else ""
    return (
        f"The packed file stores {len(indexed)} kernels as indices{_widths(indexed)}{others}. "
        f"Numbers take {payload:,} bytes, the description {len(content) - payload:,}."
    )


def _widths(indexed: list[Coding]) -> str:
    widths = sorted({coding.width for coding in indexed})
    if not widths:
        return ""
    return f" of {widths[0]} bits" if len(widths) == 1 else f" of {widths[0]} to {widths[-1]} bits"


class PackedRunner:
    """A packed file that was just made here, as a function from float batches to float outputs.

    Args:
        content: of the file.
        num_threads: has no effect: Keras takes its own.

    Raises:
        InputError: see `utils.quantization.packed.unpack`.
    """

    def __init__(self, content: bytes, num_threads: int = 1) -> None:
        model = to_keras(unpack(content, allow_unsafe=True))
        # Inputs and outputs as lists, whatever the structure in which the network has them.
        flat = keras.Model(model.inputs, keras.tree.flatten(model.outputs))
        self._shapes = {tensor.name: tuple(tensor.shape) for tensor in model.inputs}
        self._run = traced(lambda inputs: flat(inputs, training=False))

    def float_operators(self) -> tuple[str, ...]:
        """Name nothing: the file makes no promise of integers."""
        return ()

    def __call__(self, inputs: Inputs) -> Any:
        """Run a batch, see `utils.export.runner.TFLiteRunner`."""
        arrays = arrange(inputs, self._shapes, "the .fpq file")
        found = self._run([arrays[name] for name in self._shapes])
        outputs = [np.asarray(output) for output in keras.tree.flatten(found)]
        return outputs[0] if len(outputs) == 1 else outputs
