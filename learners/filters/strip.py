"""Cutting filters that are zero out of a network, such that it goes on computing the same.

A filter of zeros is not silent: a batch norm behind it adds its beta, and the layers that read the
channel get that, the same number everywhere. What they make of it moves into their own offsets,
then the channel is cut. That is exact wherever the number is the same for all images and at all
places a kernel sees: not at the border of a zero-padded map, and not where the channel is
multiplied with one that is not constant.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from learners.channels.axes import dropped
from learners.channels.segments import cut
from learners.reconstruction.readings import Reading, find_readings
from utils.graph import ChannelGroup, Graph, to_keras_with_tensors

Masks = Mapping[str, np.ndarray]
"""Group name -> bool [channels], True = keep."""


def stripped(graph: Graph, groups: Sequence[ChannelGroup], keep: Masks, inputs: Any) -> Graph:
    """Cut channels; what they give, on average, stays in the layers that read them.

    Args:
        graph: the network, the filters of the channels that go are zero.
        groups: the groups (or segments).
        keep: which channels stay.
        inputs: a batch for the network, in its input structure.

    Returns:
        The smaller network.
    """
    return cut(absorbed(graph, groups, keep, inputs), groups, keep)


def absorbed(graph: Graph, groups: Sequence[ChannelGroup], keep: Masks, inputs: Any) -> Graph:
    """Move what channels give on average into the offsets of the layers that read them.

    Args:
        graph: the network.
        groups: the groups.
        keep: which channels stay.
        inputs: a batch for the network.

    Returns:
        The network with other biases and means. Without the channels it computes what `graph` does
        with them, where they are constant. Layers without an offset stay as they are.
    """
    gone: dict[str, np.ndarray] = {}
    for group in groups:
        mask = keep.get(group.name)
        for reader in group.readers if mask is not None and not mask.all() else ():
            found = dropped(reader.channels, np.asarray(mask))
            gone[reader.node] = gone.get(reader.node, False) | found
    order = [node.name for node in graph.nodes if node.name in gone]
    readings = [each for each in find_readings(graph, order, compensate=False) if each.centred]
    params = {layer: dict(arrays) for layer, arrays in graph.params.items()}
    means = _means(graph, readings, inputs)
    for reading, mean in zip(readings, means, strict=True):
        given = np.where(gone[reading.name], mean, 0.0)
        if given.any():
            rows = np.tile(given, reading.item.window.num_positions)
            offset = rows @ reading.item.kernel.astype(np.float64)
            changed = reading.refitted(
                reading.item.kernel, offset, lambda *key: params[key[0]][key[1]]
            )
            for (layer, weight), value in changed.items():
                params[layer][weight] = value.astype(params[layer][weight].dtype)
    return graph.replace(params=params)


def _means(graph: Graph, readings: Sequence[Reading], inputs: Any) -> list[np.ndarray]:
    """Average what layers read over images and places, float64 [in_features] each."""
    if not readings:
        return []
    model, tensors = to_keras_with_tensors(graph)
    part = keras.Model(model.inputs, [tensors[reading.source] for reading in readings])
    maps = part(keras.tree.flatten(inputs), training=False)
    return [
        np.asarray(each, dtype=np.float64).reshape(-1, each.shape[-1]).mean(axis=0)
        for each in keras.tree.flatten(maps)
    ]


def example_inputs(graph: Graph, seed: int = 0, size: int = 8) -> Any:
    """Draw a batch of normal noise for a network of float inputs, in its input structure.

    Unknown sizes become 16. It serves where no images are at hand: most zero filters give a
    constant, whatever the input.
    """
    generator = np.random.default_rng(seed)

    def drawn(ref: Any) -> np.ndarray:
        shape = [size, *(16 if axis is None else axis for axis in graph.shape(ref)[1:])]
        return generator.normal(size=shape).astype(graph.dtype(ref))

    return keras.tree.map_structure(drawn, graph.input_structure)
