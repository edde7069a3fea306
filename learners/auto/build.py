"""A joint choice carried out on one walk: channels cut, zeros made, weights rounded.

Channels that go are known before (`tables.py` has their order). Their rows are zero from the start,
which computes the same as the network without them; each layer is then solved as the cut network
has it (`solving.py`), on inputs from the network as compressed so far and towards the outputs of
the whole one. In the end channels are cut.
"""

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np

from learners.auto.joint import Joint
from learners.auto.places import Kept, Places, kept_kernels
from learners.auto.solving import Grids, Solved, nearest, solve
from learners.channels.axes import dropped, read_axes
from learners.channels.segments import cut
from learners.kernels.layers import KernelLayer, kernel_layers, layers_by_node
from learners.kernels.tables import MAX_ROWS, Moments
from learners.low_bits.coding import Code
from learners.reconstruction.importance import Importance
from learners.reconstruction.sampling import Sampler
from learners.reconstruction.statistics import LayerStatistics
from learners.reconstruction.walk import Walk
from utils.graph import Graph


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Built:
    """A network made as a choice says.

    Attributes:
        graph: the network, cut.
        layers: its kernels that lie on grids.
        codes: their grids, by layer name.
        errors: layer name -> relative squared error of its outputs on the samples.
        present: layer name -> boolean [P', O'], see `Solved`.
    """

    graph: Graph
    layers: tuple[KernelLayer, ...]
    codes: Mapping[str, Code]
    errors: Mapping[str, float]
    present: Mapping[str, np.ndarray]

    def marks(self) -> Graph:
        """Give the network with ones for the weights of these kernels that may be other than 0.

        Training looks at it for zeros that stay; those that rounding made may come back.
        """
        params = {layer: dict(arrays) for layer, arrays in self.graph.params.items()}
        for layer in self.layers:
            ones = layer.tensors(self.present[layer.name].astype(np.float32))
            for (name, weight), array in ones.items():
                params[name][weight] = array
        return self.graph.replace(params=params)


def visited(places: Places) -> dict[str, bool]:
    """List the nodes that a walk goes to, in order; True for those that may be solved.

    All walks over a network go to the same, so that what one finds of them holds for the others.
    """
    nodes = layers_by_node(kernel_layers(places.graph))
    return {node: all(la.num_rows <= MAX_ROWS for la in own) for node, own in nodes.items()}


def build(
    places: Places,
    joint: Joint,
    keep: Mapping[str, np.ndarray],
    sampler: Sampler,
    coding: Grids,
    *,
    importance: Mapping[str, Importance],
    on_layer: Callable[[int, int, str], None] = lambda done, total, name: None,
) -> Built:
    """Make the network of a choice.

    Args:
        places: what is up for choice; the network is not changed.
        joint: the choice.
        keep: by group name, which channels stay, boolean [size].
        sampler: the images.
        coding: the grids.
        importance: what errors count, by node; of a walk over the same nodes and images.
        on_layer: see `Walk`.

    Returns:
        The network.
    """
    graph = places.graph
    walk = Walk(
        graph,
        visited(places),
        sampler,
        compensate=True,
        weighted=importance or True,
        on_layer=on_layer,
    )
    for group in places.groups:
        for reader, weight, axis, channels in read_axes(graph, group):
            walk.zero(reader, weight, axis, dropped(channels, keep[group.name]))
    kept = kept_kernels(graph, places.layers, keep)
    by_node = layers_by_node(places.layers)
    codes: dict[str, Code] = {}
    errors: dict[str, float] = {}
    present: dict[str, np.ndarray] = {}
    for node in walk:
        for layer in by_node.get(node, ()):
            work = _Solver(kept[layer.name], joint, coding)
            reading = walk.readings.get(node)
            if reading is not None and reading.kernels == layer.weights:
                errors[layer.name] = walk.solve(node, work.weighted(walk.output_weights(node)))
            else:
                walk.put(layer.tensors(work.nearest(layer.matrix(walk.params()))))
            codes[layer.name] = work.solved.code
            present[layer.name] = work.solved.present
    small = cut(graph.replace(params=walk.params()), places.groups, keep)
    layers = tuple(kept[layer.name].layer for layer in places.layers)
    return Built(graph=small, layers=layers, codes=codes, errors=errors, present=present)


class _Solver:
    """Implements `learners.reconstruction.walk.Solver`; keeps what it solved."""

    solved: Solved

    def __init__(self, kept: Kept, joint: Joint, coding: Grids) -> None:
        self._kept, self._coding = kept, coding
        self._option = joint.options[kept.layer.name]
        self._weights = np.ones(0)

    def weighted(self, weights: np.ndarray) -> "_Solver":
        """Say what an error in each output counts."""
        self._weights = weights
        return self

    def __call__(
        self, statistics: LayerStatistics, kernel: np.ndarray, *, centred: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """Solve; see there."""
        moments = Moments.of(statistics, centred=centred, weights=self._weights)
        self.solved = solve(moments, kernel, self._kept, self._option, self._coding)
        return self.solved.kernel, statistics.offset(self.solved.kernel, centred)

    def nearest(self, kernel: np.ndarray) -> np.ndarray:
        """Round a layer that cannot be sampled."""
        self.solved = nearest(kernel, self._kept, self._option, self._coding)
        return self.solved.kernel
