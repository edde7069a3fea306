"""What every choice costs: error and bytes, each part of the network by itself, on one walk.

Errors are squared errors of the network's outputs, per image: those of a layer's outputs weighted
by J^T J (`learners/reconstruction/importance.py`), at a few choices measured (`meter.py`). So those
of different layers, and of channels, zeros and bits, are in one unit and add up, as far as they are
small and do not know of each other.

- Channels: of each group those go first that its readers make up for best, all readers together
  (`eliminate_together`): one pass gives the order and the error at every width.
- Zeros: one elimination per layer and pattern gives the error at every share.
- Bits: the kernel rounded row by row. With zeros what rounding adds is taken at one number of bits;
  at others it is in proportion to that without zeros.

Reference:
    The weighting is that of HAWQ-V2 (Dong et al., NeurIPS 2020, arXiv:1911.03852), the separable
    objective that of Frantar & Alistarh, "SPDY", ICML 2022, arXiv:2201.13096. Departs from both:
    errors are of kernels whose other weights make up for what is gone, and measured where a few
    runs of the network can say them.
"""

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from learners.auto.build import visited
from learners.auto.meter import Meter, Weight
from learners.auto.offers import DENSE, Offer, Option
from learners.auto.places import Places
from learners.auto.sizes import kernel_bytes
from learners.auto.solving import Grids, on_grid
from learners.kernels.layers import KernelLayer, layers_by_node
from learners.kernels.tables import Moments
from learners.low_bits.coding import Code
from learners.low_bits.rounding import PULL
from learners.low_bits.start import nearest_values
from learners.reconstruction.elimination import Reader, eliminate_together
from learners.reconstruction.importance import Importance
from learners.reconstruction.readings import Reading
from learners.reconstruction.rounding import settle_in_order
from learners.reconstruction.sampling import Sampler
from learners.reconstruction.statistics import LayerStatistics, row_channels
from learners.reconstruction.walk import Walk
from learners.search.calibration import along
from learners.sparsity.masks import parse_granularity
from learners.sparsity.obs import LEAST_WEIGHT, thinned
from utils.graph import ChannelGroup, Ref

PROBED_BITS = 3  # at which rounding is looked at together with zeros
MEASURED_BITS = (2, 3, 5)  # at which errors of rounding are measured
MEASURED_PERCENTS = (60, 30)  # likewise of zeros
_LITTLE = 1e-3
MEASURED_SHARES = (0.25, 0.5, 0.75)  # of the channels of a group, gone
MAX_WORK = 1e9  # layers beyond share one inverse among their outputs, see `thinned`


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class GroupTable:
    """What it costs to let channels of a group go.

    Attributes:
        order: int [size], which goes first, second, …
        errors: float64 [size + 1], by how many are gone; 0 for none.
    """

    order: np.ndarray
    errors: np.ndarray

    def mask(self, width: int) -> np.ndarray:
        """Say which channels stay when so many do, boolean [size]."""
        mask = np.ones(self.order.size, bool)
        mask[self.order[: self.order.size - width]] = False
        return mask

    def error(self, width: int) -> float:
        """Give the error of a width."""
        return float(self.errors[self.order.size - width])


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class LayerTable:
    """What a layer's options cost.

    Attributes:
        options: what it may be given.
        zeros: float64 [options], the error that zeros alone make.
        rounding: float64 [options], what rounding adds.
        bytes: float64 [options], of the kernel in the file.
    """

    options: tuple[Option, ...]
    zeros: np.ndarray
    rounding: np.ndarray
    bytes: np.ndarray


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Tables:
    """All of a network.

    Attributes:
        groups: by name; of groups whose readers can be sampled.
        layers: by name.
        importance: what errors count, by node.
    """

    groups: Mapping[str, GroupTable]
    layers: Mapping[str, LayerTable]
    importance: Mapping[str, Importance]


def measure(
    places: Places,
    offer: Offer,
    sampler: Sampler,
    *,
    others: Iterable[Any] | None = None,
    on_layer: Callable[[int, int, str], None] = lambda done, total, name: None,
) -> Tables:
    """Walk through the network once.

    Args:
        places: what is up for choice.
        offer: what may be chosen.
        sampler: the images.
        others: batches of other images, on which errors are measured: what fits the samples by
            chance shows there. None = the same.
        on_layer: see `Walk`.

    Returns:
        The tables.
    """
    graph, by_node = places.graph, layers_by_node(places.layers)
    walk = Walk(graph, visited(places), sampler, compensate=False, weighted=True, on_layer=on_layer)
    meter, coding = Meter(graph, sampler.batches if others is None else others), Grids(offer.grid)
    groups = _Groups(places.groups, walk.readings)
    layers: dict[str, LayerTable] = {}
    for node in walk:
        reading = walk.readings.get(node)
        seen = None
        if reading is not None and (node in by_node or groups.wants(node)):
            # From the sum over the sampled places to that over all of an image; time steps of an
            # open number count as one.
            num_places = math.prod(size or 1 for size in graph.shape(Ref(node))[1:-1])
            seen = _Seen(
                reading, walk.statistics(node), walk.output_weights(node), num_places, meter
            )
            groups.add(node, seen)
        for layer in by_node.get(node, ()):
            kernel = layer.matrix(graph.params)
            if seen is None or seen.reading.kernels != layer.weights:
                layers[layer.name] = _unsampled(layer, kernel, offer, coding)
            else:
                layers[layer.name] = _Layer(layer, kernel, seen, offer, coding).table()
    return Tables(groups=groups.tables, layers=layers, importance=walk.importance)


class _Seen:
    """What was sampled of a layer.

    Args:
        reading: how it stands in the network.
        statistics: its moments.
        weights: float [O], what an error in each output counts.
        num_places: positions of its output.
        meter: runs the network.

    Attributes:
        reading: as given.
        moments: its moments.
        unit: from the sum over the samples to the sum over one image.
    """

    def __init__(
        self,
        reading: Reading,
        statistics: LayerStatistics,
        weights: np.ndarray,
        num_places: int,
        meter: Meter,
    ) -> None:
        self.reading = reading
        self.moments = Moments.of(statistics, centred=reading.centred, weights=weights)
        self.unit = num_places / statistics.count
        self._statistics, self._meter = statistics, meter

    def derived(self, kernel: np.ndarray) -> float:
        """Give the error of the network's outputs to first order, of a kernel [P, O]."""
        return self.unit * self.moments.energy * self.moments.error(kernel)

    def changes(self, kernel: np.ndarray) -> dict[Weight, np.ndarray]:
        """Say which weights a kernel [P, O] changes."""
        offset = self._statistics.offset(kernel, self.reading.centred)
        return self.reading.refitted(kernel.astype(np.float32), offset, self._meter.value)

    def measured(self, kernel: np.ndarray) -> float:
        """Measure the error of the network's outputs with a kernel [P, O]."""
        return self._meter.error(self.changes(kernel))

    def measured_together(self, changes: Mapping[Weight, np.ndarray]) -> float:
        """Measure the error with the kernels of several layers changed."""
        return self._meter.error(changes)


class _Groups:
    """Collects what the readers of groups say, and lets channels go once all have spoken."""

    def __init__(self, groups: Sequence[ChannelGroup], readings: Mapping[str, Reading]) -> None:
        self.tables: dict[str, GroupTable] = {}
        self._waiting = {
            group.name: (group, {r.node for r in group.readers if r.node in readings})
            for group in groups
        }
        self._readers: dict[str, list[tuple[Reader, _Seen]]] = {}

    def wants(self, node: str) -> bool:
        """Whether a layer reads a group that waits for it."""
        return any(node in nodes for _, nodes in self._waiting.values())

    def add(self, node: str, seen: _Seen) -> None:
        """Take a reader's moments."""
        moments = seen.moments
        for name, (group, nodes) in list(self._waiting.items()):
            if node not in nodes:
                continue
            channels = next(reader.channels for reader in group.readers if reader.node == node)
            found = Reader(
                moments.gram,
                moments.cross * _told_apart(moments.weights),
                row_channels(channels, seen.reading.item.window.num_positions),
                1.0 / seen.unit,
            )
            self._readers.setdefault(name, []).append((found, seen))
            nodes.discard(node)
            if not nodes:
                del self._waiting[name]
                self.tables[name] = _group_table(self._readers.pop(name), group.size)


def _told_apart(weights: np.ndarray) -> np.ndarray:
    """Let every output count a little, so that its kernel can be told from what it is weighted."""
    most = float(weights.max(initial=0.0))
    return np.maximum(weights, LEAST_WEIGHT * most) if most > 0 else np.ones(weights.shape)


def _group_table(readers: Sequence[tuple[Reader, _Seen]], size: int) -> GroupTable:
    found = eliminate_together([reader for reader, _ in readers], size)
    errors = np.sum(
        [each.errors[0] / reader.energy for each, (reader, _) in zip(found, readers, strict=True)],
        axis=0,
    )
    errors = np.maximum.accumulate(errors)
    gone = sorted({round(share * size) for share in MEASURED_SHARES} - {0, size})
    rises = []
    for number in gone:
        changes: dict[Weight, np.ndarray] = {}
        for each, (_, seen) in zip(found, readers, strict=True):
            weights = _told_apart(seen.moments.weights)
            changes |= seen.changes(each.kernel_at(number) / weights)
        rises.append(readers[0][1].measured_together(changes))
    course = _rising(errors, np.arange(size + 1) / size)
    measured = along(course, course[gone], np.array(rises)) if gone else errors
    return GroupTable(order=found[0].order[0], errors=measured)


def _rising(derived: np.ndarray, course: np.ndarray) -> np.ndarray:
    """Let errors rise, if only a little, along a course in [0, 1].

    Where a layer has more inputs than samples were taken, anything can be made up for, as far as
    the samples say, and all errors are zero: then what is measured is interpolated along that.
    """
    return derived + _LITTLE * max(float(derived.max()), np.finfo(float).eps) * course


class _Layer:
    """One layer whose moments are known."""

    def __init__(
        self,
        layer: KernelLayer,
        kernel: np.ndarray,
        seen: _Seen,
        offer: Offer,
        coding: Grids,
    ) -> None:
        self._layer, self._kernel, self._seen = layer, kernel, seen
        self._offer, self._coding = offer, coding
        self._bits = sorted({option.bits for option in offer.options})
        self._dense = {bits: self._rounded(kernel, bits) for bits in self._bits}
        derived = np.array([self._dense[bits][0] for bits in self._bits])
        probed = [place for place, bits in enumerate(self._bits) if bits in MEASURED_BITS]
        rises = np.array([seen.measured(self._dense[self._bits[place]][1]) for place in probed])
        if probed:
            course = _rising(derived, 4.0 ** -np.array(self._bits, float))
            derived = along(course, course[probed], rises)
        self._added = dict(zip(self._bits, derived.tolist(), strict=True))

    def table(self) -> LayerTable:
        """Go through the options."""
        rows = list(self._rows())
        options, zeros, rounding, sizes = zip(*rows, strict=True)
        return LayerTable(
            options=options,
            zeros=np.array(zeros),
            rounding=np.array(rounding),
            bytes=np.array(sizes),
        )

    def _rows(self) -> Iterator[tuple[Option, float, float, float]]:
        for option in self._offer.options:
            if option.pattern == DENSE:
                stored = self._bytes(option, self._dense[option.bits][1])
                yield option, 0.0, self._added[option.bits], stored
        for pattern in dict.fromkeys(option.pattern for option in self._offer.options):
            if pattern != DENSE and not self._layer.is_depthwise:
                yield from self._with_zeros(pattern)

    def _with_zeros(self, pattern: str) -> Iterator[tuple[Option, float, float, float]]:
        grain = parse_granularity(pattern)
        own = [option for option in self._offer.options if option.pattern == pattern]
        if grain.why_not(self._layer):
            return
        counts = {option.count(self._layer.size): option.percent for option in own}
        probed = min(self._bits, key=lambda bits: abs(bits - PROBED_BITS))
        found = dict(
            thinned(
                self._seen.moments,
                self._kernel,
                self._layer,
                list(counts),
                grain,
                max_work=MAX_WORK,
            )
        )
        derived = np.array([self._seen.derived(kernel) for kernel in found.values()])
        percents = [counts[count] for count in found]
        places = [p for p, percent in enumerate(percents) if percent in MEASURED_PERCENTS] or [-1]
        kernels = list(found.values())
        rises = np.array([self._seen.measured(kernels[place]) for place in places])
        course = _rising(derived, 1.0 - np.array(percents) / 100)
        zeros = along(course, course[places], rises)
        for place, kernel in enumerate(kernels):
            error = self._rounded(kernel, probed, self._dense[probed][2])[0]
            added = max(error - derived[place], 0.0)
            share = added / max(self._dense[probed][0], np.finfo(float).tiny)
            for option in own:
                if option.percent == percents[place]:
                    stored = self._bytes(option, kernel)
                    yield option, zeros[place], share * self._added[option.bits], stored

    def _rounded(
        self, kernel: np.ndarray, bits: int, code: Code | None = None
    ) -> tuple[float, np.ndarray, Code]:
        """Round row by row, zeros staying zeros: the error, the kernel, and its grids."""
        if code is None:
            code = self._coding.fit(self._layer, kernel, bits, np.diag(self._seen.moments.gram))
        settled, _ = settle_in_order(
            self._seen.moments.gram,
            self._seen.moments.cross,
            _target(code, kernel),
            kernel=kernel,
            pull=PULL,
        )
        return self._seen.derived(settled), on_grid(self._layer, code, settled), code

    def _bytes(self, option: Option, kernel: np.ndarray) -> float:
        """Count the bytes of a kernel, rounded to the nearest points of the grids without zeros."""
        code = self._dense[option.bits][2]
        return kernel_bytes(nearest_values(kernel, code), self._layer, self._offer, option)


def _target(code: Code, kernel: np.ndarray) -> Callable[..., np.ndarray]:
    """Give the nearest values, zeros where a kernel has them."""
    if kernel.all():
        return code.nearest
    present = kernel != 0
    return lambda values, rows, outputs: np.where(
        present[rows, outputs], code.nearest(values, rows, outputs), 0.0
    )


def _unsampled(layer: KernelLayer, kernel: np.ndarray, offer: Offer, coding: Grids) -> LayerTable:
    """Leave a layer whose inputs cannot be sampled at the most bits: nothing is known of errors."""
    bits = max(option.bits for option in offer.options)
    code = coding.fit(layer, kernel, bits, None)
    values = on_grid(layer, code, nearest_values(kernel, code))
    return LayerTable(
        options=(Option(bits=bits),),
        zeros=np.zeros(1),
        rounding=np.zeros(1),
        bytes=np.array([kernel_bytes(values, layer, offer, Option(bits=bits))]),
    )
