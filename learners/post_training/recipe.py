"""Quantize a trained network without training: the order of the steps.

1. Batch norms are folded and ReLUs fused: the network as it runs.
2. If wished, channels are equalized across layers.
3. The ranges of its activations are taken from samples, or from a table.
4. Its kernels are rounded, its biases corrected.

What comes out are integers with what they stand for; simulated in float, computed in integers, or
written to a file they are the same network.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from learners.post_training.config import PostTrainingConfig
from learners.post_training.kernels import Weights, nearest_kernels, walked_kernels, with_room
from learners.reconstruction.sampling import Sampler
from utils.errors import InputError
from utils.graph import Graph, Ref
from utils.graph.integer_form import inference_form, integer_form
from utils.quantization.bias_room import input_steps
from utils.quantization.calibration import Statistics
from utils.quantization.calibration_table import CalibrationTable, digest, require
from utils.quantization.equalization import equalize, unbounded
from utils.quantization.fake_quant_graph import deployed_graph
from utils.quantization.grid import Grid, Range, Scaling, scale
from utils.quantization.integers import IntegerPlan, RangePlace, WeightPlace, integer_plan
from utils.quantization.observation import observe
from utils.quantization.range_floor import widened
from utils.quantization.simulation import with_quantizers
from utils.quantization.strategies import activation_grid, activation_scaling

NUM_POSITIONS = 48  # of a map, that rows are sampled at
INT8_BITS = 8


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class PostTrained:
    """A quantized network.

    Attributes:
        config: how.
        before: the network as it runs, in float.
        plan: its integers.
        table: ranges of its activations.
        scalings: the grid of each activation that has one.
        graph: the network with its weights on their grids, biases corrected.
        weights: the integers of its weights.
    """

    config: PostTrainingConfig
    before: Graph
    plan: IntegerPlan
    table: CalibrationTable
    scalings: Mapping[Ref, Scaling]
    graph: Graph
    weights: Weights

    def deployed(self) -> Graph:
        """Give the network that a file is converted from: fake quantization inside.

        Raises:
            InputError: for a network without quantization, or with activations of 16 bits.
        """
        config = self.config
        if not config.scheme.is_quantized or config.activation_bits != INT8_BITS:
            raise InputError(
                "a file is converted from a network with activations of 8 bits. Received: "
                f"--strategy={config.strategy}, --activation_bits={config.activation_bits}."
            )
        grid = activation_grid(config.scheme, INT8_BITS)
        ends = [_ends(self.scalings[place.refs[0]], grid) for place in self.plan.activations]
        weights = [self._limit(place) for place in self.plan.weights]
        return deployed_graph(self.graph, self.plan, ends, weights)

    def ends(self) -> dict[str, tuple[float, float]]:
        """Give what the least and the greatest integer of each activation stand for, by its node.

        A node with several outputs has the range of the last.
        """
        grid = activation_grid(self.config.scheme, self.config.activation_bits)
        return {ref.node: _ends(scaling, grid) for ref, scaling in self.scalings.items()}

    def _limit(self, place: WeightPlace) -> tuple[WeightPlace, int, np.ndarray]:
        tensor = self.weights[place.layer, place.weight]
        if tensor.scale is None:
            raise ValueError("post-training quantization has grids.")
        limit = tensor.scale * np.float32(2 ** (tensor.bits - 1) - 1)
        if tensor.grouping.kind == "tensor":
            return dataclasses.replace(place, axes=()), tensor.bits, limit.reshape(())
        return place, tensor.bits, limit

    def simulated(self) -> Graph:
        """Give the quantized network in float arithmetic."""
        if not self.config.scheme.is_quantized:
            return self.before
        return with_quantizers(self.graph, self.scalings, self.config.activation_bits)


def _ends(scaling: Scaling, grid: Grid) -> tuple[float, float]:
    step, zero = float(scaling.scale[0]), int(scaling.zero_point[0])
    return (grid.lowest - zero) * step, (grid.highest - zero) * step


def running_form(graph: Graph, *, equalized: bool) -> Graph:
    """Give a network as it runs: folded, fused, perhaps equalized.

    Args:
        graph: the trained network.
        equalized: scale channels, see `utils.quantization.equalization`.
    """
    folded = inference_form(integer_form(graph))[0]
    return equalize(unbounded(folded)) if equalized else folded


def quantize(
    graph: Graph,
    config: PostTrainingConfig,
    batches: Iterable[Any] = (),
    *,
    table: CalibrationTable | None = None,
    seed: int = 0,
) -> PostTrained:
    """Quantize a network.

    Args:
        graph: the trained network.
        config: how.
        batches: samples of its inputs; of a network that has a table and is rounded to the nearest
            without correction none are needed.
        table: ranges to take instead.
        seed: of the positions that layers are sampled at.

    Returns:
        The quantized network.

    Raises:
        InputError: for missing samples, or a table that lacks a range.
    """
    before = running_form(graph, equalized=config.equalize)
    plan = integer_plan(before)
    held = list(batches)
    if table is None:
        table = calibrate(before, plan, config, held)
    needed = {ref: place for place in plan.activations for ref in place.refs if not place.fixed}
    require(table, needed, "the calibration table")
    scalings = _scalings(before, plan, table, config)
    if not config.scheme.is_quantized:
        changed, weights = before, Weights()
    else:
        means = _means(before, plan, held) if config.bias_correction else {}
        if config.rounding in ("nearest", "mse"):
            changed, weights = nearest_kernels(before, plan, config, means)
        else:
            sampler = _sampler(before, config, held, seed)
            changed, weights = _walked(before, plan, config, scalings, sampler, means)
    steps = [float(scalings[place.refs[0]].scale[0]) for place in plan.activations]
    changed, weights = with_room(changed, weights, input_steps(changed, plan, steps), config)
    return PostTrained(
        config=config,
        before=before,
        plan=plan,
        table=table,
        scalings=scalings,
        graph=changed,
        weights=weights,
    )


def calibrate(
    before: Graph, plan: IntegerPlan, config: PostTrainingConfig, batches: Sequence[Any]
) -> CalibrationTable:
    """Choose the ranges of a network's activations.

    Args:
        before: the network as it runs.
        plan: its integers.
        config: the method, and the grids that it is for.
        batches: the samples.

    Returns:
        The table. Tensors that share a range stand in it with the same numbers.
    """
    places = [place for place in plan.activations if place.fixed is None]
    refs = [ref for place in places for ref in place.refs]
    needs_histogram = config.calibration not in ("minmax", "moving")
    seen = observe(before, refs, batches, with_histogram=needs_histogram)
    grid = activation_grid(config.scheme, config.activation_bits)
    ranges: dict[Ref, tuple[float, float]] = {}
    for place in places:
        found = [
            seen[ref].range(config.calibration, grid, percentile=config.percentile)  # type: ignore[arg-type]
            for ref in place.refs
        ]
        low = min(float(each.least[0]) for each in found)
        high = max(float(each.greatest[0]) for each in found)
        ranges |= dict.fromkeys(place.refs, (low, high))
    return CalibrationTable(
        network=digest(before),
        method=config.calibration,
        equalized=config.equalize,
        num_samples=sum(_count(batch) for batch in batches),
        ranges=ranges,
    )


def _count(batch: Any) -> int:
    if isinstance(batch, Mapping):
        batch = next(iter(batch.values()))
    return len(batch[0] if isinstance(batch, list | tuple) else batch)


def _ordered(batch: Any, graph: Graph) -> Any:
    """Give a batch as the network is called with it: an array, or a list of one for each input."""
    if isinstance(batch, Mapping):
        batch = [batch[ref.node] for ref in graph.inputs]
    if not isinstance(batch, list | tuple):
        return np.asarray(batch)
    arrays = [np.asarray(each) for each in batch]
    return arrays[0] if len(arrays) == 1 else arrays


def _scalings(
    before: Graph, plan: IntegerPlan, table: CalibrationTable, config: PostTrainingConfig
) -> dict[Ref, Scaling]:
    held = [place.fixed or _common(place, table) for place in plan.activations]
    found: dict[Ref, Scaling] = {}
    for place, (low, high) in zip(plan.activations, widened(before, plan, held), strict=True):
        ends = Range(np.array([low]), np.array([high]))
        scaling = activation_scaling(ends, config.scheme, config.activation_bits)
        if place.fixed and config.activation_bits == INT8_BITS:  # a kernel's own, in any strategy
            scaling = scale(ends, Grid(bits=INT8_BITS))
        found |= dict.fromkeys(place.refs, scaling)
    return found


def _common(place: RangePlace, table: CalibrationTable) -> tuple[float, float]:
    """Give the range of a place; where a table says different ones for its tensors, the widest."""
    lows, highs = zip(*(table.ranges[ref] for ref in place.refs), strict=True)
    return min(lows), max(highs)


def _means(before: Graph, plan: IntegerPlan, batches: Sequence[Any]) -> dict[str, Statistics]:
    """Look at the inputs of layers with integer weights, by layer and channel.

    Of a layer that is called several times, whose bias is left, one of its inputs stands for all.
    """
    layers = {place.layer for place in plan.weights}
    refs = {node.layer: node.inputs[0] for node in before.nodes if node.layer in layers}
    wanted = list(dict.fromkeys(refs.values()))
    seen = observe(before, wanted, batches, with_histogram=False, by_channel=set(wanted))
    return {layer: seen[ref] for layer, ref in refs.items()}


def _sampler(
    before: Graph, config: PostTrainingConfig, batches: Sequence[Any], seed: int
) -> Sampler:
    if not batches:
        raise InputError(f"`rounding` {config.rounding} needs samples. Received: none.")
    return Sampler(
        [_ordered(batch, before) for batch in batches],
        num_images=sum(_count(batch) for batch in batches),
        num_positions=NUM_POSITIONS,
        seed=seed,
    )


def _walked(
    before: Graph,
    plan: IntegerPlan,
    config: PostTrainingConfig,
    scalings: Mapping[Ref, Scaling],
    sampler: Sampler,
    means: Mapping[str, Statistics],
) -> tuple[Graph, Weights]:
    bits = config.activation_bits
    graphs = (
        with_quantizers(before, scalings, bits),
        with_quantizers(before, scalings, bits, idle=True),
    )
    params, weights = walked_kernels(graphs, plan, config, sampler, means=means)
    kept = {layer: params[layer] for layer in before.params}
    return before.replace(params=kept), weights
