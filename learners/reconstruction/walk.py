"""The walk that all closed-form methods share: layer after layer, from the input to the output.

For each layer rows X are sampled from the network as compressed so far and targets Y from the one
before; their moments (`X^T X`, `X^T Y`) go to a *solver*, a pure function that gives the layer's
new kernel; the kernel is put back, and the walk goes on behind it. What the solver is after (fewer
inputs, zeros, a coarse grid) is not known here.

Nothing changes its shape on the way: one network serves all layers.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import keras
import numpy as np

from learners.reconstruction.classes import LinearScores, fit_scores, scoring_node
from learners.reconstruction.frontier import Frontier, Outputs
from learners.reconstruction.importance import Importance, importance
from learners.reconstruction.least_squares import relative_error
from learners.reconstruction.readings import Reading, find_readings
from learners.reconstruction.sampling import Sampler, Samples
from learners.reconstruction.statistics import LayerStatistics
from utils.graph import Graph, Ref, to_keras_with_tensors

MAX_TARGET_BYTES = 256 * 2**20  # targets of several layers that wait in memory at a time
_MAX_ROW_BYTES = 64 * 2**20  # of rows of the last layer that are held
_SAME = 1e-9  # relative squared error below which a layer's outputs are those before


class Solver(Protocol):
    """Gives a layer's kernel from its moments."""

    def __call__(
        self, statistics: LayerStatistics, kernel: np.ndarray, *, centred: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """Solve.

        Args:
            statistics: the layer's moments.
            kernel: float32 [P, O], the kernel before, as a matrix.
            centred: an offset may be fitted too.

        Returns:
            The kernel, float [P, O], and the offset [O] to add to the layer's output.
        """


class Walk:
    """Goes through a network; iterating over it visits the layers, see the module.

    Args:
        graph: the network before.
        names: the nodes to visit, in the order of the network; True for those that may be solved.
        sampler: the images.
        compensate: layers at the end of a residual branch make up for the error of their shortcut.
        weighted: errors count by what they do to the network's outputs (`importance.py`), which
            takes a backward pass over the images; else all rows alike, outputs by the norm behind.
            Or what such a pass found: `importance` of a walk over the same nodes and images.
        on_layer: called with (layers done, layers in all, name) after each layer.
        before: the network that gives the targets, with the same nodes; None for `graph`.

    Attributes:
        readings: of the nodes, those that can be sampled and solved.
        importance: by node, what errors count; empty where rows count alike.
    """

    def __init__(
        self,
        graph: Graph,
        names: Mapping[str, bool],
        sampler: Sampler,
        *,
        compensate: bool,
        weighted: bool | Mapping[str, Importance] = False,
        on_layer: Callable[[int, int, str], None] = lambda done, total, name: None,
        before: Graph | None = None,
    ) -> None:
        self._graph = graph
        self._names = list(names)
        self._sampler = sampler
        self._on_layer = on_layer
        solved = [name for name, is_solved in names.items() if is_solved]
        found = find_readings(graph, solved, compensate=compensate)
        self.readings: dict[str, Reading] = {reading.name: reading for reading in found}
        self._original = to_keras_with_tensors(graph if before is None else before)
        self._scoring = scoring_node(graph, has_classes=sampler.has_classes)
        self._work, tensors = to_keras_with_tensors(graph)
        seen = sampler.part.batches
        self._frontier = Frontier(graph, self._work, tensors, seen, sampler.num_images)
        self._targets: dict[str, list[np.ndarray]] = {}
        self._fresh: dict[str, LayerStatistics] = {}
        self._here = ""
        given = None if isinstance(weighted, bool) else weighted
        self.importance: Mapping[str, Importance] = given or (self._weigh() if weighted else {})

    def __iter__(self) -> Iterator[str]:
        """Visit the nodes: all in front of the one at hand is final."""
        for done, name in enumerate(self._names, start=1):
            self._here, self._fresh = name, {}
            self._frontier.advance(name)
            yield name
            self._targets.pop(name, None)
            self._on_layer(done, len(self._names), name)

    def statistics(self, name: str) -> LayerStatistics:
        """Sample a layer's moments, at hand or further on, in the network as it is now."""
        if name not in self._fresh:
            model, targets = self._seen(name)
            self._fresh[name] = self._sampler.statistics(
                self.readings[name].item, model, self._frontier, targets, self._rows(name)
            )
        return self._fresh[name]

    def samples(self, name: str, max_bytes: int) -> Samples:
        """Hold rows of a layer, at hand or further on, in the network as it is now."""
        model, targets = self._seen(name)
        item = self.readings[name].item
        return self._sampler.samples(
            item, model, self._frontier, targets, self._rows(name), max_bytes=max_bytes
        )

    def output_weights(self, name: str) -> np.ndarray:
        """Say what one unit of error in each output of a layer counts, float [O]."""
        found = self.importance.get(name)
        return self.readings[name].weights if found is None else found.outputs

    def _rows(self, name: str) -> Sequence[np.ndarray] | None:
        found = self.importance.get(name)
        return None if found is None else found.rows

    def _is_seen(self, name: str) -> bool:
        """Whether what a kernel gives leaves the layer, place by place: gates do not."""
        reading = self.readings[name]
        given, read = self._graph.shape(Ref(name)), self._graph.shape(reading.source)
        return len(given) == len(read) and given[-1] == reading.item.kernel.shape[1]

    def _weigh(self) -> dict[str, Importance]:
        """Run the images backward through the network before."""
        model, tensors = self._original
        keys = {n: reading.item.key for n, reading in self.readings.items() if self._is_seen(n)}
        outputs = [tensors[Ref(name)] for name in keys]
        part = keras.Model(model.inputs, [*outputs, *keras.tree.flatten(model.outputs)])
        cuts = {name: self._sampler.places(key) for name, key in keys.items()}
        return importance(part, cuts, self._sampler.part, seed=self._sampler.seed)

    def _seen(self, name: str) -> tuple[Outputs, list[np.ndarray]]:
        """Give what a layer sees, and its targets."""
        if name not in self._targets:
            self._sample_targets(name)
        reading = self.readings[name]
        wanted = [reading.source, *([reading.shortcut] if reading.shortcut else [])]
        return self._frontier.submodel(wanted), self._targets[name]

    def solve(self, name: str, solver: Solver, *, is_free: bool = False) -> float:
        """Solve a layer and put its kernel back.

        Args:
            name: the layer.
            solver: gives its kernel.
            is_free: weights other than zero may have any value: those of a classifier's last layer
                are then fitted to its classes (`classes.py`).

        Returns:
            The relative squared error of its new output on the samples.
        """
        reading, statistics = self.readings[name], self.statistics(name)
        kernel, offset = solver(statistics, reading.item.kernel, centred=reading.centred)
        error = relative_error(statistics, kernel, centred=reading.centred)
        if is_free and name == self._scoring and error > _SAME:
            kernel, offset = self._fitted(reading, kernel, offset)
            error = relative_error(statistics, kernel, centred=reading.centred)
        self.put(reading.refitted(kernel, offset, lambda *key: np.asarray(self._weight(*key))))
        return error

    def _fitted(
        self, reading: Reading, kernel: np.ndarray, offset: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Fit the last layer to the classes of the network before."""
        samples = self.samples(reading.name, _MAX_ROW_BYTES)
        bias = self._graph.params[reading.layer].get("bias", np.zeros(kernel.shape[1]))
        start = LinearScores(np.asarray(kernel, np.float64), offset + bias)
        found = fit_scores(samples.rows, samples.targets + bias, start, centred=reading.centred)
        return found.kernel, found.offset - bias

    def put(self, changed: Mapping[tuple[str, str], np.ndarray]) -> None:
        """Give weights new values.

        Args:
            changed: (layer, weight) -> its value.
        """
        for key, values in changed.items():
            self._assign(self._weight(*key), values)

    def zero(self, layer: str, weight: str, axis: int, dropped: np.ndarray) -> None:
        """Give zeros to a slice of a layer's weight.

        Args:
            layer: the layer.
            weight: its weight.
            axis: of the weight, counted from the back.
            dropped: boolean [size of the axis]; True becomes zero.
        """
        variable = self._weight(layer, weight)
        values = np.array(variable)
        np.moveaxis(values, axis, 0)[dropped] = 0.0
        self._assign(variable, values)

    def params(self) -> dict[str, dict[str, np.ndarray]]:
        """Give the weights as they are now, by layer and name."""
        return {
            layer: {name: np.asarray(self._weight(layer, name)) for name in arrays}
            for layer, arrays in self._graph.params.items()
        }

    def _assign(self, variable: Any, values: np.ndarray) -> None:
        """Change a weight; what was sampled behind it is no longer true."""
        variable.assign(values)
        here = self._fresh.get(self._here)  # the layer at hand reads nothing that changes now
        self._fresh = {} if here is None else {self._here: here}

    def _sample_targets(self, first: str) -> None:
        """Sample the targets of a layer and of as many after it as fit in memory, in one pass."""
        names = list(self.readings)
        chosen: list[Reading] = []
        size = 0
        for name in names[names.index(first) :]:
            num_outputs = self.readings[name].item.kernel.shape[1]
            size += self._sampler.num_images * self._sampler.num_positions * num_outputs * 4
            if chosen and size > MAX_TARGET_BYTES:
                break
            if name not in self._targets:
                chosen.append(self.readings[name])
        wanted = [reading.source for reading in chosen]
        wanted += [reading.total for reading in chosen if reading.total is not None]
        model, tensors = self._original
        part = keras.Model(model.inputs, [tensors[ref] for ref in wanted])
        targets = self._sampler.targets([reading.item for reading in chosen], part)
        self._targets |= zip((reading.name for reading in chosen), targets, strict=True)

    def _weight(self, layer: str, name: str) -> Any:
        # By place: layers inside a layer repeat each other's weight names.
        names = self._graph.params[layer]
        return self._work.get_layer(layer).weights[list(names).index(name)]
