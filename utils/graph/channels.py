"""Which channels must be cut together.

Every index of every channel axis is an *element*. Layers with kernels make fresh elements; all
other ops pass, repeat, reorder or couple them, as their rows in the op table say. Coupled elements
form a class: a channel that goes everywhere or stays. Classes that share a producer form a group.

A channel's *readers* are the kernels that mix it with others (a recurrent layer reads its own units
too: a *loop*). Between producer and reader every op treats each channel alone, so what is left is
untouched when one goes: setting a channel to 0 in front of all its readers and deleting it are the
same network. That is the law that the tests check.
Where an op does not treat channels alone (softmax, layer normalization over them, a model output,
an op without a row) the channels freeze, with the reason.
"""

from __future__ import annotations

import dataclasses
import weakref
from collections.abc import Mapping, Sequence

import numpy as np

from utils.graph import ops
from utils.graph.groups import ChannelGroup, GroupBuilder, components
from utils.graph.ir import Capability, Graph, Node, Ref, Shape
from utils.graph.row import FIXED, Label


@dataclasses.dataclass(frozen=True, eq=False)
class WeightAxis:
    """An axis of a weight whose indices are channel elements."""

    weight: str
    axis: int
    ids: np.ndarray
    role: str


@dataclasses.dataclass(frozen=True, eq=False)
class Reading:
    """A kernel's input: node, axis of its first input tensor, and the elements there."""

    node: str
    axis: int
    ids: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Coupling:
    """The finished analysis of a graph.

    Attributes:
        groups: all groups of channels, prunable or not.
        labels: for each tensor with channels, which axis they are on and which elements they are.
        weight_axes: by layer.
        readings: all kernels that read channels.
        group_of: int array [elements]: number of the group, -1 for padding that meets no producer.
        channel_of: int array [elements]: the group's channel.
        opaque: nodes without a usable row, with the reason.
    """

    groups: tuple[ChannelGroup, ...]
    labels: Mapping[Ref, Label]
    weight_axes: Mapping[str, tuple[WeightAxis, ...]]
    readings: tuple[Reading, ...]
    group_of: np.ndarray
    channel_of: np.ndarray
    opaque: tuple[tuple[Node, str], ...]

    def alive(self, keep: Mapping[str, np.ndarray]) -> np.ndarray:
        """Which elements stay.

        Args:
            keep: checked bool arrays [size] by group name.

        Returns:
            bool array [elements + 1]; the last entry (index `FIXED`) is True.
        """
        alive = np.ones(self.group_of.size + 1, dtype=bool)
        for number, group in enumerate(self.groups):
            if group.name in keep:
                members = np.flatnonzero(self.group_of == number)
                alive[members] = keep[group.name][self.channel_of[members]]
        return alive


_finished: weakref.WeakKeyDictionary[Graph, Coupling] = weakref.WeakKeyDictionary()


def channel_groups(graph: Graph) -> tuple[ChannelGroup, ...]:
    """Find the groups of channels that must be cut together.

    Args:
        graph: the network.

    Returns:
        All groups in the order of their first producers, those that cannot be cut included.
    """
    return coupling(graph).groups


def coupling(graph: Graph) -> Coupling:
    """Run the whole analysis behind `channel_groups`, once per graph."""
    if graph not in _finished:
        analysis = _Analysis(graph)
        analysis.run()
        _finished[graph] = analysis.finish()
    return _finished[graph]


def capability_report(graph: Graph) -> list[Capability]:
    """Say, for people to read, what can be done with each layer.

    Returns:
        One line per nested model that was flattened, per layer that no row describes, and per
        producer of channels: whether they can be cut, and if not, why.
    """
    found = coupling(graph)
    lines = list(graph.notes)
    lines += [Capability(node.layer, "opaque", reason) for node, reason in found.opaque]
    for group in found.groups:
        with_others = (
            "" if len(group.producers) == 1 else f" with {len(group.producers) - 1} others"
        )
        for name in group.producers:
            layer = graph.node(name).layer
            if group.prunable:
                lines.append(Capability(layer, "cut", f"{group.size} channels{with_others}"))
            else:
                lines.append(Capability(layer, "kept", group.reason))
    return lines


class _Analysis:
    """The scope in which the rules of the op table run."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._num_elements = 0
        self._labels: dict[Ref, Label] = {}
        self._producers: dict[str, tuple[str, np.ndarray]] = {}
        self._axes: dict[str, dict[tuple[str, int], WeightAxis]] = {}
        self._readings: list[Reading] = []
        self._loops: list[tuple[str, np.ndarray]] = []
        self._pairs: list[tuple[np.ndarray, np.ndarray]] = []
        self._frozen: list[tuple[np.ndarray, str]] = []
        self._streams: list[np.ndarray] = []
        self._opaque: list[tuple[Node, str]] = []

    # What rules call (see `row.Scope`).

    def label(self, ref: Ref) -> Label | None:
        return self._labels.get(ref)

    def shape(self, ref: Ref) -> Shape:
        return self.graph.shape(ref)

    def outputs(self, node: Node) -> int:
        return len(node.output_shapes)

    def invent(self, size: int) -> np.ndarray:
        first = self._num_elements
        self._num_elements += size
        return np.arange(first, first + size)

    def produce(self, node: Node, size: int) -> np.ndarray:
        if node.layer not in self._producers:
            self._producers[node.layer] = (node.name, self.invent(size))
        return self._producers[node.layer][1]

    def read(self, node: Node, axis: int, ids: np.ndarray) -> None:
        self._readings.append(Reading(node.name, axis, ids))

    def feed_back(self, node: Node, ids: np.ndarray) -> None:
        self._loops.append((node.name, ids))

    def follow(self, node: Node, roles: Mapping[str, np.ndarray | None]) -> None:
        row = ops.find(self.graph, node)
        for weight, axes in {} if row is None else row.weights.items():
            for axis, role in axes.items():
                self.follow_axis(node, weight, axis, roles.get(role), role)

    def follow_axis(
        self, node: Node, weight: str, axis: int, ids: np.ndarray | None, role: str
    ) -> None:
        array = self.graph.params.get(node.layer, {}).get(weight)
        if array is None:  # use_bias=False and the like
            return
        axis %= array.ndim
        if ids is None:
            ids = np.full(array.shape[axis], FIXED)
        axes = self._axes.setdefault(node.layer, {})
        if (weight, axis) in axes:  # another call of a shared layer
            known = axes[weight, axis].ids
            if known is not ids:
                self.unite(known, ids, f"a call of {node.layer!r} cannot be cut")
        else:
            axes[weight, axis] = WeightAxis(weight, axis, ids, role)

    def unite(self, first: np.ndarray, second: np.ndarray, reason: str) -> None:
        first, second = first.ravel(), second.ravel()
        self.freeze(second[first == FIXED], reason)
        self.freeze(first[second == FIXED], reason)
        free = (first != FIXED) & (second != FIXED) & (first != second)
        if free.any():
            self._pairs.append((first[free], second[free]))

    def merge(self, ids: Sequence[np.ndarray]) -> None:
        if any(not np.array_equal(ids[0], other) for other in ids[1:]):
            self._streams.extend(ids)

    def freeze(self, ids: np.ndarray, reason: str) -> None:
        ids = ids[ids != FIXED]
        if ids.size:
            self._frozen.append((ids.ravel(), reason))

    # The two passes.

    def run(self) -> None:
        """Let every node's rule label its outputs."""
        for node in self.graph.nodes:
            row = ops.find(self.graph, node)
            labels = self._opaque_node(node) if row is None else row.couple(node, self, row)
            for index, label in enumerate(labels):
                self._set_label(Ref(node.name, index), label)
        for ref in self.graph.outputs:
            label = self.label(ref)
            if label is not None:
                self.freeze(label.ids, f"they reach the model's output {ref.node!r}")

    def _opaque_node(self, node: Node) -> list[Label | None]:
        reason = ops.why_opaque(self.graph, node)
        self._opaque.append((node, reason))
        for ref in node.inputs:
            label = self.label(ref)
            if label is not None:
                self.freeze(label.ids, f"read by {node.layer!r}, which is opaque: {reason}")
        return [None] * len(node.output_shapes)

    def _set_label(self, ref: Ref, label: Label | None) -> None:
        if label is None:
            return
        if label.ids.size == 1:
            self.freeze(label.ids, f"the only channel of {ref.node!r}")
        else:
            self._labels[ref] = label

    def finish(self) -> Coupling:
        """Form classes and groups."""
        classes = self._classes()
        group_of_class, channel_of_class, members = self._grouped_classes(classes)
        group_of = group_of_class[classes] if classes.size else classes
        channel_of = channel_of_class[classes] if classes.size else classes
        builder = GroupBuilder(self._reasons(group_of, len(members)), group_of, channel_of)
        for reading in self._readings:
            builder.add_reader(reading.node, reading.ids)
        for name, ids in self._loops:
            builder.add_loop(name, ids)
        for label in self._labels.values():
            builder.add_tensor(label.ids)
        for ids in self._streams:
            builder.add_stream(ids)
        producers = list(self._producers.values())
        groups = tuple(
            builder.build(number, [producers[i] for i in indices])
            for number, indices in enumerate(members)
        )
        return Coupling(
            groups=groups,
            labels=self._labels,
            weight_axes={layer: tuple(axes.values()) for layer, axes in self._axes.items()},
            readings=tuple(self._readings),
            group_of=group_of,
            channel_of=channel_of,
            opaque=tuple(self._opaque),
        )

    def _classes(self) -> np.ndarray:
        """Class number of every element."""
        first, second = (
            np.concatenate([np.empty(0, dtype=int), *(pair[side] for pair in self._pairs)])
            for side in (0, 1)
        )
        size = self._num_elements
        return components(first, second, size)

    def _grouped_classes(
        self, classes: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, list[list[int]]]:
        """Group and place in it of every class, and the producers of every group."""
        num_classes = int(classes.max(initial=-1)) + 1
        vectors = [classes[ids] for _, ids in self._producers.values()]
        sizes = [vector.size for vector in vectors]
        numbers = np.repeat(np.arange(len(vectors)), sizes)
        everything = np.concatenate([np.empty(0, dtype=int), *vectors])
        parts = components(numbers, len(vectors) + everything, len(vectors) + num_classes)
        members: dict[int, list[int]] = {}
        for number in range(len(vectors)):
            members.setdefault(int(parts[number]), []).append(number)
        group_of = np.full(num_classes, FIXED)
        channel_of = np.full(num_classes, FIXED)
        for group, indices in enumerate(members.values()):
            # The widest producer gives the order; channels that it lacks come after its own.
            ordered = sorted(indices, key=lambda index: -sizes[index])
            found = np.concatenate([vectors[index] for index in ordered])
            distinct, first_seen = np.unique(found, return_index=True)
            in_order = distinct[np.argsort(first_seen)]
            group_of[in_order] = group
            channel_of[in_order] = np.arange(in_order.size)
        return group_of, channel_of, list(members.values())

    def _reasons(self, group_of: np.ndarray, num_groups: int) -> list[str]:
        """First reason why each group is frozen; empty for those that are not."""
        reasons = [""] * num_groups
        for ids, reason in self._frozen:
            for group in np.unique(group_of[ids]):
                if group != FIXED and not reasons[group]:
                    reasons[group] = reason
        return reasons
