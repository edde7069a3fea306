"""Starting values: every kernel on its code, rounded layer after layer on the walk.

The walk gives each layer the inputs of the network as rounded so far (through the quantizers of
activations, where there are any) and the outputs of the network before as targets, so that each
layer also makes up for the rounding in front of it. The means of outputs are met exactly: what
rounding shifts them by goes into the bias or the mean of the batch norm behind (bias correction).
Batch norms are not folded and their statistics not taken anew.

Layers that cannot be sampled (depthwise and transposed convolutions, layers that are called several
times) are rounded to the nearest values, with codes by the squared error of the weights.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from learners.kernels.layers import KernelLayer, layers_by_node
from learners.kernels.tables import MAX_ROWS
from learners.low_bits.coding import Code, Coding
from learners.low_bits.rounding import round_to_code
from learners.reconstruction.sampling import Sampler
from learners.reconstruction.statistics import LayerStatistics
from learners.reconstruction.walk import Walk
from utils.graph import Graph


@dataclasses.dataclass(frozen=True, eq=False)
class Start:
    """A network whose kernels lie on codes.

    Attributes:
        graph: the network.
        codes: of each kernel, by its name.
        errors: relative squared error of each layer's output on the samples; of its weights, where
            it could not be sampled.
    """

    graph: Graph
    codes: Mapping[str, Code]
    errors: Mapping[str, float]


def nearest_start(
    graph: Graph, layers: Sequence[KernelLayer], bits: Mapping[str, int], coding: Coding
) -> Start:
    """Round every kernel to the nearest values, without a look at data.

    Args:
        graph: the network.
        layers: its kernels that are quantized.
        bits: of each, by name.
        coding: settles their codes.

    Returns:
        The network on its codes; zeros stay zeros.
    """
    params = {layer: dict(arrays) for layer, arrays in graph.params.items()}
    codes, errors = {}, {}
    for layer in layers:
        kernel = layer.matrix(graph.params)
        codes[layer.name] = code = coding.fit(layer, kernel, bits[layer.name], None)
        values = nearest_values(kernel, code)
        for (name, weight), array in _on_code(code, values).items():
            params[name][weight] = array
        errors[layer.name] = _weight_error(kernel, values)
    return Start(graph.replace(params=params), codes, errors)


def walked_start(
    graph: Graph,
    layers: Sequence[KernelLayer],
    bits: Mapping[str, int],
    coding: Coding,
    sampler: Sampler,
    *,
    before: Graph | None = None,
    on_layer: Callable[[int, int, str], None] = lambda done, total, name: None,
) -> Start:
    """Round every kernel on the walk, see the module.

    Args:
        graph: the network, perhaps with quantizers of activations.
        layers: its kernels that are quantized.
        bits: of each, by name.
        coding: settles their codes.
        sampler: the images.
        before: the network that gives the targets, with the same nodes; None for `graph`.
        on_layer: see `Walk`.

    Returns:
        The network on its codes; zeros stay zeros.
    """
    by_node = layers_by_node(layers)
    solved = {node: all(la.num_rows <= MAX_ROWS for la in own) for node, own in by_node.items()}
    walk = Walk(graph, solved, sampler, compensate=True, on_layer=on_layer, before=before)
    codes: dict[str, Code] = {}
    errors: dict[str, float] = {}
    for node in walk:
        for layer in by_node[node]:
            reading = walk.readings.get(node)
            kernel = layer.matrix(graph.params)
            solver = _Solver(layer, bits[layer.name], coding, present=kernel != 0)
            if reading is not None and reading.kernels == layer.weights:
                errors[layer.name] = walk.solve(node, solver)
                codes[layer.name] = solver.code
                continue
            codes[layer.name] = code = coding.fit(layer, kernel, bits[layer.name], None)
            values = nearest_values(kernel, code)
            walk.put(_on_code(code, values))
            errors[layer.name] = _weight_error(kernel, values)
    return Start(graph.replace(params=walk.params()), codes, errors)


class _Solver:
    """Implements `learners.reconstruction.walk.Solver`; keeps the code that was settled."""

    code: Code

    def __init__(
        self, layer: KernelLayer, bits: int, coding: Coding, *, present: np.ndarray
    ) -> None:
        self._layer, self._bits, self._coding = layer, bits, coding
        self._present = None if present.all() else present

    def __call__(
        self, statistics: LayerStatistics, kernel: np.ndarray, *, centred: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        settled, self.code = round_to_code(
            statistics.gram(centred),
            statistics.cross_gram(centred),
            lambda values, importance: self._coding.fit(
                self._layer, values, self._bits, importance
            ),
            kernel=kernel,
            present=self._present,
        )
        tensors = _on_code(self.code, settled)
        held = self._layer.matrix({self._layer.layer: {w: a for (_, w), a in tensors.items()}})
        return held, statistics.offset(held, centred)


def nearest_values(kernel: np.ndarray, code: Code) -> np.ndarray:
    """Round a kernel, float [P, O], to the nearest values of a code; zeros stay zeros."""
    rows, outputs = np.arange(len(kernel))[:, None], np.arange(kernel.shape[1])[None]
    values = code.nearest(np.asarray(kernel, np.float64), rows, outputs)
    return np.where(kernel != 0, values, 0.0)


def _on_code(code: Code, values: np.ndarray) -> dict[tuple[str, str], np.ndarray]:
    """Give the weights as a network of few bits holds them, float32: with float32 scales."""
    return {key: tensor.dequantized() for key, tensor in code.tensors(values).items()}


def _weight_error(kernel: np.ndarray, values: np.ndarray) -> float:
    energy = float(np.sum(np.square(kernel, dtype=np.float64)))
    return float(np.sum((values - kernel) ** 2)) / energy if energy else 0.0
