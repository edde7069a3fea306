"""The learner `uniform-tf`: quantization-aware training that ends in an all-int8 file.

1. The network is brought into the form that integer kernels have (`utils/graph/integer_form.py`);
   `quant_delay` steps are trained as before.
2. Post-training quantization (`start.py`): ranges of activations, kernels on their grids, each of
   as many bits as `bits.py` says. With no epochs to train, that is the result.
3. Training with quantizers of activations in the network, wherever the table of ops says that int8
   needs one, and with weights on their grids (`utils/training/latent.py`), whose scales are
   learned. Batch norms stay, with the statistics of each batch; after `freeze_bn_delay` steps they
   are folded, and the folded kernels trained.
4. The artefact is the plain network, its weights on the grids. Files are made of the fused one with
   all quantizers in it, by TensorFlow's own fake-quantization ops, and the accuracy is its.

Reference:
    Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-
    Only Inference", CVPR 2018, arXiv:1712.05877; Krishnamoorthi, "Quantizing deep convolutional
    networks for efficient inference", 2018, arXiv:1806.08342 (freezing batch norm, section 3.2.3);
    Esser et al., "Learned Step Size Quantization", ICLR 2020, arXiv:1902.08153 (scales of weights).

Departs from Jacob et al.: weights are rounded in place instead of in every forward pass, and batch
norm is not folded while its statistics are those of the batch: with a scale per output channel the
integers are the same.
"""

from collections.abc import Iterator
from typing import Any

import keras

from learners.base import FINE_TUNING, AbstractLearner, Trained
from learners.budget import Budget
from learners.kernels.layers import kernel_layers
from learners.reconstruction.sampling import Sampler, flagged_sampler
from learners.search.stage import SearchedStage
from learners.setting import Setting
from learners.uniform_quantization_tf.bits import bit_choices, bit_problem, weight_bits
from learners.uniform_quantization_tf.config import HELD_BITS, WHOLE_BITS
from learners.uniform_quantization_tf.network import (
    IntegerNetwork,
    Weight,
    deployed_model,
    grouping,
    num_levels,
    plan_of,
    ranges_in,
    scaling,
    simulated_model,
    weight_grid,
)
from learners.uniform_quantization_tf.start import (
    calibrated_ranges,
    integer_layers,
    start,
)
from nets.abstract_model_helper import AbstractModelHelper
from utils.errors import InputError
from utils.graph import Graph, from_keras, to_keras
from utils.graph.integer_form import integer_form
from utils.graph.keras_io import read
from utils.progress import WorkProgress
from utils.quantization.learned_step import LearnedStepQuantizer
from utils.training import fine_tune_schedule
from utils.training.latent import LatentOptimizer, Quantized, Unquantized
from utils.training.schedule import LaterSchedule

_DELAY, _FOLDED = "full_precision", "folded"  # parts beside the fine-tuning itself


class UniformQuantTFLearner(AbstractLearner):
    """Quantize as integer kernels do, train, deploy."""

    def train(self) -> Trained:
        """Carry out the recipe."""
        given = integer_form(self._graph(self.model))
        if self.config.wants_search() and self.context.setting is None:
            return SearchedStage(self, bit_problem(self, given)).run()
        model = to_keras(given)
        steps = self.fine_tune_steps()
        delay = min(self.config.quant_delay, steps)
        if delay:
            rates = self._rates(0)
            optimizer = self.fine_tune_optimizer(rates, model)
            self.fit(_DELAY, model, schedule=rates, num_steps=delay, optimizer=optimizer)
        network = self.start(self._graph(model))
        self.notes += self.remarks(network)
        fold_at = self.config.freeze_bn_delay
        until = steps if fold_at is None else min(max(fold_at, delay), steps)
        if fold_at is None or until > delay:
            model, network = self._trained(FINE_TUNING, network, given, delay, until)
        if fold_at is not None:
            part = FINE_TUNING if until == delay else _FOLDED
            model, network = self._trained(part, network.folded(), given, until, steps)
        deployed = deployed_model(network)
        return Trained(model, deployed=deployed, simulated=deployed)

    @classmethod
    def check(
        cls, model: keras.Model, config: Any, helper: AbstractModelHelper, *, allow_unsafe: bool
    ) -> None:
        """Refuse a network without kernels, and operators that have no int8 form."""
        graph = integer_form(from_keras(model, allow_unsafe=allow_unsafe))
        plan = plan_of(graph)
        if not integer_layers(graph, plan):
            raise InputError(
                f"network {graph.name!r} has no kernel to quantize. Give one with convolutions or "
                "dense layers."
            )
        if plan.floats and not config.allow_float:
            named = [f"{node} ({reason})" for node, reason in plan.floats.items()]
            more = f" and {len(named) - 5} more" if len(named) > 5 else ""
            raise InputError(
                f"not all of network {graph.name!r} can be computed in integers: "
                f"{', '.join(named[:5])}{more}. Replace them, or leave them in float with "
                "--uqtf_allow_float."
            )

    @classmethod
    def check_choice(
        cls,
        model: keras.Model,
        config: Any,
        *,
        budget: Budget | None,
        setting: Setting | None,
        allow_unsafe: bool,
    ) -> None:
        """Refuse a setting for other kernels or bits, and a budget that no bits meet."""
        graph = integer_form(from_keras(model, allow_unsafe=allow_unsafe))
        layers = integer_layers(graph, plan_of(graph))
        if setting is not None:
            weight_bits(layers, config, setting)
        elif budget is not None:
            bit_choices(layers, config, budget)

    @classmethod
    def file_weights(
        cls,
        model: keras.Model,
        config: Any,
        *,
        budget: Budget | None,
        setting: Setting | None,
        allow_unsafe: bool,
    ) -> str:
        """Say int4 where a setting, or the equal bits of a budget, give a kernel 4 or fewer."""
        weights: str = config.file_weights
        if setting is None and (budget is None or config.wants_search()):
            return weights
        graph = integer_form(from_keras(model, allow_unsafe=allow_unsafe))
        layers = integer_layers(graph, plan_of(graph))
        values: list[int] = []
        if setting is not None:
            values = list(weight_bits(layers, config, setting).values())
        elif budget is not None:
            values = list(bit_choices(layers, config, budget).uniform())
        return "int4" if min(values) <= HELD_BITS[0] else "int8"

    @property
    def fine_tune_lrn_rate(self) -> float:
        """A part of the network's own initial rate."""
        rate: float = self.helper.config.lrn_rate_init * self.config.lrn_rate_dcy
        return rate

    def start(self, graph: Graph) -> IntegerNetwork:
        """Quantize a trained network; what came of the layers is noted for the report."""
        config = self.config
        plan, sampler = plan_of(graph), self.sampler()
        with self.timed("calibration"):
            ranges = calibrated_ranges(graph, plan, sampler.batches, config.calibration)
        layers = integer_layers(graph, plan)
        bits = weight_bits(layers, config, self._setting(graph))
        with self.timed("rounding"), WorkProgress("rounding kernels", "layers") as progress:
            network, errors = start(
                graph,
                ranges,
                bits,
                sampler if config.rounding == "obq" else None,
                on_layer=progress.update,
            )
        axes = {(place.layer, place.weight): place.axes for place in plan.weights}
        for layer in layers:
            by_channel = axes[layer.layer, layer.weights[0]]
            self.layers[layer.layer] = {
                "bits": bits[layer.name],
                "granularity": "output channel" if by_channel else "layer",
                "error": errors[layer.name],
            }
        return network

    def remarks(self, network: IntegerNetwork) -> list[str]:
        """Say for the report what was quantized, and what a file makes of few bits."""
        said = [
            f"uniform-tf: {len(network.plan.activations)} ranges of activations, "
            f"{len(network.bits)} kernels; the accuracy is that with both quantized."
        ]
        held = set(network.bits.values())
        if min(held) <= HELD_BITS[0]:
            said.append(
                "uniform-tf: weights of up to 4 bits are int4 in the file. With LiteRT that makes "
                "dense layers faster; convolutions get smaller, not faster."
            )
        if any(HELD_BITS[0] < bits < WHOLE_BITS for bits in held):
            said.append("uniform-tf: weights of 5 to 7 bits are int8 in the file: it compresses.")
        if network.plan.floats:
            said.append(f"uniform-tf: in float are {', '.join(network.plan.floats)}.")
        return said

    def _trained(
        self, part: str, network: IntegerNetwork, given: Graph, first: int, last: int
    ) -> tuple[keras.Model, IntegerNetwork]:
        """Train a network on its grids.

        Args:
            part: the fit's name.
            network: where it begins.
            given: the network that the stage was given: its zeros stay.
            first: step of the whole training that it begins at.
            last: step that it ends before.

        Returns:
            The plain network, and it with what its quantizers have come to.
        """
        model = to_keras(network.graph)
        simulated = simulated_model(model, network.simulated_graph(self.config.range_update))
        rates = self._rates(first)
        places = dict(self._quantized(model, network, given))
        optimizer = LatentOptimizer(self.fine_tune_optimizer(rates, model), list(places.values()))
        self.fit(
            part,
            simulated,
            saved=model,
            schedule=rates,
            num_steps=last - first,
            optimizer=optimizer,
            keep_zeros=False,  # rounding made zeros that may come back; see `Quantized.absent`
        )
        limits, latents = dict(network.limits), dict(network.latents)
        for key, bits in network.bits.items():
            path = places[key].variable.path
            limits[key] = optimizer.parameters[path]["scale"].numpy() * num_levels(bits)
            latents[key] = optimizer.latents[path].numpy()
        return model, IntegerNetwork(
            graph=self._graph(model),
            plan=network.plan,
            ranges=ranges_in(simulated, network.plan),
            bits=network.bits,
            limits=limits,
            latents=latents,
        )

    def _quantized(
        self, model: keras.Model, network: IntegerNetwork, given: Graph
    ) -> Iterator[tuple[Weight, Quantized]]:
        """Tie the network's variables to quantizers."""
        operations = read(model, allow_unsafe=self.context.run.allow_unsafe)[1]
        axes = {(place.layer, place.weight): place.axes for place in network.plan.weights}
        others = [
            (layer.layer, weight)
            for layer in kernel_layers(network.graph)
            for weight in layer.weights
            if (layer.layer, weight) not in network.bits
        ]
        for key in (*network.bits, *others):
            layer, weight = key
            place = list(network.graph.params[layer]).index(weight)
            variable = operations[layer].weights[place]
            before = given.params.get(layer, {}).get(weight)
            zeros = None if before is None else before == 0
            absent = zeros if zeros is not None and zeros.any() and not zeros.all() else None
            if key not in network.bits:
                if absent is not None:
                    yield key, Quantized(variable, Unquantized(), absent=absent)
                continue
            bits = network.bits[key]
            quantizer = LearnedStepQuantizer(
                variable.shape,
                weight_grid(bits),
                grouping(axes[key]),
                scaling(network.limits[key], bits),
            )
            yield key, Quantized(variable, quantizer, latent=network.latents[key], absent=absent)

    def _rates(self, first: int) -> LaterSchedule:
        schedule = fine_tune_schedule(self.fine_tune_lrn_rate, self.fine_tune_steps())
        return LaterSchedule(schedule, first)

    def _graph(self, model: keras.Model) -> Graph:
        return from_keras(model, allow_unsafe=self.context.run.allow_unsafe)

    def _setting(self, graph: Graph) -> Setting | None:
        """Give the bits of each layer where a file or a budget says them; by that equal ones."""
        if self.context.setting is not None or self.context.budget is None:
            return self.context.setting
        problem = bit_problem(self, graph)
        return problem.setting(problem.uniform())

    def sampler(self) -> Sampler:
        """Draw the training images that ranges and moments are taken from."""
        return flagged_sampler(self.helper, self.config, seed=self.context.run.seed)

    def _advice(self, part: str) -> str:
        """Say which flag to lower."""
        rate = self.config.lrn_rate_dcy
        return f"Lower --uqtf_lrn_rate_dcy: it was {rate:g}, try {rate / 10:g}."
