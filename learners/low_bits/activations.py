"""Quantized activations: where quantizers stand, and where their ranges begin.

A quantizer stands in front of each layer whose kernel is quantized, on the tensor that it reads;
layers that read the same tensor with as many bits share one. Ranges are those of least squared
error over values drawn from training images, in the network before quantization.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from learners.kernels.layers import KernelLayer
from utils.graph import Graph, Ref, to_keras_with_tensors
from utils.graph.insertion import Insertion, insert
from utils.quantization.activation import NO_BITS, OP
from utils.quantization.grid import Grid
from utils.quantization.ranges import least_squares

VALUES_PER_BATCH = 2000  # of a tensor, that its range is taken from


@dataclasses.dataclass(frozen=True, kw_only=True)
class Place:
    """Where a quantizer stands.

    Attributes:
        source: the tensor that it quantizes.
        readers: the nodes that read it quantized.
        bits: of its values.
    """

    source: Ref
    readers: tuple[str, ...]
    bits: int

    @property
    def name(self) -> str:
        """Of the layer."""
        return f"{self.source.node}_quantizer"


def places(graph: Graph, layers: Sequence[KernelLayer], bits: Mapping[str, int]) -> list[Place]:
    """List the quantizers that a network needs.

    Args:
        graph: the network.
        layers: its quantized kernels.
        bits: name of a kernel -> bits of what it reads.

    Returns:
        Places in the order of the network; each reader at one of them.
    """
    wanted: dict[tuple[Ref, int], list[str]] = {}
    done: set[str] = set()
    for layer in layers:
        for node in graph.calls(layer.layer):
            if node.name in done or not node.inputs:
                continue
            done.add(node.name)
            wanted.setdefault((node.inputs[0], bits[layer.name]), []).append(node.name)
    return [
        Place(source=source, readers=tuple(readers), bits=number)
        for (source, number), readers in wanted.items()
    ]


def quantized_graphs(
    graph: Graph, found: Sequence[Place], images: Iterable[Any], *, learned: bool, seed: int
) -> tuple[Graph, Graph]:
    """Put quantizers into a network.

    Args:
        graph: the network.
        found: where they stand.
        images: batches of inputs.
        learned: their scales are trained with the network.
        seed: of the values that ranges are taken from.

    Returns:
        The network with quantizers, and one with the same nodes whose quantizers let all pass.
    """
    values = _drawn_values(graph, found, images, np.random.default_rng(seed))
    active, idle = [], []
    for place, drawn in zip(found, values, strict=True):
        grid = Grid(bits=place.bits)
        scaling = least_squares(drawn, np.zeros(drawn.shape, np.int32), 1, grid)
        attrs = {"zero_point": int(scaling.zero_point[0]), "learned": learned}
        common: dict[str, Any] = {
            "source": place.source,
            "readers": place.readers,
            "name": place.name,
            "op": OP,
            "params": {"scale": scaling.scale.astype(np.float32).reshape(())},
        }
        active.append(Insertion(attrs={"bits": place.bits, **attrs}, **common))
        idle.append(Insertion(attrs={"bits": NO_BITS, **attrs}, **common))
    return insert(graph, active)[0], insert(graph, idle)[0]


def _drawn_values(
    graph: Graph, found: Sequence[Place], images: Iterable[Any], rng: np.random.Generator
) -> list[np.ndarray]:
    """Draw values of each tensor, float64."""
    model, tensors = to_keras_with_tensors(graph)
    seen = keras.Model(model.inputs, [tensors[place.source] for place in found])
    drawn: list[list[np.ndarray]] = [[] for _ in found]
    for batch in images:
        for parts, maps in zip(drawn, keras.tree.flatten(seen(batch, training=False)), strict=True):
            values = np.asarray(maps, np.float64).ravel()
            few = values.size <= VALUES_PER_BATCH
            parts.append(values if few else rng.choice(values, VALUES_PER_BATCH))
    return [np.concatenate(parts) for parts in drawn]
