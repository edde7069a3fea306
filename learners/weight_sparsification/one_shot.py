"""A whole network made sparse in closed form, layer after layer, without training.

On the walk (`learners/reconstruction/walk.py`) each layer loses its weights by
`learners/sparsity/obs.py`: its inputs are those of the network as thinned so far, its targets the
outputs before, so that it also makes up for the errors in front of it. Layers behind that lose
nothing are refitted for the same reason.
Where a ReLU reads what a layer gives, the weights that stay are then fitted to what it lets through
(`learners/reconstruction/clipped.py`), those of a classifier's last layer to its distributions over
classes (`classes.py`).
"""

import functools
from collections.abc import Callable, Mapping

import numpy as np

from learners.kernels.layers import KernelLayer, kernel_layers
from learners.kernels.tables import MAX_ROWS, Moments
from learners.reconstruction.clipped import refit_clipped
from learners.reconstruction.least_squares import refit_kernel
from learners.reconstruction.readings import Reading
from learners.reconstruction.sampling import Sampler, Samples
from learners.reconstruction.statistics import LayerStatistics
from learners.reconstruction.walk import Walk
from learners.sparsity.masks import Granularity, make_mask
from learners.sparsity.obs import PULL, goes_by_outputs, thinned
from learners.sparsity.score import magnitude
from utils.graph import Graph

MAX_SAMPLE_BYTES = 64 * 2**20  # of rows that are held for a layer behind which a ReLU stands


class OneShot:
    """Goes through a network once; see the module.

    Args:
        graph: the network, not changed.
        layers: the kernels that lose weights.
        counts: layer name -> weights that stay, in whole tiles.
        sampler: the images.
        granularity: what goes together.
        on_layer: called with (layers done, layers in all, name) after each layer.

    Attributes:
        errors: layer name -> relative squared error of its outputs on the samples, of what was
            solved so far.
        unsampled: names of the layers that lost their smallest weights, because they cannot be
            sampled.
    """

    def __init__(
        self,
        graph: Graph,
        layers: Mapping[str, KernelLayer],
        counts: Mapping[str, int],
        sampler: Sampler,
        granularity: Granularity,
        *,
        on_layer: Callable[[int, int, str], None] = lambda done, total, name: None,
    ) -> None:
        self._graph = graph
        self._layers = layers
        self._counts = counts
        self._grain = granularity
        self.errors: dict[str, float] = {}
        self.unsampled: list[str] = []
        visited = self._from_the_first()
        self._walk = Walk(
            graph,
            {node: any(la.num_rows <= MAX_ROWS for la in own) for node, own in visited.items()},
            sampler,
            compensate=True,
            weighted=True,
            on_layer=on_layer,
        )
        self._visited = visited

    def run(self) -> Graph:
        """Go through the network; give it with its new weights."""
        for node in self._walk:
            reading = self._walk.readings.get(node)
            for layer in self._visited[node]:
                fits = layer.num_rows <= MAX_ROWS
                if fits and reading is not None and reading.kernels == layer.weights:
                    solver = self._solver(layer, reading)
                    self.errors[layer.name] = self._walk.solve(node, solver, is_free=True)
                elif layer.name in self._layers:
                    self._drop_smallest(layer)
        return self._graph.replace(params=self._walk.params())

    def _from_the_first(self) -> dict[str, list[KernelLayer]]:
        """List, by node, the kernels from the first that loses weights on."""
        visited: dict[str, list[KernelLayer]] = {}
        for layer in kernel_layers(self._graph):
            if visited or layer.name in self._layers:
                visited.setdefault(layer.node, []).append(layer)
        return visited

    def _solver(self, layer: KernelLayer, reading: Reading) -> "_Solver":
        count = self._counts[layer.name] if layer.name in self._layers else None
        samples = functools.partial(self._walk.samples, reading.name, MAX_SAMPLE_BYTES)
        weights = self._walk.output_weights(reading.name)
        return _Solver(layer, reading, count, self._grain, samples, weights)

    def _drop_smallest(self, layer: KernelLayer) -> None:
        """Set the smallest weights to zero."""
        kernel = layer.matrix(self._graph.params)
        count = self._counts[layer.name]
        mask = make_mask(magnitude(kernel), count, self._grain, layer.num_channels)
        self._walk.put(layer.tensors(kernel * mask))
        self.unsampled.append(layer.name)


class _Solver:
    """Gives one layer its kernel, as the walk asks for it.

    Args:
        layer: which.
        reading: how it stands in the network.
        count: weights that stay; None for a layer that only makes up for those in front.
        granularity: what goes together.
        samples: gives rows of the layer.
        weights: float [O], what an error in each output counts.
    """

    def __init__(
        self,
        layer: KernelLayer,
        reading: Reading,
        count: int | None,
        granularity: Granularity,
        samples: Callable[[], Samples],
        weights: np.ndarray,
    ) -> None:
        self._layer = layer
        self._reading = reading
        self._count = count
        self._grain = granularity
        self._samples = samples
        self._weights = weights

    def __call__(
        self, statistics: LayerStatistics, kernel: np.ndarray, *, centred: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """Solve; see `learners.reconstruction.walk.Solver`."""
        if self._count is None:
            kept = np.ones(len(kernel), dtype=bool)
            return refit_kernel(statistics, kernel, kept, centred=centred, pull=PULL)
        moments = Moments.of(statistics, centred=centred, weights=self._weights)
        ((_, found),) = thinned(moments, kernel, self._layer, [self._count], self._grain)
        offset = statistics.offset(found, centred)
        clip = self._reading.clip
        if not centred or clip is None or not goes_by_outputs(self._layer):
            return found, offset
        return refit_clipped(
            self._samples(), clip.level, clip.sign, found, offset, old=kernel, pull=PULL
        )
