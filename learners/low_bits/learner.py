"""What the learners share whose weights have few bits: the recipe.

1. Settle the bits of each layer: one flag, a budget, a setting file, or a search (`search.py`).
2. Settle starting values: every kernel is rounded to its grid or codebook (`start.py`). With no
   epochs to train, that is the result.
3. Train with quantized weights (`utils/training/latent.py`) and, where asked, quantized activations
   (`activations.py`); distillation as everywhere.
4. The network is an ordinary one whose weights take few values. Where activations are quantized,
   its accuracy is that of the network with the quantizers in it.
"""

import abc
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from learners.base import FINE_TUNING, AbstractLearner, Trained
from learners.budget import Budget
from learners.kernels.layers import KernelLayer
from learners.low_bits.activations import places, quantized_graphs
from learners.low_bits.bits import activation_bits, quantized_layers, weight_bits
from learners.low_bits.coding import Code, Coding
from learners.low_bits.search import bit_problem, chosen_layers, counted
from learners.low_bits.start import Start, nearest_start, walked_start
from learners.low_bits.tying import tied
from learners.reconstruction.sampling import Sampler, flagged_sampler
from learners.search.problem import Problem
from learners.search.stage import SearchedStage
from learners.setting import Setting
from nets.abstract_model_helper import AbstractModelHelper
from utils.graph import Graph, from_keras, to_keras
from utils.graph.keras_io import build, read
from utils.progress import WorkProgress
from utils.quantization.bit_packing import MAX_WIDTH
from utils.report import Search
from utils.training import fine_tune_schedule
from utils.training.batch_norm import statistics_lag
from utils.training.latent import LatentOptimizer, Quantized


class LowBitLearner(AbstractLearner):
    """Base of those learners; their configs are `LowBitConfig`s."""

    @classmethod
    @abc.abstractmethod
    def coding_by(cls, config: Any) -> Coding:
        """Say what values kernels may take by the flags."""

    def coding(self) -> Coding:
        """Say what values kernels may take."""
        return self.coding_by(self.config)

    @property
    def rounds_on_walk(self) -> bool:
        """Whether moments of training images are looked at for starting values."""
        return True

    def setting(self, graph: Graph) -> Setting | None:
        """Give the bits of each layer where a file or a budget says them; equal ones by a budget.

        Equal bits that do not meet a budget are one more in some layers than in others.
        """
        if self.context.setting is not None or self.context.budget is None:
            return self.context.setting
        problem = bit_problem(self, graph, self.coding())
        return problem.setting(problem.uniform())

    def searched(self, graph: Graph) -> Trained:
        """Let an agent settle the bits, compare with equal ones, keep the better network."""
        problem = bit_problem(self, graph, self.coding())
        if self.config.searching.enbl_rl_global_tune:
            return SearchedStage(self, problem).run()
        stage = dataclasses.replace(self.context.stage, num_epochs=0.0)
        untrained = self._like(stage=stage)
        SearchedStage(untrained, problem).run()
        chosen = self._like(setting=problem.setting(_kept(untrained.search, problem)))
        trained = chosen.train()
        self.search, self.layers = untrained.search, chosen.layers
        self.teaching = chosen.teaching
        self.notes += [*untrained.notes, *chosen.notes]
        self.history += chosen.history
        self.seconds |= {**untrained.seconds, **chosen.seconds}
        return trained

    def _like(self, **changed: Any) -> "LowBitLearner":
        """Make another learner of the kind, with fields of the context changed."""
        return type(self)(dataclasses.replace(self.context, **changed), self.model)

    def train(self) -> Trained:
        """Carry out the recipe."""
        graph = self.graph(self.model)
        if self.config.wants_search() and self.context.setting is None:
            return self.searched(graph)
        bits = weight_bits(graph, self.config, self.setting(graph))
        layers = [la for la in quantized_layers(graph, self.config) if la.name in bits]
        quantizing, passing = self.with_quantizers(graph, layers)
        saved = self.saved_network()
        if saved is None:
            start = self.start(quantizing, passing, layers, bits)
            model = to_keras(graph.replace(params=_params_of(start.graph, graph)))
            codes = start.codes
            self.notes += self.remarks(layers, bits)
        else:  # a killed run: what was trained of the codes is in its state
            model = saved
            codes = nearest_start(self.graph(saved), layers, bits, self.coding()).codes
        simulated = None if quantizing is graph else _simulated(model, quantizing)
        self.train_quantized(model, simulated, graph, layers, codes)
        return Trained(model, simulated=simulated)

    @classmethod
    def check(
        cls, model: keras.Model, config: Any, helper: AbstractModelHelper, *, allow_unsafe: bool
    ) -> None:
        """Refuse a network without kernels, and buckets that do not fit its kernels."""
        graph = from_keras(model, allow_unsafe=allow_unsafe)
        quantized_layers(graph, config)
        if config.wants_search():
            chosen_layers(graph, config)

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
        graph = from_keras(model, allow_unsafe=allow_unsafe)
        if setting is not None:
            weight_bits(graph, config, setting)
        elif budget is not None:
            counted(graph, config, budget, cls.coding_by(config))

    def graph(self, model: keras.Model) -> Graph:
        """Give a network as a graph."""
        return from_keras(model, allow_unsafe=self.context.run.allow_unsafe)

    def with_quantizers(
        self, graph: Graph, layers: Sequence[KernelLayer]
    ) -> tuple[Graph, Graph | None]:
        """Put quantizers of activations into a network, where the flags want them.

        Returns:
            The network with quantizers, and one whose quantizers let all pass; the network itself
            and None without any.
        """
        bits = activation_bits(graph, self.config)
        if not bits:
            return graph, None
        return quantized_graphs(
            graph,
            places(graph, layers, bits),
            self.sampler().batches,
            learned=self.config.learn_ranges,
            seed=self.context.run.seed,
        )

    def start(
        self,
        graph: Graph,
        before: Graph | None,
        layers: Sequence[KernelLayer],
        bits: Mapping[str, int],
    ) -> Start:
        """Round every kernel; what came of the layers is noted for the report."""
        with self.timed("rounding"):
            if not self.rounds_on_walk:
                found = nearest_start(graph, layers, bits, self.coding())
            else:
                with WorkProgress("rounding kernels", "layers") as progress:
                    found = walked_start(
                        graph,
                        layers,
                        bits,
                        self.coding(),
                        self.sampler(),
                        before=before,
                        on_layer=progress.update,
                    )
        for layer in layers:
            facts = {**found.codes[layer.name].facts(), "error": found.errors[layer.name]}
            known = self.layers.get(layer.layer)
            if known is None or known["error"] <= facts["error"]:  # of several kernels the worst
                self.layers[layer.layer] = facts
        return found

    def remarks(self, layers: Sequence[KernelLayer], bits: Mapping[str, int]) -> list[str]:
        """Say for the report what was quantized, and what the accuracy is that of."""
        total = sum(layer.size for layer in layers)
        mean = sum(bits[layer.name] * layer.size for layer in layers) / max(total, 1)
        offsets = (
            "batch norms are not folded, their means and biases take up what rounding shifts"
            if self.rounds_on_walk
            else "batch norms are not folded, and nothing takes up what rounding shifts"
        )
        said = [
            f"low bits: {len(layers)} kernels of {total:,} weights, {mean:.2f} bits a weight on "
            f"average; {offsets}."
        ]
        if self.config.quantizes_activations:
            said.append(
                f"low bits: the accuracy is that with activations of {self.config.activation_bits} "
                "bits; files are made of the network without their quantizers."
            )
        wide = sum(bits[layer.name] > MAX_WIDTH for layer in layers)
        if wide:
            said.append(
                f"low bits: {wide} kernels have more than {MAX_WIDTH} bits, which a packed file "
                "(.fpq) holds as float32."
            )
        return said

    def train_quantized(
        self,
        model: keras.Model,
        simulated: keras.Model | None,
        graph: Graph,
        layers: Sequence[KernelLayer],
        codes: Mapping[str, Code],
    ) -> None:
        """Train a network on its codes, in place.

        Args:
            model: the plain network.
            simulated: with quantizers of activations; None without any.
            graph: the network that the stage was given: its zeros stay.
            layers: the quantized kernels.
            codes: of each, by name.
        """
        num_steps = self.fine_tune_steps()
        schedule = fine_tune_schedule(self.fine_tune_lrn_rate, num_steps)
        inner = self.fine_tune_optimizer(schedule, model)
        self.fit(
            FINE_TUNING,
            simulated or model,
            saved=None if simulated is None else model,
            schedule=schedule,
            num_steps=num_steps,
            optimizer=LatentOptimizer(inner, list(self.quantized(model, graph, layers, codes))),
            keep_zeros=False,  # rounding made zeros that may come back; see `Quantized.absent`
        )
        if statistics_lag(model, num_steps):
            self.notes.append(
                f"low bits: {num_steps} steps are too few for the moving statistics of batch norms "
                "to follow; they were taken anew from training images after training."
            )

    def quantized(
        self,
        model: keras.Model,
        graph: Graph,
        layers: Sequence[KernelLayer],
        codes: Mapping[str, Code],
    ) -> Iterator[Quantized]:
        """Tie the network's variables to quantizers, see `train_quantized`."""
        return tied(model, graph, layers, codes, allow_unsafe=self.context.run.allow_unsafe)

    def sampler(self) -> Sampler:
        """Draw the training images that moments and ranges are taken from."""
        return flagged_sampler(self.helper, self.config, seed=self.context.run.seed)


def _kept(search: Search | None, problem: Problem) -> np.ndarray:
    """Give the values of the candidate that a search kept, int [layers]."""
    found = None if search is None else getattr(search, str(search.kept))
    if found is None:
        raise ValueError("the search kept nothing.")
    return np.array([round(found.setting[layer.name]) for layer in problem.layers])


def _params_of(graph: Graph, plain: Graph) -> dict[str, Mapping[str, np.ndarray]]:
    """Give the weights of a network with quantizers without theirs, in the plain one's order."""
    return {layer: graph.params[layer] for layer in plain.params}


def _simulated(model: keras.Model, quantizing: Graph) -> keras.Model:
    """Build the network with quantizers around the layers of the plain one."""
    plain, operations = read(model, allow_unsafe=quantizing.allow_unsafe)
    params = {**quantizing.params, **plain.params}
    return build(quantizing.replace(params=params), shared=operations)[0]
