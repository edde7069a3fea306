"""Not computing again what no longer changes: activations kept where the network is one tensor.

Layers are pruned in order, so everything in front of the layer at hand is final. At a *waist*, a
point where all that comes later depends on a single tensor (a residual network has one behind each
block), that tensor stands for the images: it is kept for all of them, if it fits in memory, and
later passes begin there.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from utils.graph import Graph, Ref
from utils.graph.ir import num_elements
from utils.traced import traced

MAX_KEPT_BYTES = 512 * 2**20

Outputs = Callable[..., list[Any]]


def waists(graph: Graph) -> dict[str, Ref]:
    """Find, for each node, the last tensor in front of it that all later ones depend on alone.

    Args:
        graph: the network.

    Returns:
        Node name -> that tensor; nodes without one are missing.
    """
    last_use: dict[Ref, int] = {ref: len(graph.nodes) for ref in graph.outputs}
    for index, node in enumerate(graph.nodes):
        for ref in node.inputs:
            last_use[ref] = max(last_use.get(ref, -1), index)
    found: dict[str, Ref] = {}
    alive = set(graph.inputs)  # the later ones too: what stands before them is no waist
    for index, node in enumerate(graph.nodes):
        if len(alive) == 1:
            found[node.name] = next(iter(alive))
        elif index and graph.nodes[index - 1].name in found:
            found[node.name] = found[graph.nodes[index - 1].name]
        alive |= {Ref(node.name, i) for i in range(len(node.output_shapes))}
        alive = {ref for ref in alive if last_use.get(ref, -1) > index}
    return found


class Frontier:
    """Where passes through the network under work begin.

    Args:
        graph: the network.
        model: its Keras model, whose weights change as layers are visited.
        tensors: the model's KerasTensors by reference.
        batches: the images; iterated once for each pass until the frontier first moves.
        num_images: images in it.
    """

    def __init__(
        self,
        graph: Graph,
        model: keras.Model,
        tensors: Mapping[Ref, Any],
        batches: Iterable[Any],
        num_images: int,
    ) -> None:
        self._graph = graph
        self._model = model
        self._tensors = tensors
        self._batches = batches
        self._num_images = num_images
        self._waists = waists(graph)
        self._at: Ref | None = None
        self._kept: list[np.ndarray] = []

    def advance(self, node: str) -> None:
        """Move to the last waist in front of a node; all layers before it must be final."""
        target = self._waists.get(node)
        if target is None or target == self._at or target in self._graph.inputs:
            return
        if 4 * num_elements(self._graph.shape(target)) * self._num_images > MAX_KEPT_BYTES:
            return
        part = self.submodel([target])

        @traced
        def step(values: Any) -> Any:
            return part(values)[0]

        if self._at is None:
            self._kept = [step(values).numpy() for values in self._batches]
        else:
            for index, values in enumerate(self._kept):  # in place: never two of them in memory
                self._kept[index] = step(values).numpy()
        self._at = target

    def __iter__(self) -> Iterator[Any]:
        """Give the batches at the frontier."""
        return iter(self._batches if self._at is None else self._kept)

    def submodel(self, refs: Sequence[Ref]) -> Outputs:
        """Make the function from a batch at the frontier to some tensors, in inference mode."""
        inputs = self._model.input if self._at is None else self._tensors[self._at]
        wanted = list(dict.fromkeys(ref for ref in refs if ref != self._at))  # each once, for Keras
        part = keras.Model(inputs, [self._tensors[ref] for ref in wanted]) if wanted else None

        def outputs(values: Any) -> list[Any]:
            found = [] if part is None else keras.tree.flatten(part(values, training=False))
            computed = dict(zip(wanted, found, strict=True))
            return [values if ref == self._at else computed[ref] for ref in refs]

        return outputs
