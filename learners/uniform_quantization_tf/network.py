"""The network that is trained, with what its quantizers hold: three views of one thing.

- the plain network: batch norms in it or folded, weights on their grids;
- the simulated one: with quantizers of activations, sharing the plain one's layers;
- the deployed one: fused, with quantizers of activations and of weights.

Grids of weights are symmetric, without the lowest step. With a scale for each output channel, the
integers are the same before batch norm is folded and after: folding multiplies a channel's weights
and its limit by one number (a negative one turns the signs around, for which the grid has room).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import keras
import numpy as np

from utils.graph import Graph, to_keras
from utils.graph.integer_form import inference_form
from utils.graph.keras_io import build, read
from utils.quantization.activation import NO_BITS
from utils.quantization.fake_quant import Update
from utils.quantization.fake_quant_graph import deployed_graph, weight_limit, with_ranges
from utils.quantization.grid import Grid, Scaling
from utils.quantization.groups import Grouping
from utils.quantization.integers import Ends, IntegerPlan, WeightPlace, integer_plan
from utils.quantization.range_floor import widened

Weight = tuple[str, str]
"""(layer, weight), by their names in the graph."""
Arrays = Mapping[Weight, np.ndarray]


def weight_grid(bits: int) -> Grid:
    """Give the grid that integer kernels have for weights."""
    return Grid(bits=bits, kind="symmetric", narrow=True)


def num_levels(bits: int) -> int:
    """Count the steps above zero."""
    return int(2 ** (bits - 1) - 1)


def grouping(axes: Sequence[int]) -> Grouping:
    """Say which weights share a scale, see `WeightPlace.axes`."""
    return Grouping("channel", axes=tuple(axes)) if axes else Grouping("tensor")


def scaling(limit: np.ndarray, bits: int) -> Scaling:
    """Give grids by the largest absolute values on them, float [G] or one."""
    scale = np.asarray(limit, np.float64).reshape(-1) / num_levels(bits)
    return Scaling(scale, np.full(scale.shape, 2 ** (bits - 1), np.int32))


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class IntegerNetwork:
    """A network on its way to integers; see the module.

    Attributes:
        graph: the plain network, of the integer form.
        plan: where quantizers stand in the fused network.
        ranges: of each place of activations.
        bits: of each weight.
        limits: of each weight, float32: the largest absolute values of its grids.
        latents: of each weight, the float values behind those on the grid.
    """

    graph: Graph
    plan: IntegerPlan
    ranges: tuple[Ends, ...]
    bits: Mapping[Weight, int]
    limits: Arrays
    latents: Arrays

    def simulated_graph(self, update: Update = "none", bits: int = 8) -> Graph:
        """Put quantizers of activations into the plain network; 32 bits let all pass."""
        origins = inference_form(self.graph)[1]
        return with_ranges(
            self.graph,
            self.plan.activations,
            self.ranges,
            bits=bits,
            update=update,
            origins=origins,
        )

    def idle_graph(self) -> Graph:
        """Give a network with the same nodes whose quantizers let all pass."""
        return self.simulated_graph(bits=NO_BITS)

    def folded(self) -> IntegerNetwork:
        """Fold what batch norm is left; weights, limits and latent values go along."""
        spread = {
            key: limit_of_each(limit, self.graph.params[key[0]][key[1]], self._axes(key))
            for key, limit in self.limits.items()
        }
        limits = self._through_fold(spread)
        fused = inference_form(self.graph)[0]
        return dataclasses.replace(
            self,
            graph=fused,
            limits={key: weight_limit(limits[key], self._axes(key)) for key in limits},
            latents=self._through_fold(self.latents),
        ).completed()

    def completed(self) -> IntegerNetwork:
        """Give weights that came in with folding (batch norm as a kernel) their own grids."""
        bits, limits, latents = dict(self.bits), dict(self.limits), dict(self.latents)
        for place in self.plan.weights:
            key = (place.layer, place.weight)
            kernel = self.graph.params.get(place.layer, {}).get(place.weight)
            if key not in bits and kernel is not None:
                bits[key], latents[key] = 8, kernel
                limits[key] = weight_limit(kernel, place.axes)
        return dataclasses.replace(self, bits=bits, limits=limits, latents=latents)

    def deployed_graph(self) -> Graph:
        """Make the network that a file is converted from."""
        whole = self.folded()
        weights = [
            (place, whole.bits[key], whole.limits[key])
            for place in whole.plan.weights
            for key in [(place.layer, place.weight)]
        ]
        # Training may have left a range so narrow that kernels could not compute with it.
        ranges = widened(whole.graph, whole.plan, whole.ranges)
        return deployed_graph(whole.graph, whole.plan, ranges, weights)

    def _axes(self, key: Weight) -> tuple[int, ...]:
        return next(p.axes for p in self.plan.weights if (p.layer, p.weight) == key)

    def _through_fold(self, values: Arrays) -> dict[Weight, np.ndarray]:
        """Do to arrays shaped like the weights what folding does to these."""
        params = {layer: dict(arrays) for layer, arrays in self.graph.params.items()}
        for (layer, weight), array in values.items():
            params[layer][weight] = np.asarray(array, np.float32)
        fused = inference_form(self.graph.replace(params=params))[0]
        return {key: fused.params[key[0]][key[1]] for key in values}


def limit_of_each(limit: np.ndarray, kernel: np.ndarray, axes: Sequence[int]) -> np.ndarray:
    """Spread the limits of a weight's grids over its entries."""
    ids = grouping(axes).ids(kernel.shape)
    return np.asarray(limit).reshape(-1)[ids]


def plan_of(graph: Graph) -> IntegerPlan:
    """Look where quantizers of a network of the integer form must stand."""
    return integer_plan(inference_form(graph)[0])


def trained_weights(graph: Graph, plan: IntegerPlan) -> list[WeightPlace]:
    """List the weights of the plan that the plain network holds."""
    return [place for place in plan.weights if place.weight in graph.params.get(place.layer, {})]


def simulated_model(plain: keras.Model, graph: Graph) -> keras.Model:
    """Build a network with quantizers around the layers of the plain one.

    Args:
        plain: the plain network.
        graph: the simulated one, see `IntegerNetwork.simulated_graph`.
    """
    now, operations = read(plain, allow_unsafe=graph.allow_unsafe)
    return build(graph.replace(params={**graph.params, **now.params}), shared=operations)[0]


def ranges_in(simulated: keras.Model, plan: IntegerPlan) -> tuple[Ends, ...]:
    """Read the ranges that a simulated network has come to."""
    return tuple(
        (float(layer.least.numpy()), float(layer.greatest.numpy()))
        for layer in (simulated.get_layer(place.name) for place in plan.activations)
    )


def deployed_model(network: IntegerNetwork) -> keras.Model:
    """Build the network that a file is converted from."""
    return to_keras(network.deployed_graph())
