"""Cutting filters that are zero out of a network, such that it goes on computing the same.

A filter of zeros is not silent: a batch norm behind it adds its beta, and the layers that read the
channel get that, the same number everywhere. What they make of it moves into their own offsets,
then the channel is cut. That is exact wherever the number is the same for all images and at all
places a kernel sees: not at the border of a zero-padded map, and not where the channel is
multiplied with one that is not constant. A channel that gives something stays where a layer that
reads it has no offset to take that up: no bias and no batch norm behind, or several calls.
"""

from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np

from learners.channels.axes import dropped
from learners.channels.segments import cut
from learners.reconstruction.readings import Reading, find_readings
from utils.command import notes
from utils.graph import ChannelGroup, Graph, Reader, Ref, to_keras, to_keras_with_tensors
from utils.graph.row import channel_axis

Masks = Mapping[str, np.ndarray]
"""Group name -> bool [channels], True = keep."""


class Stripped(NamedTuple):
    """What is left.

    Attributes:
        graph: the smaller network.
        num_held: channels that were to go and stay.
        note: a sentence about them; None where there are none.
    """

    graph: Graph
    num_held: int
    note: str | None

    def network(self) -> keras.Model:
        """Build the network; prints the note."""
        if self.note is not None:
            notes.print(f"note: {self.note}", markup=False)
        return to_keras(self.graph)


def stripped(graph: Graph, groups: Sequence[ChannelGroup], keep: Masks, inputs: Any) -> Stripped:
    """Cut channels; what they give, on average, stays in the layers that read them.

    Args:
        graph: the network, the filters of the channels that go are zero.
        groups: the groups (or segments).
        keep: which channels stay.
        inputs: a batch for the network, in its input structure.

    Returns:
        The smaller network, and what stays of what was to go.
    """
    wanted = with_needed(graph, groups, keep, inputs)
    small = cut(absorbed(graph, groups, wanted, inputs), groups, wanted)
    held = {name: int((wanted[name] & ~mask).sum()) for name, mask in keep.items()}
    number, names = sum(held.values()), [name for name, count in held.items() if count]
    if not number:
        return Stripped(small, 0, None)
    note = (
        f"{number} filters that are zero stay, of {', '.join(names)}: what they still give to the "
        "layers behind cannot be taken up by one of these, which has no bias and no batch norm "
        "behind it, or is called several times."
    )
    return Stripped(small, number, note)


def with_needed(
    graph: Graph, groups: Sequence[ChannelGroup], keep: Masks, inputs: Any
) -> dict[str, np.ndarray]:
    """Let channels stay that give something to a layer without an offset; arguments as `stripped`.

    Returns:
        The masks, with these channels kept.
    """
    found = {name: np.array(mask) for name, mask in keep.items()}
    readers = list(_losing(groups, keep))
    takers = {each.name for each in _takers(graph, {reader.node for _, reader in readers})}
    places = [
        (group.name, reader.channels, ref, axis)
        for group, reader in readers
        if reader.node not in takers
        for ref, axis in _read_by(graph, reader)
    ]
    maps = _maps(graph, [ref for _, _, ref, _ in places], inputs)
    for (name, channels, _, axis), values in zip(places, maps, strict=True):
        gives = np.moveaxis(values, axis, -1).reshape(-1, values.shape[axis]).any(axis=0)
        found[name][channels[gives & (channels >= 0)]] = True
    return found


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
    for group, reader in _losing(groups, keep):
        found = dropped(reader.channels, np.asarray(keep[group.name]))
        gone[reader.node] = gone.get(reader.node, False) | found
    readings = _takers(graph, gone)
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
    maps = _maps(graph, [reading.source for reading in readings], inputs)
    return [each.reshape(-1, each.shape[-1]).mean(axis=0) for each in maps]


def _maps(graph: Graph, refs: Sequence[Ref], inputs: Any) -> list[np.ndarray]:
    """Compute tensors of a network for a batch, float64."""
    if not refs:
        return []
    model, tensors = to_keras_with_tensors(graph)
    part = keras.Model(model.inputs, [tensors[ref] for ref in refs])
    maps = part(keras.tree.flatten(inputs), training=False)
    return [np.asarray(each, dtype=np.float64) for each in keras.tree.flatten(maps)]


def _losing(groups: Sequence[ChannelGroup], keep: Masks) -> Iterator[tuple[ChannelGroup, Reader]]:
    """List the readers of the groups that lose channels."""
    for group in groups:
        if group.name in keep and not keep[group.name].all():
            yield from ((group, reader) for reader in group.readers)


def _takers(graph: Graph, names: Container[str]) -> list[Reading]:
    """Describe those of some layers, in the order of the network, that have an offset."""
    order = [node.name for node in graph.nodes if node.name in names]
    return [each for each in find_readings(graph, order, compensate=False) if each.centred]


def _read_by(graph: Graph, reader: Reader) -> Iterator[tuple[Ref, int]]:
    """Give the tensors, and their axis, in which all calls of a reader's layer read channels."""
    for node in graph.calls(graph.node(reader.node).layer):
        for ref in node.inputs:
            shape = graph.shape(ref)
            axis = channel_axis(node.attrs, len(shape))
            if shape[axis] == reader.channels.size:
                yield ref, axis


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
