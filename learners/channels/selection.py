"""Pruning the channels of a whole network, layer after layer, by reconstruction.

On the walk through the network (`learners/reconstruction/walk.py`), at each layer:

1. where it reads channels up for choice, those that stay are chosen by a criterion (`criteria.py`),
   one choice for all layers that read the group;
2. least squares refits its kernel on what it still reads.

A recurrent layer's units are chosen when the layer itself is visited, by what the layers that read
them lose: without a unit the others change too, and the layers behind are refitted to that.

Until the end nothing is cut: dropped channels have zero kernel rows in every reader (units, also in
their own recurrent kernel), which computes the same as the network without them.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np

from learners.channels.axes import dropped, read_axes
from learners.channels.blocks import best_channels
from learners.channels.criteria import Criterion, GroupReader, backward_scores
from learners.channels.segments import cut
from learners.reconstruction.least_squares import ReaderMoments, refit_kernel
from learners.reconstruction.sampling import Sampler
from learners.reconstruction.statistics import LayerStatistics, row_channels
from learners.reconstruction.walk import Walk
from utils.graph import ChannelGroup, Graph, ops


class Refit(Protocol):
    """Solves for the kernel rows that stay; arguments and result are those of `refit_kernel`."""

    def __call__(
        self,
        statistics: LayerStatistics,
        kernel: np.ndarray,
        kept_rows: np.ndarray,
        *,
        centred: bool,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Solve."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SelectionOptions:
    """How channels are chosen and kernels refitted.

    Attributes:
        criterion: scores the channels of a group.
        num_iterations: of a criterion that iterates.
        refit_all: refit every layer behind a cut, not only those that lose inputs.
        compensate: layers at the end of a residual branch make up for the error of the shortcut.
        refit: gives a layer's kernel on the rows that stay, see `refit_kernel`.
        fit_classes: then fit a classifier's last layer to its classes, see `classes.py` there.
    """

    criterion: Criterion = backward_scores
    num_iterations: int = 100
    refit_all: bool = True
    compensate: bool = True
    refit: Refit = refit_kernel
    fit_classes: bool = True


@dataclasses.dataclass(frozen=True, kw_only=True)
class SelectionResult:
    """What came of a selection.

    Attributes:
        keep: group (or segment) name -> boolean [size], True = keep.
        graph: the network with refitted kernels, cut.
        errors: layer name -> relative squared error of its refitted output on the samples.
        scarce: layer name -> (rows sampled, inputs of an output), where the rows are fewer: what
            minimizes the error is not settled there.
    """

    keep: Mapping[str, np.ndarray]
    graph: Graph
    errors: Mapping[str, float]
    scarce: Mapping[str, tuple[int, int]] = dataclasses.field(default_factory=dict)


class ChannelSelection:
    """Chooses and refits, see the module.

    Args:
        graph: the network before pruning.
        groups: the groups to prune, split into segments.
        counts: group name -> channels that stay.
        sampler: the images.
        options: how.
        on_layer: called with (layers done, layers in all, name) after each layer.
    """

    def __init__(
        self,
        graph: Graph,
        groups: Sequence[ChannelGroup],
        counts: Mapping[str, int],
        sampler: Sampler,
        *,
        options: SelectionOptions,
        on_layer: Callable[[int, int, str], None] = lambda done, total, name: None,
    ) -> None:
        self._graph = graph
        self._groups = groups
        self._counts = counts
        self._options = options
        self._walk = Walk(
            graph,
            self._layers_to_visit(),
            sampler,
            compensate=options.compensate,
            on_layer=on_layer,
        )
        self._scarce: dict[str, tuple[int, int]] = {}
        self._rows_left = {
            name: np.ones(reading.item.kernel.shape[0], dtype=bool)
            for name, reading in self._walk.readings.items()
        }

    def run(self) -> SelectionResult:
        """Go through the network."""
        keep: dict[str, np.ndarray] = {}
        errors: dict[str, float] = {}
        for name in self._walk:
            for group in self._groups:
                if group.name not in keep and any(r.node == name for r in group.readers):
                    keep[group.name] = self._chosen(group)
                    self._drop(group, keep[group.name])
            if name in self._walk.readings:
                refit = functools.partial(self._options.refit, kept_rows=self._rows_left[name])
                errors[self._graph.node(name).layer] = self._walk.solve(
                    name, refit, is_free=self._options.fit_classes
                )
            for group in self._groups:
                if group.name not in keep and any(loop.node == name for loop in group.loops):
                    keep[group.name] = self._chosen(group)
                    self._drop(group, keep[group.name])
        refitted = self._graph.replace(params=self._walk.params())
        small = cut(refitted, self._groups, keep)
        return SelectionResult(keep=keep, graph=small, errors=errors, scarce=self._scarce)

    def _layers_to_visit(self) -> dict[str, bool]:
        """Give the layers that a cut concerns, in order; True for those that may be refitted."""
        pruned = [group for group in self._groups if self._counts[group.name] < group.size]
        readers = {reader.node for group in pruned for reader in group.readers}
        loops = {loop.node for group in pruned for loop in group.loops}
        visited: dict[str, bool] = {}
        behind: set[str] = set()
        for node in self._graph.nodes:
            changed = any(ref.node in behind for ref in node.inputs)
            if changed or node.name in readers | loops:
                behind.add(node.name)
            row = ops.find(self._graph, node)
            refits = self._options.refit_all and row is not None and row.window is not None
            if node.name in readers | loops or (changed and refits):
                visited[node.name] = node.name in readers or (changed and refits)
        return visited

    def _chosen(self, group: ChannelGroup) -> np.ndarray:
        """Choose a group's channels for all its readers together."""
        num_keep = self._counts[group.name]
        if num_keep == group.size:
            return np.ones(group.size, dtype=bool)
        readers = self._readers(group)
        if readers:
            scores = self._options.criterion(
                readers, group.size, num_keep, num_iterations=self._options.num_iterations
            )
        else:  # nothing can be sampled: the channels with the largest kernel slices stay
            scores = self._kernel_norms(group)
        return best_channels(scores, num_keep, group)

    def _readers(self, group: ChannelGroup) -> list[GroupReader]:
        """Give each reader that can be sampled, outputs weighted."""
        found = []
        for reader in group.readers:
            if reader.node not in self._walk.readings:
                continue
            reading, left = self._walk.readings[reader.node], self._rows_left[reader.node]
            statistics = self._walk.statistics(reader.node)
            if statistics.count < left.sum():
                layer = self._graph.node(reader.node).layer
                self._scarce[layer] = round(statistics.count), int(left.sum())
            moments = ReaderMoments(
                statistics.weighted(reading.weights),
                row_channels(reader.channels, reading.item.window.num_positions),
                reading.centred,
                left,
            )
            plain = reading.item.kernel * left[:, None]
            found.append(GroupReader(moments, plain * reading.weights, plain))
        return found

    def _drop(self, group: ChannelGroup, mask: np.ndarray) -> None:
        """Zero the kernel rows of the dropped channels in every reader and loop of a group."""
        for layer, weight, axis, channels in read_axes(self._graph, group):
            self._walk.zero(layer, weight, axis, dropped(channels, mask))
        for reader in group.readers:
            if reader.node in self._walk.readings:
                positions = self._walk.readings[reader.node].item.window.num_positions
                gone = np.tile(dropped(reader.channels, mask), positions)
                self._rows_left[reader.node] &= ~gone

    def _kernel_norms(self, group: ChannelGroup) -> np.ndarray:
        norms = np.zeros(group.size)
        for reader in group.readers:
            node = self._graph.node(reader.node)
            chosen = reader.channels >= 0
            for weight, axis in ops.input_axes(self._graph, node):
                kernel = np.moveaxis(self._graph.params[node.layer][weight], axis, 0)
                sums = np.sum(kernel.reshape(kernel.shape[0], -1) ** 2, axis=1)
                np.add.at(norms, reader.channels[chosen], sums[chosen])
        return norms


def halved(graph: Graph, groups: Sequence[ChannelGroup]) -> Graph:
    """Cut groups to the first half of their channels: a network of the kind a selection leaves.

    Args:
        graph: the network.
        groups: the groups (or segments) to cut.

    Returns:
        The smaller network, nothing refitted.
    """
    keep = {}
    for group in groups:
        scores = -np.arange(group.size, dtype=float)
        keep[group.name] = best_channels(scores, -(-group.size // 2), group)
    return cut(graph, groups, keep)
