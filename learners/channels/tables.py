"""What every roll-out looks up: per layer, which channels go first and the refitted kernel.

Computed once, on the uncut network: one pass over the images gives each reading layer's second
moments, the moments an order of the channels, and for any count the least-squares kernel is one
Cholesky solve. (The winner is selected anew, layer by layer, on the network as cut so far.)
"""

import collections
from collections.abc import Mapping, Sequence

import keras
import numpy as np

from learners.channels.criteria import CRITERIA, Criterion, GroupReader
from learners.reconstruction.least_squares import ReaderMoments, refit_kernel
from learners.reconstruction.nested import nested_errors
from learners.reconstruction.readings import find_readings
from learners.reconstruction.sampling import Sampler
from learners.reconstruction.statistics import LayerStatistics, row_channels
from utils.graph import ChannelGroup, Graph, to_keras_with_tensors

MAX_CACHED_BYTES = 256 * 2**20


class ChannelTables:
    """Orders and refitted kernels of a network; see the module.

    Args:
        graph: the whole network.
        groups: the groups (or segments) that are chosen for.
        sampler: the images.
        criterion: what orders the channels: a row of `criteria.CRITERIA`.

    Attributes:
        readings: reading layers that can be refitted, by node.
    """

    def __init__(
        self,
        graph: Graph,
        groups: Sequence[ChannelGroup],
        sampler: Sampler,
        *,
        criterion: str = "backward",
    ) -> None:
        self._groups = {group.name: group for group in groups}
        order = {node.name: index for index, node in enumerate(graph.nodes)}
        names = {reader.node for group in groups for reader in group.readers}
        readings = find_readings(graph, sorted(names, key=order.__getitem__), compensate=False)
        self.readings = {reading.name: reading for reading in readings}
        self._statistics = self._sampled(graph, sampler)
        # Reading layer -> the groups it reads and, of each, the channel of every kernel row.
        self._rows: dict[str, dict[str, np.ndarray]] = {name: {} for name in self.readings}
        for group in groups:
            for reader in group.readers:
                if reader.node in self._rows:
                    positions = self.readings[reader.node].item.window.num_positions
                    rows = row_channels(reader.channels, positions)
                    self._rows[reader.node][group.name] = rows
        self._orders = {group.name: self._order(group, CRITERIA[criterion]) for group in groups}
        self._cache = _Cache()

    def mask(self, group: str, count: int) -> np.ndarray:
        """Say which channels stay when `count` of a group do: boolean [size], True = keep."""
        mask = np.zeros(self._groups[group].size, dtype=bool)
        mask[self._orders[group][mask.size - count :]] = True
        return mask

    def errors(self, group: str) -> np.ndarray:
        """Say how wrong a group's readers get, refitted, by how many of its channels stay.

        Args:
            group: its name.

        Returns:
            float64 [size]: for 1, 2, … all channels the relative squared errors of its readers'
            outputs, summed; 0 for all. Where no reader can be sampled the share that is dropped.
        """
        order, readers = self._orders[group], self._readers(self._groups[group])
        if not readers:
            return 1.0 - np.arange(1, order.size + 1) / order.size
        errors = np.sum([nested_errors(each.moments, order)[1:] for each in readers], axis=0)
        return np.maximum(errors - errors[-1], 0.0)

    def refit(self, name: str, counts: Mapping[str, int]) -> tuple[np.ndarray, np.ndarray]:
        """Look up a reading layer's kernel at given counts.

        Args:
            name: its node.
            counts: group name -> channels that stay.

        Returns:
            float32 [P, O], zero in the rows of dropped channels, and the offset [O] that is to be
            added to the layer's output.
        """
        key = (name, *(counts[group] for group in self._rows[name]))
        found = self._cache.get(key)
        if found is None:
            reading = self.readings[name]
            kept = np.ones(reading.item.kernel.shape[0], dtype=bool)
            for group, rows in self._rows[name].items():
                kept &= (rows < 0) | self.mask(group, counts[group])[rows]
            if kept.all():
                found = (reading.item.kernel, np.zeros(reading.item.kernel.shape[1], np.float32))
            else:
                kernel, offset = refit_kernel(
                    self._statistics[name], reading.item.kernel, kept, centred=reading.centred
                )
                found = (kernel.astype(np.float32), offset.astype(np.float32))
            self._cache.put(key, found)
        return found

    def _sampled(self, graph: Graph, sampler: Sampler) -> dict[str, LayerStatistics]:
        if not self.readings:
            return {}
        model, tensors = to_keras_with_tensors(graph)
        sources = [tensors[reading.source] for reading in self.readings.values()]
        items = [reading.item for reading in self.readings.values()]
        found = sampler.own_statistics(items, keras.Model(model.inputs, sources))
        return dict(zip(self.readings, found, strict=True))

    def _order(self, group: ChannelGroup, criterion: Criterion) -> np.ndarray:
        """Order a group's channels, the first to go in front."""
        readers = self._readers(group)
        if not readers:
            return np.arange(group.size)[::-1]
        return np.argsort(criterion(readers, group.size, None), kind="stable")

    def _readers(self, group: ChannelGroup) -> list[GroupReader]:
        """Give each layer that reads a group and can be sampled."""
        found = []
        for name, rows in self._rows.items():
            if group.name in rows:
                reading = self.readings[name]
                moments = self._statistics[name].weighted(reading.weights)
                plain = reading.item.kernel
                reader = ReaderMoments(moments, rows[group.name], reading.centred)
                found.append(GroupReader(reader, plain * reading.weights, plain))
        return found


class _Cache:
    """The kernels looked up last, up to a number of bytes."""

    def __init__(self) -> None:
        self._items: collections.OrderedDict[tuple, tuple[np.ndarray, np.ndarray]] = (
            collections.OrderedDict()
        )
        self._bytes = 0

    def get(self, key: tuple) -> tuple[np.ndarray, np.ndarray] | None:
        if key in self._items:
            self._items.move_to_end(key)
        return self._items.get(key)

    def put(self, key: tuple, value: tuple[np.ndarray, np.ndarray]) -> None:
        self._items[key] = value
        self._bytes += sum(array.nbytes for array in value)
        while self._bytes > MAX_CACHED_BYTES and len(self._items) > 1:
            _, old = self._items.popitem(last=False)
            self._bytes -= sum(array.nbytes for array in old)
