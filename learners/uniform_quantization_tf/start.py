"""Post-training quantization: where training begins, and all there is with no epochs to train.

1. Ranges of activations from training images, in the fused network.
2. Every kernel on its grids: rounded on the walk (`learners/low_bits/start.py`), which sees what
   quantized activations and the layers in front leave of a layer's input; or to the nearest points.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from learners.kernels.layers import KernelLayer, kernel_layers
from learners.low_bits.grids import GridCode, GridCoding
from learners.low_bits.start import nearest_start, walked_start
from learners.reconstruction.sampling import Sampler
from learners.uniform_quantization_tf.network import (
    IntegerNetwork,
    Weight,
    grouping,
    num_levels,
    plan_of,
    trained_weights,
)
from utils.graph import Graph
from utils.graph.integer_form import inference_form
from utils.quantization.calibration import Method
from utils.quantization.integers import Ends, IntegerPlan
from utils.quantization.observation import observe
from utils.quantization.range_floor import widened


@dataclasses.dataclass(frozen=True)
class IntegerCoding:
    """Implements `learners.low_bits.coding.Coding`: the grids that integer kernels have.

    Attributes:
        axes: of each weight, see `WeightPlace.axes`.
    """

    axes: Mapping[Weight, tuple[int, ...]]

    def fit(
        self, layer: KernelLayer, kernel: np.ndarray, bits: int, importance: np.ndarray | None
    ) -> GridCode:
        """Choose the limits by least squared error."""
        return self._coding(layer).fit(layer, kernel, bits, importance)

    def table_bits(self, layer: KernelLayer, bits: int) -> int:
        """A float32 scale for each channel that has one."""
        return self._coding(layer).table_bits(layer, bits)

    def _coding(self, layer: KernelLayer) -> GridCoding:
        axes = self.axes[layer.layer, layer.weights[0]]
        return GridCoding(lambda _: grouping(axes), "symmetric", narrow=True)


def calibrated_ranges(
    graph: Graph, plan: IntegerPlan, batches: Iterable[Any], method: Method
) -> tuple[Ends, ...]:
    """Take the ranges of activations from images.

    Args:
        graph: the network of the integer form.
        plan: its places.
        batches: of images.
        method: see `utils.quantization.calibration`.

    Returns:
        One for each place; of tensors that share it, what holds the ranges of all.
    """
    open_places = [place for place in plan.activations if place.fixed is None]
    refs = [ref for place in open_places for ref in place.refs]
    with_histogram = method not in ("minmax", "moving")
    fused = inference_form(graph)[0]
    seen = observe(fused, refs, batches, with_histogram=with_histogram)
    ranges = {ref: found.range(method) for ref, found in seen.items()}
    ends: list[Ends] = []
    for place in open_places:
        own = [ranges[ref] for ref in place.refs]
        least, greatest = min(r.least[0] for r in own), max(r.greatest[0] for r in own)
        ends.append((float(least), float(greatest)))
    found = iter(ends)
    return widened(fused, plan, [place.fixed or next(found) for place in plan.activations])


def integer_layers(graph: Graph, plan: IntegerPlan) -> list[KernelLayer]:
    """List the kernels of the plain network that the plan quantizes."""
    planned = {(place.layer, place.weight) for place in trained_weights(graph, plan)}
    return [
        layer
        for layer in kernel_layers(graph)
        if all((layer.layer, weight) in planned for weight in layer.weights)
    ]


def start(
    graph: Graph,
    ranges: tuple[Ends, ...],
    bits: Mapping[str, int],
    sampler: Sampler | None,
    on_layer: Callable[[int, int, str], None] = lambda done, total, name: None,
) -> tuple[IntegerNetwork, dict[str, float]]:
    """Round every kernel.

    Args:
        graph: the network of the integer form, in float.
        ranges: of its places of activations.
        bits: of each kernel, by name.
        sampler: images for the walk; None rounds to the nearest points.
        on_layer: see `Walk`.

    Returns:
        The network, and the relative squared error of each kernel's output (without a walk, or
        where a layer could not be sampled, of its weights) by name.
    """
    plan = plan_of(graph)
    layers = integer_layers(graph, plan)
    coding = IntegerCoding({(p.layer, p.weight): p.axes for p in plan.weights})
    empty: dict[Weight, Any] = {}
    network = IntegerNetwork(
        graph=graph, plan=plan, ranges=ranges, bits=empty, limits=empty, latents=empty
    )
    if sampler is None:
        found = nearest_start(graph, layers, bits, coding)
    else:
        found = walked_start(
            network.simulated_graph(),
            layers,
            bits,
            coding,
            sampler,
            before=network.idle_graph(),
            on_layer=on_layer,
        )
    params = {layer: found.graph.params[layer] for layer in graph.params}
    rounded = graph.replace(params=params)
    own_bits, limits = {}, {}
    for layer in layers:
        code = found.codes[layer.name]
        for key, tensor in code.tensors(layer.matrix(params)).items():
            if tensor.scale is None:
                raise ValueError("an integer grid has a scale.")
            own_bits[key] = bits[layer.name]
            limits[key] = tensor.scale * np.float32(num_levels(bits[layer.name]))
    latents = {(layer, weight): params[layer][weight] for layer, weight in own_bits}
    done = dataclasses.replace(
        network, graph=rounded, bits=own_bits, limits=limits, latents=latents
    ).completed()
    return done, dict(found.errors)
