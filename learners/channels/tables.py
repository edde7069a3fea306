"""What every roll-out looks up: per layer, which channels go first and the refitted kernel.

Computed once, on the uncut network: one pass over the images gives each reading layer's second
moments, the moments an order of the channels, and for any count the least-squares kernel is one
Cholesky solve. (The winner is selected anew, layer by layer, on the network as cut so far.)
"""

import collections
from collections.abc import Mapping, Sequence

import keras
import numpy as np

from learners.channels.lasso import channel_quadratic, ista
from learners.reconstruction.least_squares import ReaderMoments, backward_order, refit_kernel
from learners.reconstruction.readings import Reading, find_readings
from learners.reconstruction.sampling import Sampler
from learners.reconstruction.statistics import LayerStatistics, row_channels
from utils.graph import ChannelGroup, Graph, to_keras_with_tensors

MAX_CACHED_BYTES = 256 * 2**20
PATH_POINTS = 100  # lambdas of the LASSO path
PATH_SPAN = 1e4  # the largest over the smallest


class ChannelTables:
    """Orders and refitted kernels of a network; see the module.

    Args:
        graph: the whole network.
        groups: the groups (or segments) that are chosen for.
        sampler: the images.
        criterion: what orders the channels: `lasso` (its path) or `backward` elimination.

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
                    positions = self.readings[reader.node].item.layer.num_positions
                    rows = row_channels(reader.channels, positions)
                    self._rows[reader.node][group.name] = rows
        ordered = _lasso_order if criterion == "lasso" else _backward_order
        self._orders = {group.name: ordered(self._readers(group), group.size) for group in groups}
        self._cache = _Cache()

    def mask(self, group: str, count: int) -> np.ndarray:
        """Say which channels stay when `count` of a group do: boolean [size], True = keep."""
        mask = np.zeros(self._groups[group].size, dtype=bool)
        mask[self._orders[group][mask.size - count :]] = True
        return mask

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

    def _readers(self, group: ChannelGroup) -> list[tuple[Reading, LayerStatistics, np.ndarray]]:
        """Give each layer that reads a group, with its weighted moments and rows."""
        found = []
        for name, rows in self._rows.items():
            if group.name in rows:
                reading = self.readings[name]
                moments = self._statistics[name].weighted(reading.weights)
                found.append((reading, moments, rows[group.name]))
        return found


def _backward_order(
    readers: Sequence[tuple[Reading, LayerStatistics, np.ndarray]], size: int
) -> np.ndarray:
    if not readers:
        return np.arange(size)[::-1]
    moments = [ReaderMoments(stats, rows, reading.centred) for reading, stats, rows in readers]
    return backward_order(moments, size)


def _lasso_order(
    readers: Sequence[tuple[Reading, LayerStatistics, np.ndarray]], size: int
) -> np.ndarray:
    quadratic, linear = np.zeros((size, size)), np.zeros(size)
    for reading, stats, rows in readers:
        kernel = reading.item.kernel * reading.weights
        parts = channel_quadratic(stats, kernel, rows, size, centred=reading.centred)
        quadratic, linear = quadratic + parts[0], linear + parts[1]
    return lasso_path_order(quadratic, linear)


def lasso_path_order(quadratic: np.ndarray, linear: np.ndarray) -> np.ndarray:
    """Order channels by the lambda at which the LASSO path leaves them out for good.

    Args:
        quadratic: A, float64 [C, C], see `ista`.
        linear: b, float64 [C].

    Returns:
        int [C]: the channels, those that leave first in front; where several leave between two
        lambdas, the one with the least contribution `|beta_i| sqrt(A_ii)` before.

    Example:
        >>> lasso_path_order(np.eye(3), np.array([0.2, 3.0, 1.0]))
        array([0, 2, 1])
    """
    top = max(float(np.max(np.abs(linear))), np.finfo(float).tiny)
    leaves = np.zeros(linear.size)
    contribution = np.zeros(linear.size)
    scale = np.sqrt(np.maximum(np.diag(quadratic), 0.0))
    beta = np.ones(linear.size)
    for number, penalty in enumerate(np.geomspace(top / PATH_SPAN, top, PATH_POINTS), start=1):
        beta = ista(quadratic, linear, penalty, start=beta, num_iterations=100)
        alive = beta != 0
        leaves[alive] = number
        contribution[alive] = (np.abs(beta) * scale)[alive]
    return np.lexsort((contribution, leaves))


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
