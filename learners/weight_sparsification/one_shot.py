"""A whole network made sparse in closed form, layer after layer, without training.

On the walk (`learners/reconstruction/walk.py`) each layer loses its weights by `obs.py`: its inputs
are those of the network as thinned so far, its targets the outputs before, so that it also makes up
for the errors in front of it. Layers behind that lose nothing are refitted for the same reason.
"""

from collections.abc import Callable, Mapping

import numpy as np

from learners.kernels.layers import KernelLayer, kernel_layers
from learners.kernels.tables import MAX_ROWS, Moments
from learners.reconstruction.least_squares import refit_kernel
from learners.reconstruction.sampling import Sampler
from learners.reconstruction.statistics import LayerStatistics
from learners.reconstruction.walk import Walk
from learners.weight_sparsification.masks import Granularity, make_mask
from learners.weight_sparsification.obs import PULL, thinned
from learners.weight_sparsification.score import magnitude
from utils.graph import Graph


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
                    solver = self._solver(layer, reading.weights)
                    self.errors[layer.name] = self._walk.solve(node, solver)
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

    def _solver(self, layer: KernelLayer, weights: np.ndarray) -> "_Solver":
        count = self._counts[layer.name] if layer.name in self._layers else None
        return _Solver(layer, weights, count, self._grain)

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
        weights: float [O], what an error in each output counts.
        count: weights that stay; None for a layer that only makes up for those in front.
        granularity: what goes together.
    """

    def __init__(
        self,
        layer: KernelLayer,
        weights: np.ndarray,
        count: int | None,
        granularity: Granularity,
    ) -> None:
        self._layer = layer
        self._weights = weights
        self._count = count
        self._grain = granularity

    def __call__(
        self, statistics: LayerStatistics, kernel: np.ndarray, *, centred: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """Solve; see `learners.reconstruction.walk.Solver`."""
        if self._count is None:
            kept = np.ones(len(kernel), dtype=bool)
            return refit_kernel(statistics, kernel, kept, centred=centred, pull=PULL)
        moments = Moments.of(statistics, centred=centred, weights=self._weights)
        ((_, found),) = thinned(moments, kernel, self._layer, [self._count], self._grain)
        if not centred:
            return found, np.zeros(found.shape[1])
        mean_x, mean_y = statistics.means()
        return found, mean_y - mean_x @ found
