"""What a network costs as a function of how many channels its groups keep: counted, not cut.

Every weight's size is a product of axis sizes, every axis a sum over groups; multiply-adds are
weight entries times output positions. Both are read off the graph once, after which a thousand
candidates are counted in a millisecond, exactly as `complexity(shrink(...))` would.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from learners.channels.segments import cut, merged
from utils.graph import ChannelGroup, Graph, complexity, ops
from utils.graph.channels import Coupling, WeightAxis, coupling
from utils.graph.row import IN, MID

STORED = "stored"  # numbers in the exported file, what its size is predicted from


class NetworkCost:
    """Counts candidates: flops, params, and the numbers stored in the exported file.

    Args:
        graph: the whole network.
        groups: the groups (or segments) that are chosen for, in the order of a candidate's values.
    """

    def __init__(self, graph: Graph, groups: Sequence[ChannelGroup]) -> None:
        self._graph = graph
        self._groups = tuple(groups)
        self._bases: list[float] = [1.0]  # axis 0 stands for "no further axis"
        self._slopes: list[np.ndarray] = [np.zeros(len(groups))]
        self._factors = {kind: np.empty(0) for kind in ("flops", "params", STORED)}
        self._axes = np.empty((0, 0), int)
        self._owners: dict[str, list[int]] = {}
        self._gathered: dict[str, dict[int, int]] = {}
        self._read(graph)
        self._is_exact = self._check()

    def __call__(self, values: np.ndarray) -> dict[str, np.ndarray]:
        """Count candidates.

        Args:
            values: int [n, groups], channels kept.

        Returns:
            Kind -> float64 [n].
        """
        sizes = np.array(self._bases) + values @ np.array(self._slopes).T  # [n, axes]
        terms = np.prod(sizes[:, self._axes], axis=-1)  # [n, weights]
        costs = {kind: terms @ factors for kind, factors in self._factors.items()}
        if not self._is_exact:  # an op whose positions depend on channels, say
            counted = [self.reference(row) for row in np.asarray(values)]
            costs |= {
                kind: np.array([row[kind] for row in counted], float)
                for kind in ("flops", "params")
            }
        return costs

    def per_weight(self, values: np.ndarray) -> dict[str, np.ndarray]:
        """Count candidates int [n, groups] weight by weight: flops and params, each [n, weights].

        As a call counts them all, but for networks whose positions depend on channels.
        """
        sizes = np.array(self._bases) + values @ np.array(self._slopes).T
        terms = np.prod(sizes[:, self._axes], axis=-1)
        return {kind: terms * self._factors[kind] for kind in ("flops", "params")}

    def cut(self, values: Sequence[int] | np.ndarray) -> Graph:
        """Cut the network to a candidate's counts; which channels go does not matter to a cost."""
        keep = {
            group.name: np.arange(group.size) < value
            for group, value in zip(self._groups, values, strict=True)
            if value < group.size
        }
        return cut(self._graph, self._groups, keep)

    def reference(self, values: Sequence[int] | np.ndarray) -> dict[str, float]:
        """Count one candidate by cutting it: slow, and right for every network."""
        counts = complexity(self.cut(values))
        return {"flops": float(counts.flops), "params": float(counts.params)}

    def owners(self, layer: str) -> list[int]:
        """List the groups, by number, that a layer's size depends on."""
        return self._owners[layer]

    def _read(self, graph: Graph) -> None:
        """Describe every weight by the axes that its size depends on, and what an entry costs."""
        found = coupling(graph)
        members = self._members(graph)
        rows: list[list[int]] = []
        factors: dict[str, list[float]] = {kind: [] for kind in self._factors}
        for layer, arrays in graph.params.items():
            vectors = sum(1 for array in arrays.values() if array.ndim == 1)
            for weight, array in arrays.items():
                tied = [axis for axis in found.weight_axes.get(layer, ()) if axis.weight == weight]
                rows.append([self._axis(layer, axis, found, members) for axis in tied])
                fixed = array.size / np.prod([axis.ids.size for axis in tied], initial=1.0)
                factors["params"].append(fixed)
                factors["flops"].append(fixed * self._uses(graph, layer, weight))
                # Batch norm's four vectors are folded into one bias.
                factors[STORED].append(fixed / max(vectors, 1) if array.ndim == 1 else fixed)
            axes = {number for row in rows[len(rows) - len(arrays) :] for number in row}
            slopes = np.sum([self._slopes[number] for number in axes] or [self._slopes[0]], axis=0)
            self._owners[layer] = [int(number) for number in np.flatnonzero(slopes)]
        depth = max((len(row) for row in rows), default=0)
        self._axes = np.array([row + [0] * (depth - len(row)) for row in rows], int)
        self._factors = {kind: np.array(column) for kind, column in factors.items()}

    def _members(self, graph: Graph) -> dict[str, tuple[int, np.ndarray]]:
        """For each of the graph's groups: which of ours each channel belongs to (-1: none)."""
        places: dict[str, np.ndarray] = {}
        for number, group in enumerate(self._groups):
            # A segment is found by switching off what is not it.
            masks = merged(graph, {group.name: np.zeros(group.size, bool)})
            for name, kept in masks.items():
                owner = places.setdefault(name, np.full(kept.size, -1))
                owner[~kept] = number
            if not masks:  # a reader's own choice: only its kernel gets smaller
                (reader,) = group.readers
                layer = graph.node(reader.node).layer
                multiples = int(np.count_nonzero(reader.channels >= 0))
                self._gathered.setdefault(layer, {})[number] = multiples
        names = [group.name for group in coupling(graph).groups]
        return {name: (names.index(name), owner) for name, owner in places.items()}

    def _axis(
        self,
        layer: str,
        axis: WeightAxis,
        found: Coupling,
        members: Mapping[str, tuple[int, np.ndarray]],
    ) -> int:
        """Add an axis as `base + slopes @ counts`; returns its number."""
        ids = axis.ids[axis.ids >= 0]
        slopes = np.zeros(len(self._groups))
        counted = 0
        for number, owner in members.values():
            here = ids[found.group_of[ids] == number]
            owners = owner[found.channel_of[here]]
            for ours in set(owners[owners >= 0].tolist()):
                multiples = int(np.count_nonzero(owners == ours))
                slopes[ours] += multiples / self._groups[ours].size
                counted += multiples
        if axis.role in (IN, MID):
            for number, multiples in self._gathered.get(layer, {}).items():
                slopes[number] += multiples / self._groups[number].size
                counted += multiples
        self._bases.append(float(axis.ids.size - counted))
        self._slopes.append(slopes)
        return len(self._bases) - 1

    @staticmethod
    def _uses(graph: Graph, layer: str, weight: str) -> float:
        """How often one entry of a weight is multiplied for one sample, on average."""
        uses = 0.0
        for node in graph.calls(layer):
            row = ops.find(graph, node)
            if row is not None and weight in row.uses:
                uses += float(np.mean(row.uses[weight](graph, node, False)))
        return uses

    def _check(self) -> bool:
        """Compare with a real cut, at counts that no symmetry can hide behind."""
        self._is_exact = True
        values = np.array([1 + (7 * i + 3) % group.size for i, group in enumerate(self._groups)])
        fast, slow = self(values[None]), self.reference(values)
        return all(abs(fast[kind][0] - slow[kind]) < 0.5 for kind in slow)
