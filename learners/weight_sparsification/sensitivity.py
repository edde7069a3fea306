"""Shares of layers by what errors in them do to the network's outputs, without a search.

Each layer is thinned by itself, the others as they are, and its error at every share is weighted by
J^T J (`learners/reconstruction/importance.py`): to first order, and with errors of layers that do
not know of each other, the squared error of the network's outputs is the sum over the layers. So it
can be shared out: weights go first where the error rises least per weight. On the lower convex
hulls of the layers' tables that is optimal.

Reference:
    The weighting is that of HAWQ-V2 (Dong et al., NeurIPS 2020, arXiv:1911.03852), the separable
    objective that of Frantar & Alistarh, "SPDY", ICML 2022, arXiv:2201.13096.
    Departs from the papers: errors are of kernels whose other weights make up for those that went.
"""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence

from learners.kernels.layers import KernelLayer, layers_by_node
from learners.kernels.tables import MAX_ROWS, Moments
from learners.reconstruction.sampling import Sampler
from learners.reconstruction.walk import Walk
from learners.weight_sparsification.allocate import Counts, uniform
from learners.weight_sparsification.versions import SparseVersions
from utils.graph import Graph, Ref

NUM_IMAGES = 1000  # they rank shares as well as five times as many
Table = Mapping[int, float]
"""Weights that stay -> error."""


def error_tables(
    graph: Graph,
    layers: Sequence[KernelLayer],
    sampler: Sampler,
    method: SparseVersions,
    *,
    on_layer: Callable[[int, int, str], None] = lambda done, total, name: None,
) -> dict[str, Table]:
    """Measure what each share of each layer costs.

    Args:
        graph: the network, not changed.
        layers: its kernels that lose weights.
        sampler: the images.
        method: makes a layer's kernels.
        on_layer: called with (layers done, layers in all, name) after each.

    Returns:
        By layer the squared error of the network's outputs, per image and to first order, at each
        choice of `method`; without layers that cannot be sampled.
    """
    by_node = layers_by_node(layers)
    fits = {node: all(la.num_rows <= MAX_ROWS for la in own) for node, own in by_node.items()}
    walk = Walk(graph, fits, sampler, compensate=False, weighted=True, on_layer=on_layer)
    tables: dict[str, Table] = {}
    for node in walk:
        reading = walk.readings.get(node)
        for layer in by_node[node]:
            if reading is None or reading.kernels != layer.weights:
                continue
            statistics, kernel = walk.statistics(node), layer.matrix(graph.params)
            moments = Moments.of(
                statistics, centred=reading.centred, weights=walk.output_weights(node)
            )
            # From the mean over the sampled places to the sum over all of an image; time steps of
            # an open number count as one.
            places = math.prod(size or 1 for size in graph.shape(Ref(node))[1:-1])
            factor = moments.energy / statistics.count * places
            tables[layer.name] = {
                count: float(factor * moments.error(version))
                for count, version in method.versions(layer, kernel, moments)
            }
    return tables


def shared_out(tables: Mapping[str, Table], num_left: int) -> Counts:
    """Give weights to the layers such that the sum of their errors is least.

    Args:
        tables: layer name -> its table; between two counts of a table's lower convex hull the error
            counts as linear.
        num_left: weights that stay in all, in [layers, sum of the largest counts].

    Returns:
        Weights that stay, `num_left` in all.

    Example:
        >>> shared_out({"a": {1: 9.0, 5: 1.0, 10: 0.0}, "b": {1: 3.0, 10: 0.0}}, 8)
        {'a': 5, 'b': 3}
    """
    hulls = {name: _lower_hull(table) for name, table in tables.items()}
    least = {name: hull[0][0] for name, hull in hulls.items()}
    if num_left < sum(least.values()):  # below what the tables know
        return uniform(least, num_left)
    steps = [
        ((old - new) / (count - before), name, count - before)
        for name, hull in hulls.items()
        for (before, old), (count, new) in itertools.pairwise(hull)
    ]
    counts, free = dict(least), num_left - sum(least.values())
    # A layer's own steps fall, so that the steepest of all never skips one of its layer.
    for _, name, size in sorted(steps, key=lambda step: -step[0]):
        taken = min(size, free)
        counts[name] += taken
        free -= taken
    return counts


def shares(tables: Mapping[str, Table], sizes: Mapping[str, int], left: int, unit: int) -> Counts:
    """Share a total out in whole tiles; layers without a table get the ratio of all.

    Args:
        tables: of `error_tables`.
        sizes: layer name -> number of weights.
        left: weights that stay in all.
        unit: weights of a tile.

    Returns:
        Weights that stay, in the order of `sizes`.
    """
    tiles = {name: size // unit for name, size in sizes.items()}
    num_tiles = min(max(round(left / unit), len(tiles)), sum(tiles.values()))
    by_ratio = uniform(tiles, num_tiles)
    counts = {name: by_ratio[name] for name in sizes if name not in tables}
    in_tiles = {
        name: {count // unit: error for count, error in table.items()}
        for name, table in tables.items()
    }
    if in_tiles:
        counts |= shared_out(in_tiles, num_tiles - sum(counts.values()))
    return {name: counts[name] * unit for name in sizes}


def _lower_hull(table: Table) -> list[tuple[int, float]]:
    """Give the corners of a table's lower convex hull, from its least count to its largest."""
    hull: list[tuple[int, float]] = []
    for count, error in sorted(table.items()):
        while len(hull) > 1 and _is_above(hull[-2], hull[-1], (count, error)):
            hull.pop()
        hull.append((count, error))
    return hull


def _is_above(first: tuple[int, float], middle: tuple[int, float], last: tuple[int, float]) -> bool:
    """Tell whether a point lies on or above the line between its neighbors."""
    (x0, y0), (x1, y1), (x2, y2) = first, middle, last
    return (y1 - y0) * (x2 - x0) >= (y2 - y0) * (x1 - x0)
