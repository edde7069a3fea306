"""Pruning the channels of a whole network, layer after layer, by reconstruction.

In the order of the network, for each layer:

1. rows X are sampled from the network as pruned so far, targets Y from the one before pruning;
2. where it reads channels up for choice, those that stay are chosen (`lasso.py`, or backward
   elimination in `least_squares.py`), one choice for all layers that read the group;
3. least squares refits its kernel on what it still reads (`least_squares.py`).

A recurrent layer's units are chosen when the layer itself is visited, by what the layers that read
them lose: without a unit the others change too, and the layers behind are refitted to that.

Until the end nothing is cut: dropped channels have zero kernel rows in every reader (units, also in
their own recurrent kernel), which computes the same as the network without them. So one network of
fixed shape serves all layers.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from learners.reconstruction.frontier import Frontier
from learners.reconstruction.lasso import channel_quadratic, largest, lasso_mask
from learners.reconstruction.least_squares import (
    ReaderMoments,
    backward_order,
    refit_kernel,
    relative_error,
)
from learners.reconstruction.readings import (
    Reading,
    find_readings,
    has_kernel,
    kernel_input_axes,
    read_axes,
)
from learners.reconstruction.sampling import Sampler
from learners.reconstruction.segments import cut
from learners.reconstruction.statistics import LayerStatistics, row_channels
from utils.graph import ChannelGroup, Graph, to_keras_with_tensors

MAX_TARGET_BYTES = 256 * 2**20  # targets of several layers that wait in memory at a time


@dataclasses.dataclass(frozen=True, kw_only=True)
class SelectionOptions:
    """How channels are chosen and kernels refitted.

    Attributes:
        criterion: `lasso`, or `backward` elimination.
        num_iterations: ISTA iterations for each lambda.
        refit_all: refit every layer behind a cut, not only those that lose inputs.
        compensate: layers at the end of a residual branch make up for the error of the shortcut.
    """

    criterion: str = "backward"
    num_iterations: int = 100
    refit_all: bool = True
    compensate: bool = True


@dataclasses.dataclass(frozen=True, kw_only=True)
class SelectionResult:
    """What came of a selection.

    Attributes:
        keep: group (or segment) name -> boolean [size], True = keep.
        graph: the network with refitted kernels, cut.
        errors: layer name -> relative squared error of its refitted output on the samples.
    """

    keep: Mapping[str, np.ndarray]
    graph: Graph
    errors: Mapping[str, float]


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
        self._sampler = sampler
        self._options = options
        self._on_layer = on_layer
        self._original = to_keras_with_tensors(graph)
        self._work, tensors = to_keras_with_tensors(graph)
        self._frontier = Frontier(graph, self._work, tensors, sampler.batches, sampler.num_images)
        visits = self._layers_to_visit()
        self._order = list(visits)
        refits = [name for name, is_refitted in visits.items() if is_refitted]
        self._readings = {
            reading.name: reading
            for reading in find_readings(graph, refits, compensate=options.compensate)
        }
        self._targets: dict[str, list[np.ndarray]] = {}
        self._rows_left = {
            name: np.ones(reading.item.kernel.shape[0], dtype=bool)
            for name, reading in self._readings.items()
        }

    def run(self) -> SelectionResult:
        """Go through the network."""
        keep: dict[str, np.ndarray] = {}
        errors: dict[str, float] = {}
        for done, name in enumerate(self._order, start=1):
            fresh: dict[str, LayerStatistics] = {}
            self._frontier.advance(name)
            for group in self._groups:
                if group.name not in keep and any(r.node == name for r in group.readers):
                    keep[group.name], fresh = self._choose(group)
                    self._drop(group, keep[group.name])
            if name in self._readings:
                # Rows dropped in this layer's own kernel leave its inputs as they were sampled.
                statistics = fresh.get(name) or self._statistics(name)
                errors[self._graph.node(name).layer] = self._refit(name, statistics)
                self._targets.pop(name, None)
            for group in self._groups:
                if group.name not in keep and any(loop.node == name for loop in group.loops):
                    keep[group.name], _ = self._choose(group)
                    self._drop(group, keep[group.name])
            self._on_layer(done, len(self._order), name)
        refitted = self._graph.replace(params=self._work_params())
        small = cut(refitted, self._groups, keep)
        return SelectionResult(keep=keep, graph=small, errors=errors)

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
            refits = self._options.refit_all and changed and has_kernel(self._graph, node)
            if refits or node.name in readers | loops:
                visited[node.name] = refits or node.name in readers
        return visited

    def _choose(self, group: ChannelGroup) -> tuple[np.ndarray, dict[str, LayerStatistics]]:
        """Choose a group's channels for all its readers together."""
        num_keep = self._counts[group.name]
        if num_keep == group.size:
            return np.ones(group.size, dtype=bool), {}
        names = [reader.node for reader in group.readers if reader.node in self._readings]
        fresh = {name: self._statistics(name) for name in names}
        if not fresh:  # nothing can be sampled: the channels with the largest kernel slices stay
            scores = self._kernel_norms(group)
            return _with_blocks(largest(scores, num_keep), scores, group), fresh
        choose = self._by_lasso if self._options.criterion == "lasso" else self._by_elimination
        mask, scores = choose(group, num_keep, fresh)
        return _with_blocks(mask, scores, group), fresh

    def _by_lasso(
        self, group: ChannelGroup, num_keep: int, fresh: Mapping[str, LayerStatistics]
    ) -> tuple[np.ndarray, np.ndarray]:
        quadratic, linear = np.zeros((group.size, group.size)), np.zeros(group.size)
        for name, moments, kernel, rows in self._moments(group, fresh):
            reading = self._readings[name]
            parts = channel_quadratic(moments, kernel, rows, group.size, centred=reading.centred)
            quadratic, linear = quadratic + parts[0], linear + parts[1]
        mask = lasso_mask(quadratic, linear, num_keep, num_iterations=self._options.num_iterations)
        return mask, np.diag(quadratic)

    def _by_elimination(
        self, group: ChannelGroup, num_keep: int, fresh: Mapping[str, LayerStatistics]
    ) -> tuple[np.ndarray, np.ndarray]:
        readers = [
            ReaderMoments(moments, rows, self._readings[name].centred, self._rows_left[name])
            for name, moments, _, rows in self._moments(group, fresh)
        ]
        scores = np.empty(group.size)
        scores[backward_order(readers, group.size)] = np.arange(group.size)
        return largest(scores, num_keep), scores

    def _moments(
        self, group: ChannelGroup, fresh: Mapping[str, LayerStatistics]
    ) -> list[tuple[str, LayerStatistics, np.ndarray, np.ndarray]]:
        """Give, for each sampled reader, its name, moments, kernel and rows, outputs weighted."""
        found = []
        for reader in group.readers:
            if reader.node not in fresh:
                continue
            reading = self._readings[reader.node]
            kernel = reading.item.kernel * self._rows_left[reader.node][:, None]
            rows = row_channels(reader.channels, reading.item.layer.num_positions)
            moments = fresh[reader.node].weighted(reading.weights)
            found.append((reader.node, moments, kernel * reading.weights, rows))
        return found

    def _statistics(self, name: str) -> LayerStatistics:
        if name not in self._targets:
            self._sample_targets(name)
        reading = self._readings[name]
        wanted = [reading.source, *([reading.shortcut] if reading.shortcut else [])]
        model = self._frontier.submodel(wanted)
        return self._sampler.statistics(reading.item, model, self._frontier, self._targets[name])

    def _sample_targets(self, first: str) -> None:
        """Sample the targets of a layer and of as many after it as fit in memory, in one pass."""
        names = list(self._readings)
        chosen: list[Reading] = []
        size = 0
        for name in names[names.index(first) :]:
            size += (
                self._sampler.num_images
                * self._sampler.num_positions
                * self._readings[name].item.kernel.shape[1]
                * 4
            )
            if chosen and size > MAX_TARGET_BYTES:
                break
            if name not in self._targets:
                chosen.append(self._readings[name])
        wanted = [reading.source for reading in chosen]
        wanted += [reading.total for reading in chosen if reading.total is not None]
        model, tensors = self._original
        part = keras.Model(model.inputs, [tensors[ref] for ref in wanted])
        targets = self._sampler.targets([reading.item for reading in chosen], part)
        self._targets |= zip((reading.name for reading in chosen), targets, strict=True)

    def _drop(self, group: ChannelGroup, mask: np.ndarray) -> None:
        """Zero the kernel rows of the dropped channels in every reader and loop of a group."""
        for layer, weight, axis, channels in read_axes(self._graph, group):
            variable = self._weight(layer, weight)
            kernel = np.array(variable)
            np.moveaxis(kernel, axis, 0)[_dropped(channels, mask)] = 0.0
            variable.assign(kernel)
        for reader in group.readers:
            if reader.node in self._readings:
                positions = self._readings[reader.node].item.layer.num_positions
                self._rows_left[reader.node] &= ~np.tile(_dropped(reader.channels, mask), positions)

    def _refit(self, name: str, statistics: LayerStatistics) -> float:
        reading = self._readings[name]
        kernel, offset = refit_kernel(
            statistics, reading.item.kernel, self._rows_left[name], centred=reading.centred
        )
        layer = self._graph.node(name).layer
        refitted = reading.refitted(
            layer, kernel, offset, lambda *key: np.array(self._weight(*key))
        )
        for key, value in refitted.items():
            self._weight(*key).assign(value)
        return relative_error(statistics, kernel, centred=reading.centred)

    def _weight(self, layer: str, name: str) -> Any:
        place = list(self._graph.params[layer]).index(name)  # in Keras' own order
        return self._work.get_layer(layer).weights[place]

    def _kernel_norms(self, group: ChannelGroup) -> np.ndarray:
        norms = np.zeros(group.size)
        for reader in group.readers:
            node = self._graph.node(reader.node)
            chosen = reader.channels >= 0
            for weight, axis in kernel_input_axes(self._graph, node):
                kernel = np.moveaxis(self._graph.params[node.layer][weight], axis, 0)
                sums = np.sum(kernel.reshape(kernel.shape[0], -1) ** 2, axis=1)
                np.add.at(norms, reader.channels[chosen], sums[chosen])
        return norms

    def _work_params(self) -> dict[str, dict[str, np.ndarray]]:
        return {
            layer: {name: np.asarray(self._weight(layer, name)) for name in arrays}
            for layer, arrays in self._graph.params.items()
        }


def _dropped(channels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Say which indices of an axis, given the channel of each (-1: none), are dropped."""
    return (channels >= 0) & ~mask[np.maximum(channels, 0)]


def _with_blocks(mask: np.ndarray, scores: np.ndarray, group: ChannelGroup) -> np.ndarray:
    """Swap channels so that each of the group's blocks keeps one: no tensor may become empty."""
    for block in group.blocks:
        if not mask[block].any():
            mask = mask.copy()
            mask[block[np.argmax(scores[block])]] = True
            spare = [
                channel
                for channel in np.flatnonzero(mask)
                if all(mask[other].sum() > 1 or channel not in other for other in group.blocks)
            ]
            if spare:
                mask[min(spare, key=lambda channel: scores[channel])] = False
    return mask
