"""Cut channels out of a graph, or switch them off.

`shrink` gives the smaller network, `masked_model` the original one with the same channels set to 0
in front of their readers. The law: both compute the same.
"""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np

from utils.graph import ops
from utils.graph.channels import Coupling, Reading, coupling
from utils.graph.ir import Graph, Node, Ref, Shape, rename_inputs, unique_name
from utils.graph.keras_io import to_keras
from utils.graph.ops_slice import take_node
from utils.graph.row import IN, MID, SELF

_MULTIPLY = "keras.src.ops.numpy.Multiply"
Keep = Mapping[str, np.ndarray]


def shrink(graph: Graph, keep: Keep, reader_keep: Keep | None = None) -> Graph:
    """Delete channels from a network.

    Args:
        graph: the network; it is not changed.
        keep: bool array [size] by group name, True = keep. Groups that are not named stay whole.
        reader_keep: for `gather`: bool array [in_features] by reader node, indices as in
            `Reader.channels`. Channels that this one kernel drops beyond `keep` are left out by a
            `keras.ops.take` in front of it.

    Returns:
        The smaller graph. What `keep` leaves whole shares its arrays with `graph`.

    Raises:
        ValueError: if a name is unknown, an array has another shape or type, the group cannot be
            cut, or a tensor would lose all its channels.
    """
    found = coupling(graph)
    alive = found.alive(_checked(found, keep))
    chosen = _checked_readers(graph, found, reader_keep or {}, alive)
    cutting = _Cutting(graph, found, alive)
    nodes: list[Node] = []
    for node in graph.nodes:
        if node.name in chosen:
            gather = cutting.gather(chosen[node.name])
            if gather is not None:
                nodes.append(gather)
                node = rename_inputs(node, {node.inputs[0]: Ref(gather.name)})
        nodes.extend(cutting.resized(node))
    return graph.replace(nodes=tuple(nodes), params=_cut_params(graph, found, alive, chosen))


def masked_graph(graph: Graph, keep: Keep, reader_keep: Keep | None = None) -> Graph:
    """Graph of `masked_model`."""
    found = coupling(graph)
    alive = found.alive(_checked(found, keep))
    chosen = _checked_readers(graph, found, reader_keep or {}, alive)
    masks = {
        reading.node: (
            reading,
            chosen[reading.node][1] if reading.node in chosen else alive[reading.ids],
        )
        for reading in found.readings
    }
    taken = {node.name for node in graph.nodes} | {node.layer for node in graph.nodes}
    nodes: list[Node] = []
    for node in graph.nodes:
        if node.name in masks and not masks[node.name][1].all():
            mask = _mask_node(graph, *masks[node.name], unique_name(f"{node.name}_mask", taken))
            taken.add(mask.name)
            nodes.append(mask)
            node = rename_inputs(node, {node.inputs[0]: Ref(mask.name)})
        nodes.append(node)
    return graph.replace(nodes=tuple(nodes), params=_masked_params(graph, found, alive))


def masked_model(graph: Graph, keep: Keep, reader_keep: Keep | None = None) -> keras.Model:
    """Build the original network with channels switched off.

    Args:
        graph: the network.
        keep: see `shrink`.
        reader_keep: see `shrink`.

    Returns:
        A model with a 0/1 Multiply on the input of every kernel that reads a cut channel, and
        nothing else changed. Inside a recurrent layer, where its recurrent kernel reads its own
        units, the Multiply is zeros in that kernel's rows, which is the same.

    Raises:
        ValueError: see `shrink`.
    """
    return to_keras(masked_graph(graph, keep, reader_keep))


def _masked_params(
    graph: Graph, found: Coupling, alive: np.ndarray
) -> dict[str, Mapping[str, np.ndarray]]:
    """Zero the rows by which recurrent layers read units of their own that are switched off."""
    params = dict(graph.params)
    for layer, axes in found.weight_axes.items():
        for tied in axes:
            mask = alive[tied.ids]
            if tied.role == SELF and not mask.all():
                array = np.moveaxis(params[layer][tied.weight].copy(), tied.axis, 0)
                array[~mask] = 0
                params[layer] = {**params[layer], tied.weight: np.moveaxis(array, 0, tied.axis)}
    return params


def _mask_node(graph: Graph, reading: Reading, mask: np.ndarray, name: str) -> Node:
    source = graph.node(reading.node).inputs[0]
    shape, dtype = graph.shape(source), graph.dtype(source)
    column = mask.reshape([-1 if axis == reading.axis else 1 for axis in range(len(shape))])
    return Node(
        name=name,
        layer=name,
        op=_MULTIPLY,
        attrs={"name": name},
        args=(source, column.astype(dtype)),
        output_shapes=(shape,),
        output_dtypes=(dtype,),
    )


def _checked(found: Coupling, keep: Keep) -> dict[str, np.ndarray]:
    """Check `keep`; return the entries that cut something."""
    groups = {group.name: group for group in found.groups}
    checked = {}
    for name, mask in keep.items():
        if name not in groups:
            raise ValueError(
                f"no channel group is named {name!r}. There are: {', '.join(sorted(groups))}."
            )
        group = groups[name]
        mask = _checked_mask(f"`keep` of group {name!r}", mask, group.size)
        if mask.all():
            continue
        if not group.prunable:
            raise ValueError(f"group {name!r} cannot be cut: {group.reason}.")
        if not mask.any():
            raise ValueError(f"group {name!r}: keep at least one of its {group.size} channels.")
        for block in group.blocks:
            if not mask[block].any():
                raise ValueError(
                    f"group {name!r}: keep at least one of its channels {_shortly(block)}: a "
                    "tensor has no others."
                )
        checked[name] = mask
    return checked


def _shortly(channels: np.ndarray) -> str:
    if channels.size > 1 and (np.diff(channels) == 1).all():
        return f"{channels[0]} to {channels[-1]}"
    return ", ".join(str(channel) for channel in channels[:8]) + ("…" if channels.size > 8 else "")


def _checked_mask(what: str, mask: np.ndarray, size: int) -> np.ndarray:
    mask = np.asarray(mask)
    if mask.dtype != bool or mask.shape != (size,):
        raise ValueError(
            f"{what} must be a bool array of shape ({size},). Received: dtype {mask.dtype}, shape "
            f"{mask.shape}."
        )
    return mask


def _checked_readers(
    graph: Graph, found: Coupling, reader_keep: Keep, alive: np.ndarray
) -> dict[str, tuple[Reading, np.ndarray]]:
    """For every node that gathers: its reading and what of it stays."""
    readings = {reading.node: reading for reading in found.readings}
    chosen = {}
    for name, mask in reader_keep.items():
        if name not in readings:
            raise ValueError(
                f"node {name!r} reads no channels that can be cut. Those that do: "
                f"{', '.join(readings)}."
            )
        layer = graph.node(name).layer
        if len(graph.calls(layer)) > 1:
            raise ValueError(f"node {name!r}: {layer!r} is shared; its calls cannot gather apart.")
        reading = readings[name]
        mask = _checked_mask(f"`reader_keep` of node {name!r}", mask, reading.ids.size)
        mask = mask & alive[reading.ids]
        if not mask.any():
            raise ValueError(f"node {name!r}: keep at least one of the channels that it reads.")
        chosen[name] = (reading, mask)
    return chosen


class _Cutting:
    """One decided cut (see `row.Cut`)."""

    def __init__(self, graph: Graph, found: Coupling, alive: np.ndarray) -> None:
        self._graph = graph
        self._labels = found.labels
        self._alive = alive
        self._taken = {node.name for node in graph.nodes} | {node.layer for node in graph.nodes}

    def kept(self, ref: Ref) -> tuple[int, np.ndarray] | None:
        label = self._labels.get(ref)
        if label is None:
            return None
        mask = self._alive[label.ids]
        return None if mask.all() else (label.axis, mask)

    def shape(self, ref: Ref) -> Shape:
        shape = self._graph.shape(ref)
        kept = self.kept(ref)
        if kept is None:
            return shape
        axis, mask = kept
        return (*shape[:axis], int(mask.sum()), *shape[axis + 1 :])

    def new_name(self, wanted: str) -> str:
        name = unique_name(wanted, self._taken)
        self._taken.add(name)
        return name

    def resized(self, node: Node) -> tuple[Node, ...]:
        """Resize a node: the row changes its attrs, the labels give its shapes."""
        outputs = [Ref(node.name, index) for index in range(len(node.output_shapes))]
        inputs = self._graph.node(node.name).inputs
        is_gathered = node.inputs != inputs
        if not is_gathered and all(self.kept(ref) is None for ref in (*inputs, *outputs)):
            return (node,)
        row = ops.find(self._graph, node)
        changed = (node,) if row is None else row.resize(node, self)
        shapes = tuple(self.shape(ref) for ref in outputs)
        return (*changed[:-1], changed[-1].replace(output_shapes=shapes))

    def gather(self, chosen: tuple[Reading, np.ndarray]) -> Node | None:
        """Make the take in front of a kernel; None if it would take everything."""
        reading, mask = chosen
        node = self._graph.node(reading.node)
        stays = self._alive[reading.ids]
        if mask.sum() == stays.sum():
            return None
        places = np.flatnonzero(mask[stays])
        name = self.new_name(f"{node.name}_gather")
        source = node.inputs[0]
        return take_node(
            name, source, reading.axis, places, self.shape(source), self._graph.dtype(source)
        )


def _cut_params(
    graph: Graph,
    found: Coupling,
    alive: np.ndarray,
    chosen: Mapping[str, tuple[Reading, np.ndarray]],
) -> dict[str, dict[str, np.ndarray]]:
    gathered = {graph.node(name).layer: mask for name, (_, mask) in chosen.items()}
    params = {}
    for layer, arrays in graph.params.items():
        arrays = dict(arrays)
        for tied in found.weight_axes.get(layer, ()):
            mask = alive[tied.ids]
            if layer in gathered and tied.role in (IN, MID):
                mask = np.repeat(gathered[layer], tied.ids.size // gathered[layer].size)
            if not mask.all():
                arrays[tied.weight] = np.compress(mask, arrays[tied.weight], axis=tied.axis)
        params[layer] = arrays
    return params
