"""Where a network can be made smaller: groups of channels, and kernels."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence

import numpy as np

from learners.channels.segments import merged, segments
from learners.kernels.layers import KernelLayer, kernel_layers, without_skipped
from learners.name_parts import name_parts
from utils.errors import InputError
from utils.graph import ChannelGroup, Graph, channel_groups
from utils.graph.channels import coupling


@dataclasses.dataclass(frozen=True, kw_only=True)
class Places:
    """What is up for choice.

    Attributes:
        graph: the network.
        groups: channels that can go, in the order of their first readers.
        layers: kernels that can have fewer bits and zeros, in the network's order.
    """

    graph: Graph
    groups: tuple[ChannelGroup, ...]
    layers: tuple[KernelLayer, ...]


def find_places(graph: Graph, *, residual: str, skip_op_names: str | None) -> Places:
    """List what the flags leave up for choice.

    Args:
        graph: the network.
        residual: `inner` or `joint`.
        skip_op_names: parts of names of layers that are left as they are.

    Raises:
        InputError: for a part that no kernel has in its name, or where nothing is left.
    """
    layers, skipped = without_skipped(
        kernel_layers(graph), parts=name_parts(skip_op_names), source="`auto_skip_op_names`"
    )
    layers = [layer for layer in layers if layer.matrix(graph.params).any()]
    if not layers:
        raise InputError(
            f"network {graph.name!r} has no kernel to compress. Give one with convolutions or "
            "dense layers, or fewer names in --auto_skip_op_names."
        )
    whole = {layer.node for layer in kernel_layers(graph) if layer.name in skipped}
    order = {node.name: index for index, node in enumerate(graph.nodes)}
    groups = [
        part
        for group in channel_groups(graph)
        if group.prunable and (residual == "joint" or not group.is_stream)
        for part in segments(group)
        if part.size > 1 and part.readers and whole.isdisjoint(r.node for r in part.readers)
    ]
    groups.sort(key=lambda group: min(order[reader.node] for reader in group.readers))
    return Places(graph=graph, groups=tuple(groups), layers=tuple(layers))


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Kept:
    """What is left of a kernel once channels are gone.

    Attributes:
        layer: the kernel as the cut network has it.
        rows: int [P'], which rows of the whole kernel's matrix are left.
        columns: int [O'], which columns.
    """

    layer: KernelLayer
    rows: np.ndarray
    columns: np.ndarray

    @property
    def index(self) -> tuple[np.ndarray, ...]:
        """Selects what is left of a matrix [P, O]."""
        return np.ix_(self.rows, self.columns)

    def widened(self, matrix: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """Put a matrix [P', O'] among zeros, [P, O]."""
        found = np.zeros(shape, matrix.dtype)
        found[self.index] = matrix
        return found


def kept_kernels(
    graph: Graph, layers: Sequence[KernelLayer], keep: Mapping[str, np.ndarray]
) -> dict[str, Kept]:
    """Say what is left of kernels.

    Args:
        graph: the whole network.
        layers: its kernels.
        keep: boolean masks by group (or segment) name, True = keep; what is missing stays whole.

    Returns:
        By layer name.
    """
    found = coupling(graph)
    alive = found.alive(merged(graph, keep))
    kept = {}
    for layer in layers:
        masks: dict[str, np.ndarray] = {}
        shapes = []
        for weight, shape in zip(layer.weights, layer.shapes, strict=True):
            sides = [np.ones(size, bool) for size in shape]
            for axis in found.weight_axes.get(layer.layer, ()):
                if axis.weight == weight:
                    sides[axis.axis] &= alive[axis.ids]
            shapes.append(tuple(int(side.sum()) for side in sides))
            masks[weight] = functools.reduce(np.logical_and.outer, sides)
        matrix = layer.matrix({layer.layer: masks})
        kept[layer.name] = Kept(
            layer=dataclasses.replace(layer, shapes=tuple(shapes)),
            rows=np.flatnonzero(matrix.any(axis=1)),
            columns=np.flatnonzero(matrix.any(axis=0)),
        )
    return kept
