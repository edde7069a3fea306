"""Rounding all kernels of a network to the grids of a strategy.

`nearest` and `mse` look at the weights alone; what that shifts the mean of outputs by goes into the
biases (`utils/quantization/bias_correction.py`). `adaround` and `obq` go through the network layer
by layer (`learners/reconstruction/walk.py`): each layer sees the inputs of the network as quantized
so far, and meets the mean of the outputs before exactly. What cannot be sampled there (depthwise
and transposed convolutions) is rounded to the nearest, its bias corrected as with `nearest`.

`nearest` has grids that reach the largest weight, all others those of the least squared error of
the weights, as AdaRound has (Nagel et al., ICML 2020, arXiv:2004.10568, section 5).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from learners.kernels.layers import KernelLayer, kernel_layers
from learners.kernels.tables import MAX_ROWS
from learners.low_bits.coding import Code, Places
from learners.low_bits.grids import GridCode
from learners.low_bits.rounding import round_to_code
from learners.post_training.config import PostTrainingConfig
from learners.reconstruction.sampling import Sampler
from learners.reconstruction.statistics import LayerStatistics
from learners.reconstruction.walk import Walk
from utils.graph import Graph, ops
from utils.graph.row import IN, OUT
from utils.quantization.adaround import adaround
from utils.quantization.bias_correction import corrected_bias
from utils.quantization.bias_room import limit_with_room
from utils.quantization.calibration import Statistics
from utils.quantization.grid import Scaling, encode
from utils.quantization.groups import Grouping
from utils.quantization.integers import IntegerPlan, WeightPlace
from utils.quantization.strategies import power_of_two, weight_grid, weight_scaling
from utils.quantization.tensor import QuantizedTensor

Weights = dict[tuple[str, str], QuantizedTensor]
"""(layer, weight) -> its integers."""


@dataclasses.dataclass(frozen=True, eq=False)
class FixedGrid(GridCode):
    """A grid whose scales stay as the strategy wants them."""

    def improved(self, gram: np.ndarray, cross: np.ndarray, kernel: np.ndarray) -> Code:
        """Give the code as it is."""
        return self


def grouping_of(place: WeightPlace, config: PostTrainingConfig) -> Grouping:
    """Say which weights share a scale: those of a channel where kernels and flags allow it."""
    if config.is_per_channel and place.axes:
        return Grouping("channel", axes=place.axes)
    return Grouping("tensor")


def nearest_kernels(
    graph: Graph,
    plan: IntegerPlan,
    config: PostTrainingConfig,
    means: Mapping[str, Statistics],
) -> tuple[Graph, Weights]:
    """Round every kernel to the nearest points of its grid.

    Args:
        graph: the folded network.
        plan: its integers.
        config: grids; whether biases are corrected.
        means: of the inputs of its layers, by layer and channel; empty without correction.

    Returns:
        The network on its grids, and the integers.
    """
    params = {layer: dict(arrays) for layer, arrays in graph.params.items()}
    found: Weights = {}
    for place in plan.weights:
        kernel = graph.params[place.layer][place.weight]
        code = _nearest(kernel, place, config)
        found[place.layer, place.weight] = code
        params[place.layer][place.weight] = code.dequantized()
        if means:
            _correct(graph, place, params[place.layer], means)
    return graph.replace(params=params), found


def _nearest(kernel: np.ndarray, place: WeightPlace, config: PostTrainingConfig) -> QuantizedTensor:
    grouping = grouping_of(place, config)
    scaling = weight_scaling(
        kernel, grouping, config.scheme, config.weight_bits, clipped=config.rounding != "nearest"
    )
    return encode(kernel, scaling, weight_grid(config.weight_bits), grouping)


def _correct(
    graph: Graph, place: WeightPlace, arrays: dict[str, np.ndarray], means: Mapping[str, Statistics]
) -> None:
    """Correct a layer's bias; a layer without one, or called several times, is left."""
    calls = graph.calls(place.layer)
    kernel = graph.params[place.layer][place.weight]
    if len(calls) != 1 or "bias" not in arrays or place.weight != "kernel":
        return
    row, seen = ops.find(graph, calls[0]), means[place.layer]
    roles = {} if row is None else row.weights["kernel"]
    # Transposed: another axis. Grouped: an output reads only some of the inputs.
    if roles.get(-2) != IN or len(seen.least) != kernel.shape[-2]:
        return
    is_depthwise = OUT not in roles.values()
    bias = corrected_bias(
        arrays["bias"], kernel, arrays[place.weight], seen.mean, is_depthwise=is_depthwise
    )
    arrays["bias"] = bias.astype(arrays["bias"].dtype)


def walked_kernels(
    graphs: tuple[Graph, Graph],
    plan: IntegerPlan,
    config: PostTrainingConfig,
    sampler: Sampler,
    *,
    means: Mapping[str, Statistics],
) -> tuple[dict[str, dict[str, np.ndarray]], Weights]:
    """Round every kernel on the walk.

    Args:
        graphs: the folded network with quantizers of activations, and the same nodes with idle
            ones.
        plan: its integers.
        config: grids and how weights are rounded; whether biases are corrected.
        sampler: the images.
        means: see `nearest_kernels`, for what cannot be sampled.

    Returns:
        All weights of the network, and the integers.
    """
    quantized, before = graphs
    wanted = {(place.layer, place.weight): place for place in plan.weights}
    layers = [
        layer
        for layer in kernel_layers(quantized)
        if all((layer.layer, weight) in wanted for weight in layer.weights)
    ]
    nodes = {layer.node: layer for layer in layers}
    solved = {name: layer.num_rows <= MAX_ROWS for name, layer in nodes.items()}
    walk = Walk(quantized, solved, sampler, compensate=False, before=before)
    found: Weights = {}
    for name in walk:
        layer, reading = nodes[name], walk.readings.get(name)
        places = [wanted[layer.layer, weight] for weight in layer.weights]
        if reading is not None and reading.kernels == layer.weights:
            solver = _Solver(layer, places[0], config)
            walk.solve(name, solver)
            found |= solver.tensors
            continue
        arrays = dict(quantized.params[layer.layer])
        for place in places:
            found[place.layer, place.weight] = tensor = _nearest(
                arrays[place.weight], place, config
            )
            arrays[place.weight] = tensor.dequantized()
            if means:
                _correct(quantized, place, arrays, means)
        walk.put({(layer.layer, weight): array for weight, array in arrays.items()})
    return walk.params(), found


def with_room(
    graph: Graph, weights: Weights, steps: Mapping[str, float], config: PostTrainingConfig
) -> tuple[Graph, Weights]:
    """Widen the grids of channels whose biases would not fit an int32.

    Args:
        graph: the network on its grids.
        weights: its integers.
        steps: layer -> step of its input.
        config: the strategy.

    Returns:
        Both, with these channels rounded anew (`utils/quantization/bias_room.py`).
    """
    params, found = dict(graph.params), dict(weights)
    for (layer, weight), tensor in weights.items():
        arrays = graph.params[layer]
        if layer not in steps or "bias" not in arrays or tensor.scale is None:
            continue
        levels = 2 ** (tensor.bits - 1) - 1
        limit = tensor.scale * np.float32(levels)
        roomy = limit_with_room(limit, arrays["bias"], steps[layer], tensor.bits)
        if not (roomy > limit).any():
            continue
        widened = power_of_two(roomy.astype(np.float64) / levels, config.scheme)
        scale = np.where(roomy > limit, widened, tensor.scale)
        zeros = np.full(scale.shape, 2 ** (tensor.bits - 1), np.int32)
        code = encode(
            arrays[weight], Scaling(scale, zeros), weight_grid(tensor.bits), tensor.grouping
        )
        found[layer, weight] = code
        params[layer] = {**arrays, weight: code.dequantized()}
    return graph.replace(params=params), found


class _Solver:
    """Implements `learners.reconstruction.walk.Solver`; keeps the integers."""

    tensors: Mapping[tuple[str, str], QuantizedTensor]

    def __init__(self, layer: KernelLayer, place: WeightPlace, config: PostTrainingConfig) -> None:
        self._layer, self._config = layer, config
        self._grouping = grouping_of(place, config)

    def __call__(
        self, statistics: LayerStatistics, kernel: np.ndarray, *, centred: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        centred = centred and self._config.bias_correction
        code = self._code(kernel)
        gram = statistics.gram(centred)
        if self._config.rounding == "adaround":
            steps = code.scaling.scale[code.places.ids[0]]
            highest = 2 ** (self._config.weight_bits - 1) - 1
            settled = adaround(kernel, gram, steps, (-highest, highest)) * steps
        else:
            cross = statistics.cross_gram(centred)
            settled, _ = round_to_code(gram, cross, lambda values, importance: code, kernel=kernel)
        self.tensors = code.tensors(settled)
        arrays = {weight: each.dequantized() for (_, weight), each in self.tensors.items()}
        held = self._layer.matrix({self._layer.layer: arrays})
        return held, statistics.offset(held, centred)

    def _code(self, kernel: np.ndarray) -> FixedGrid:
        config = self._config
        places = Places.of(self._layer, lambda axes: self._grouping)
        arrays = self._layer.tensors(kernel)
        (array,) = arrays.values()
        scaling = weight_scaling(
            array, self._grouping, config.scheme, config.weight_bits, clipped=True
        )
        return FixedGrid(places, weight_grid(config.weight_bits), scaling)
