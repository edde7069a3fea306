"""The weights that make a group's channels: filters, biases, batch norms, a slice per channel.

The weights that *read* a group are in `learners/channels/axes.py`; these are all the others that a
cut shortens.
"""

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import keras
import numpy as np

from learners.live_weights import LiveWeights
from utils.graph import ChannelGroup, Graph, Node, ops
from utils.graph.channels import Coupling, WeightAxis, coupling
from utils.graph.row import IN, MID, OUT, SELF

FILTER, BIAS, SCALE, SHIFT, MEAN = "filter", "bias", "scale", "shift", "mean"

Value = Callable[[str, str], np.ndarray]
"""(layer, weight) -> the weight's value."""


@dataclasses.dataclass(frozen=True, eq=False)
class Carrier:
    """An axis of a weight along which the channels of a group lie where they are made.

    Attributes:
        layer: the layer.
        weight: its weight.
        axis: of the weight, counted from the back.
        channels: int [size of the axis], the group's channel of each index, -1 for none.
        kind: `filter`: its entries are multiplied with activations, the kernel of a depthwise
            convolution among them; `bias`: added behind filters; `scale`, `shift`: of a norm;
            `mean`: of a batch norm right behind filters; else empty.
    """

    layer: str
    weight: str
    axis: int
    channels: np.ndarray
    kind: str

    def rows(self, array: np.ndarray) -> np.ndarray:
        """View the weight as one row for each index of the axis: [size, entries of each]."""
        return np.moveaxis(array, self.axis, 0).reshape(array.shape[self.axis], -1)

    def gone(self, channels: Any, rank: int) -> Any:
        """Mark, on the device, the slices of some channels; it broadcasts against the weight.

        Args:
            channels: bool tensor [channels of the group].
            rank: of the weight.
        """
        found = keras.ops.take(channels, np.maximum(self.channels, 0), axis=0)
        shape = [1] * rank
        shape[self.axis] = -1
        return keras.ops.reshape(keras.ops.logical_and(found, self.channels >= 0), shape)

    def without(self, array: np.ndarray, gone: np.ndarray) -> np.ndarray:
        """Copy the weight with zeros in the slices of some channels.

        Args:
            array: its value.
            gone: bool [channels of the group], True becomes zero.
        """
        array = np.array(array)
        np.moveaxis(array, self.axis, 0)[(self.channels >= 0) & gone[self.channels]] = 0.0
        return array


def carriers(graph: Graph, group: ChannelGroup) -> list[Carrier]:
    """Find all weights that make a group's channels, in the order of the network.

    Args:
        graph: the network.
        group: a group or a segment of one.

    Returns:
        Producers' kernels and biases, kernels of depthwise and grouped convolutions that channels
        pass, parameters of norms and the like.
    """
    found = coupling(graph)
    number, local = _place(found, group)
    readers = {graph.node(reader.node).layer for reader in group.readers}
    result = []
    for node, tied in _tied(graph, found):
        if tied.role in (MID, SELF) or (tied.role == IN and node.layer in readers):
            continue
        mine = (tied.ids >= 0) & (found.group_of[tied.ids] == number)
        channels = np.full(tied.ids.size, -1)
        channels[mine] = local[found.channel_of[tied.ids[mine]]]
        if (channels >= 0).any():
            rank = graph.params[node.layer][tied.weight].ndim
            kind = _kind(graph, node, tied)
            result.append(Carrier(node.layer, tied.weight, tied.axis - rank, channels, kind))
    behind = {carrier.layer for carrier in result if carrier.kind == FILTER}
    return [
        carrier
        for carrier in result
        if carrier.kind != MEAN or _follows(graph, carrier.layer, behind)
    ]


def _place(found: Coupling, group: ChannelGroup) -> tuple[int, np.ndarray]:
    """Give the number of the whole group, and the segment's channel of each of its channels."""
    for number, whole in enumerate(found.groups):
        if whole.producers == group.producers:
            local = np.full(whole.size, -1)
            pairs = zip(whole.producer_channels, group.producer_channels, strict=True)
            for channels, own in pairs:
                local[channels] = own
            return number, local
    raise ValueError(f"{group.name!r} is no group of this network.")


def _tied(graph: Graph, found: Coupling) -> Iterator[tuple[Node, WeightAxis]]:
    for layer in dict.fromkeys(node.layer for node in graph.nodes):
        for tied in found.weight_axes.get(layer, ()):
            yield graph.calls(layer)[0], tied


def _kind(graph: Graph, node: Node, tied: WeightAxis) -> str:
    row = ops.find(graph, node)
    if row is None:
        return ""
    if tied.weight in row.uses or (tied.role == OUT and not row.uses):  # an embedding has no uses
        return FILTER
    if tied.role == OUT:
        return BIAS
    if row.affine is not None and tied.weight == (row.absorbs or ("",))[0]:
        return MEAN
    return {"gamma": SCALE, "beta": SHIFT}.get(tied.weight, "")


def _follows(graph: Graph, layer: str, makers: set[str]) -> bool:
    """Whether all calls of a norm read the output of a layer with filters."""
    return all(graph.node(call.inputs[0].node).layer in makers for call in graph.calls(layer))


def silence(weights: LiveWeights, parts: Iterable[Carrier], gone: Any) -> None:
    """Set the slices of channels to zero; the weights stay on the device.

    Args:
        weights: of the model.
        parts: which of them.
        gone: bool [channels of their group], an array or a variable, True becomes zero.
    """
    if not np.asarray(gone).any():
        return
    channels = keras.ops.convert_to_tensor(gone)
    for part in parts:
        variable = weights.variable(part.layer, part.weight)
        zero = keras.ops.zeros((), variable.dtype)
        mask = part.gone(channels, len(variable.shape))
        variable.assign(keras.ops.where(mask, zero, variable))
