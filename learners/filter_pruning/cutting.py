"""Choosing and cutting filters at one step, in the network as it is then."""

from collections.abc import Sequence

import numpy as np

from learners.channels.criteria import Criterion
from learners.channels.segments import cut
from learners.channels.selection import ChannelSelection, SelectionOptions
from learners.filter_pruning.config import FilterPrunedConfig
from learners.filter_pruning.course import Cut
from learners.filters.carriers import Carrier, carriers
from learners.filters.choice import all_groups, best
from learners.filters.criteria import CRITERIA, Score, group_filters
from learners.filters.gradients import Key, filter_products
from learners.labelled import labelled_batches
from learners.live_weights import LiveWeights
from learners.reconstruction.sampling import Sampler, flagged_sampler
from nets.abstract_model_helper import AbstractModelHelper
from utils.graph import ChannelGroup, Graph, to_keras
from utils.progress import WorkProgress


class FilterCutting:
    """Cuts the filters that score lowest.

    Args:
        helper: gives training images and the loss, to the criteria that look at them.
        config: how many images.
        seed: of the images' positions and of the criterion `random`.
        allow_unsafe: the network may hold Python code.

    Attributes:
        errors: layer -> relative squared error of its refitted output, where `obs` chose.
    """

    def __init__(
        self,
        helper: AbstractModelHelper,
        config: FilterPrunedConfig,
        *,
        seed: int,
        allow_unsafe: bool,
    ) -> None:
        self._helper = helper
        self._config = config
        self._seed = seed
        self._allow_unsafe = allow_unsafe
        self.errors: dict[str, float] = {}

    def without(self, graph: Graph, cuts: Sequence[Cut]) -> Graph:
        """Cut what one step takes away.

        Args:
            graph: the network as tuned so far.
            cuts: of the step; no two of the same group.

        Returns:
            The smaller network.
        """
        keep: dict[str, np.ndarray] = {}
        for each in cuts:
            walk, score = CRITERIA[each.criterion].walk, CRITERIA[each.criterion].score
            if walk is not None:
                graph = self._eliminated(graph, each, walk)
            elif score is not None:
                keep |= self._chosen(graph, each, score)
        return cut(graph, all_groups(graph), keep)

    def _chosen(self, graph: Graph, wanted: Cut, score: Score) -> dict[str, np.ndarray]:
        """Choose by scores: bool arrays by group name, True = keep."""
        groups = _counted(graph, wanted)
        parts = {group.name: carriers(graph, group) for group in groups}
        products = None
        if CRITERIA[wanted.criterion].gradients:
            products = self._products(graph, [part for own in parts.values() for part in own])
        keep = {}
        for number, group in enumerate(groups):
            filters = group_filters(
                group, parts[group.name], lambda *key: graph.params[key[0]][key[1]], products
            )
            scores = score(filters, np.random.default_rng([self._seed, number]))
            keep[group.name] = best(scores, wanted.counts[group.name], group)
        return keep

    def _products(self, graph: Graph, parts: Sequence[Carrier]) -> dict[Key, np.ndarray]:
        network = to_keras(graph)
        weights = LiveWeights(network, allow_unsafe=self._allow_unsafe)
        batches = labelled_batches(self._helper, self._config.nb_smpls)
        return filter_products(network, weights, parts, batches, self._helper.calc_loss)

    def _eliminated(self, graph: Graph, wanted: Cut, walk: Criterion) -> Graph:
        """Choose on the walk, by what the layers behind lose; they are refitted."""
        groups = _counted(graph, wanted)
        counts = {group.name: wanted.counts[group.name] for group in groups}
        with WorkProgress("selecting filters", "layers") as progress:
            result = ChannelSelection(
                graph,
                groups,
                counts,
                self._sampler(),
                options=SelectionOptions(criterion=walk),
                on_layer=progress.update,
            ).run()
        self.errors |= result.errors
        return result.graph

    def _sampler(self) -> Sampler:
        return flagged_sampler(self._helper, self._config, seed=self._seed)


def _counted(graph: Graph, wanted: Cut) -> list[ChannelGroup]:
    """List the groups of a cut that have more channels than are to stay."""
    return [g for g in all_groups(graph) if wanted.counts.get(g.name, g.size) < g.size]
