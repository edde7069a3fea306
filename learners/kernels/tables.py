"""What every roll-out looks up: per layer its kernel, and how wrong it gets, at every choice.

Computed once: passes over the images give each layer's second moments, and a *method* makes of them
the layer's kernel at each choice. What the choices mean (weights that stay, bits) is the method's.
There are two ways to sample:

- the untouched network, as many layers at a time as fit in memory;
- around a candidate: on the walk (`learners/reconstruction/walk.py`), on which each layer takes its
  choice of that candidate before the next is sampled. Then kernels make up for the errors in front
  of them, and candidates near that one score as they will in the end; the winner's walk is its own.

Kernels are kept in memory up to a number of bytes, the others in a temporary folder.
"""

import dataclasses
import pathlib
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Protocol

import keras
import numpy as np

from learners.kernels.layers import KernelLayer, layers_by_node
from learners.reconstruction.readings import Reading, find_readings
from learners.reconstruction.sampling import Sampler
from learners.reconstruction.statistics import LayerStatistics
from learners.reconstruction.walk import Walk
from utils.folders import passing_folder
from utils.graph import Graph, to_keras_with_tensors

MAX_MOMENT_BYTES = 512 * 2**20  # of layers that are sampled in one pass
MAX_KEPT_BYTES = 512 * 2**20  # of kernels in memory
MAX_ROWS = 8192  # layers with more inputs than that are not sampled: their moments would not fit

Weight = tuple[str, str]
"""(layer, weight), by their names in the graph."""


@dataclasses.dataclass(frozen=True, eq=False)
class Moments:
    """A layer's second moments, about the mean where it can take up an offset.

    Attributes:
        gram: float64 [P, P], `X^T X` of its inputs.
        cross: float64 [P, O], `X^T Y` of its inputs and targets.
        weights: float64 [O], what one unit of error in each output counts.
        energy: `||Y diag(weights)||_F^2`, > 0: what its error is relative to.
    """

    gram: np.ndarray
    cross: np.ndarray
    weights: np.ndarray
    energy: float

    @classmethod
    def of(
        cls, statistics: LayerStatistics, *, centred: bool, weights: np.ndarray | None = None
    ) -> "Moments":
        """Take what is needed out of a layer's statistics; `weights` None = all outputs alike."""
        cross = statistics.cross_gram(centred)
        counts = np.ones(cross.shape[1]) if weights is None else np.asarray(weights, np.float64)
        energy = statistics.weighted(counts).target_energy(centred)
        return cls(statistics.gram(centred), cross, counts, max(energy, np.finfo(np.float64).tiny))

    def error(self, kernel: np.ndarray) -> float:
        """Give the squared error of a kernel [P, O] relative to the energy, >= 0."""
        own = np.sum(kernel * (self.gram @ kernel - 2.0 * self.cross), axis=0)
        return max(1.0 + float(own @ self.weights**2) / self.energy, 0.0)


class Method(Protocol):
    """Makes a layer's kernels; what a choice means is its own."""

    def choices(self, layer: KernelLayer, kernel: np.ndarray) -> tuple[int, ...]:
        """List what can be chosen for a layer, ascending.

        The last leaves the layer as it is, unless `versions` makes a kernel for it too.

        Args:
            layer: the layer.
            kernel: float32 [P, O], as it is.
        """

    def versions(
        self, layer: KernelLayer, kernel: np.ndarray, moments: Moments | None
    ) -> Iterable[tuple[int, np.ndarray]]:
        """Make a layer's kernel at every choice, in any order; the last may be left out.

        Args:
            layer: the layer.
            kernel: float32 [P, O], as it is.
            moments: of its inputs and of what the kernel makes of them; None where it cannot be
                sampled.

        Returns:
            Pairs of a choice and the kernel, float [P, O].
        """


class KernelTables:
    """Kernels and errors of a network's layers at every choice; see the module.

    Args:
        graph: the untouched network.
        layers: those that are chosen for.
        sampler: the images.
        method: makes the kernels.
        around: layer name -> its choice, the candidate to walk along; None = the untouched network.
        on_layer: called with (layers done, layers in all, name) after each layer.

    Attributes:
        choices: of each layer, by name.
        unsampled: names of the layers that could not be sampled: their kernels and errors go by
            the weights alone.
    """

    def __init__(
        self,
        graph: Graph,
        layers: Sequence[KernelLayer],
        sampler: Sampler,
        method: Method,
        *,
        around: Mapping[str, int] | None = None,
        on_layer: Callable[[int, int, str], None] = lambda done, total, name: None,
    ) -> None:
        self._graph = graph
        self._layers = {layer.name: layer for layer in layers}
        self._readings = readings_of(graph, layers, compensate=around is not None)
        self._store = _Store()
        self._errors: dict[str, np.ndarray] = {}
        kernels = {layer.name: layer.matrix(graph.params) for layer in layers}
        self.choices = {la.name: method.choices(la, kernels[la.name]) for la in layers}
        self.unsampled = [la.name for la in layers if la.name not in self._readings]
        self._walks = around is not None
        sampled = self._sampled(sampler) if around is None else self._walked(sampler, around)
        for done, (layer, statistics) in enumerate(sampled, start=1):
            self._fill(layer, kernels[layer.name], statistics, method)
            on_layer(done, len(layers), layer.name)

    def errors(self, name: str) -> np.ndarray:
        """Say how wrong a layer gets by each of its choices.

        Returns:
            float64 [choices], the relative squared error of its outputs on the samples (of its
            weights where it could not be sampled), not rising; on a walk beyond that of the last
            choice, which has to make up for others. 0 for a last that leaves the layer be.
        """
        return self._errors[name]

    def weights(
        self, name: str, choice: int, value: Callable[[str, str], np.ndarray]
    ) -> dict[Weight, np.ndarray]:
        """Look up what a layer's choice changes.

        Args:
            name: the layer.
            choice: one of its choices.
            value: (layer, weight) -> that weight in the untouched network.

        Returns:
            (layer, weight) -> its new value: of the kernel, and of what takes up an offset of the
            outputs' means.
        """
        layer = self._layers[name]
        if (name, choice) not in self._store:  # as it is
            return {(layer.layer, weight): value(layer.layer, weight) for weight in layer.weights}
        kernel, offset = self._store.get((name, choice))
        reading = self._readings.get(name)
        if reading is None:
            return layer.tensors(kernel)
        return reading.refitted(kernel, offset, value)

    def _fill(
        self,
        layer: KernelLayer,
        kernel: np.ndarray,
        statistics: LayerStatistics | None,
        method: Method,
    ) -> None:
        """Make a layer's kernels, and keep them with their errors."""
        reading, moments = self._readings.get(layer.name), None
        if statistics is not None and reading is not None:
            moments = Moments.of(statistics, centred=reading.centred, weights=reading.weights)
        places = {choice: place for place, choice in enumerate(self.choices[layer.name])}
        errors = np.full(len(places), _error(moments, kernel, kernel))
        for choice, version in method.versions(layer, kernel, moments):
            errors[places[choice]] = _error(moments, version, kernel)
            offset = np.zeros(kernel.shape[1])
            if statistics is not None and reading is not None:
                offset = statistics.offset(version, reading.centred)
            pair = version.astype(np.float32), offset.astype(np.float32)
            self._store.put((layer.name, choice), pair)
        # A larger choice is never worse: what says otherwise is a method that looked less far.
        errors = np.maximum.accumulate(errors[::-1])[::-1]
        last = layer.name, self.choices[layer.name][-1]
        leaves_off = self._walks or last not in self._store  # where errors are counted from
        self._errors[layer.name] = errors - (errors[-1] if leaves_off else 0.0)

    def _walked(
        self, sampler: Sampler, around: Mapping[str, int]
    ) -> Iterator[tuple[KernelLayer, LayerStatistics | None]]:
        """Sample layer by layer in the network as a candidate has changed it so far."""
        original = {(la, n): a for la, own in self._graph.params.items() for n, a in own.items()}
        nodes = layers_by_node(self._layers.values())
        solved = {node: any(la.name in self._readings for la in own) for node, own in nodes.items()}
        walk = Walk(self._graph, solved, sampler, compensate=True)
        for node in walk:
            for layer in nodes[node]:
                is_read = layer.name in self._readings
                yield layer, walk.statistics(node) if is_read else None
                choice = around[layer.name]
                walk.put(self.weights(layer.name, choice, lambda *key: original[key]))

    def _sampled(self, sampler: Sampler) -> Iterator[tuple[KernelLayer, LayerStatistics | None]]:
        """Sample as many layers at a time as fit in memory."""
        model, tensors = to_keras_with_tensors(self._graph)
        for part in _parts(list(self._layers.values())):
            readings = [self._readings[la.name] for la in part if la.name in self._readings]
            found: dict[str, LayerStatistics] = {}
            if readings:
                sources = [tensors[reading.source] for reading in readings]
                items = [reading.item for reading in readings]
                moments = sampler.own_statistics(items, keras.Model(model.inputs, sources))
                found = dict(zip((reading.name for reading in readings), moments, strict=True))
                del moments
            for layer in part:
                reading = self._readings.get(layer.name)
                yield layer, None if reading is None else found.pop(reading.name)


def readings_of(
    graph: Graph, layers: Sequence[KernelLayer], *, compensate: bool = False
) -> dict[str, Reading]:
    """Find how the layers that can be sampled stand in the network.

    Args:
        graph: the network.
        layers: its kernels.
        compensate: see `find_readings`.

    Returns:
        The name of the kernel -> its reading; others are missing, and those of more than `MAX_ROWS`
        inputs.
    """
    by_node = {(la.node, la.weights): la for la in layers if la.num_rows <= MAX_ROWS}
    nodes = list(dict.fromkeys(node for node, _ in by_node))
    found = {}
    for reading in find_readings(graph, nodes, compensate=compensate):
        layer = by_node.get((reading.name, reading.kernels))
        if layer is not None:
            found[layer.name] = reading
    return found


def _error(moments: Moments | None, version: np.ndarray, kernel: np.ndarray) -> float:
    """Give a version's error, by the weights alone where there are no moments."""
    if moments is not None:
        return moments.error(version)
    before = kernel.astype(np.float64)
    return float(np.sum((version - before) ** 2) / max(np.sum(before**2), 1e-30))


def _parts(layers: Sequence[KernelLayer]) -> Iterator[list[KernelLayer]]:
    """Split layers into runs whose moments fit in memory together."""
    part: list[KernelLayer] = []
    size = 0
    for layer in layers:
        own = 8 * (layer.num_rows + 1) ** 2 if layer.num_rows <= MAX_ROWS else 0
        if part and size + own > MAX_MOMENT_BYTES:
            yield part
            part, size = [], 0
        part.append(layer)
        size += own
    if part:
        yield part


class _Store:
    """Pairs of arrays by key; those beyond `MAX_KEPT_BYTES` lie in a folder that vanishes."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, int], tuple[np.ndarray, np.ndarray]] = {}
        self._filed: dict[tuple[str, int], pathlib.Path] = {}
        self._bytes = 0
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def __contains__(self, key: tuple[str, int]) -> bool:
        return key in self._kept or key in self._filed

    def put(self, key: tuple[str, int], pair: tuple[np.ndarray, np.ndarray]) -> None:
        self._bytes += sum(array.nbytes for array in pair)
        if self._bytes <= MAX_KEPT_BYTES:
            self._kept[key] = pair
            return
        if self._folder is None:
            self._folder = passing_folder()
        path = pathlib.Path(self._folder.name) / f"{len(self._filed)}.npz"
        np.savez(path, kernel=pair[0], offset=pair[1])
        self._filed[key] = path

    def get(self, key: tuple[str, int]) -> tuple[np.ndarray, np.ndarray]:
        if key in self._kept:
            return self._kept[key]
        with np.load(self._filed[key], allow_pickle=False) as arrays:
            return arrays["kernel"], arrays["offset"]


def lookup(
    tables: KernelTables,
    values: Mapping[str, int],
    original: Mapping[Weight, np.ndarray],
) -> dict[Weight, np.ndarray]:
    """Look up all that a candidate changes in the untouched network.

    Args:
        tables: what was made beforehand.
        values: layer name -> its choice.
        original: the untouched network's weights.

    Returns:
        (layer, weight) -> its value in the candidate.
    """
    found: dict[Weight, np.ndarray] = {}
    for name, choice in values.items():
        found |= tables.weights(name, choice, lambda *key: original[key])
    return found
