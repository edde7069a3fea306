"""Scoring channel counts: kernels are looked up and assigned to one network of fixed shape.

Channels are not cut for a roll-out but given zero kernel rows in every layer that reads them, which
computes the same.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from learners.base import AbstractLearner
from learners.channels.tables import ChannelTables
from learners.reconstruction.sampling import Sampler
from learners.search.rewards import Score
from learners.search.scoring import BriefTuning, Masks, NetworkScorer, Weight, held_out_images
from utils.graph import ChannelGroup, Graph, ops, to_keras


class ChannelScorer:
    """Scores candidates; see the module.

    Args:
        graph: the whole network.
        groups: the groups (or segments) that are chosen for.
        tables: their orders and kernels.
        network: the network's weights are assigned; scores it.

    Attributes:
        tables: as given.
        network: as given.
    """

    def __init__(
        self,
        graph: Graph,
        groups: Sequence[ChannelGroup],
        tables: ChannelTables,
        network: NetworkScorer,
    ) -> None:
        self.tables = tables
        self.network = network
        self._graph = graph
        self._groups = tuple(groups)

    def __call__(self, counts: Mapping[str, int]) -> Score:
        """Score a candidate.

        Args:
            counts: group name -> channels that stay.

        Returns:
            Its accuracy (None where the helper has no such metric) and loss.
        """
        return self.network.score(self._values(counts), lambda: self.masks(counts))

    def masks(self, counts: Mapping[str, int]) -> Masks:
        """Say of the layers that read channels which kernel entries a candidate keeps."""
        found = {}
        for key, (dropped, axis) in self._dropped(counts).items():
            found[key] = np.ones(self.network.original[key].shape, bool)
            np.moveaxis(found[key], axis, 0)[dropped] = False
        return found

    def _values(self, counts: Mapping[str, int]) -> dict[Weight, np.ndarray]:
        """Give every reading layer its kernel; all else is as in the whole network."""
        original, values = self.network.original, {}
        refitted = set()
        for name, reading in self.tables.readings.items():
            layer = self._graph.node(name).layer
            refitted.add(layer)
            kernel, offset = self.tables.refit(name, counts)
            values[layer, "kernel"] = kernel.reshape(original[layer, "kernel"].shape)
            if reading.offset is not None:
                taker = (reading.offset.layer, reading.offset.weight)
                values[taker] = original[taker] + reading.offset.sign * offset
        for key, (dropped, axis) in self._dropped(counts).items():
            if key[0] not in refitted:
                values[key] = original[key].copy()
                np.moveaxis(values[key], axis, 0)[dropped] = 0.0
        return values

    def _dropped(self, counts: Mapping[str, int]) -> dict[Weight, tuple[np.ndarray, int]]:
        """Say which input channels of which kernels are dropped: mask and axis by weight."""
        found: dict[Weight, tuple[np.ndarray, int]] = {}
        for group in self._groups:
            mask = self.tables.mask(group.name, counts[group.name])
            for reader in group.readers:
                node = self._graph.node(reader.node)
                weight, axis = ops.input_axis(self._graph, node)
                dropped = (reader.channels >= 0) & ~mask[np.maximum(reader.channels, 0)]
                known = found.get((node.layer, weight))
                found[node.layer, weight] = (dropped if known is None else dropped | known[0], axis)
        return found


def make_scorer(
    learner: AbstractLearner, graph: Graph, groups: Sequence[ChannelGroup], sampler: Sampler
) -> ChannelScorer:
    """Build a learner's tables and set its scorer up as the flags say.

    Args:
        learner: its config has `searching`, `channel_search` and `criterion`.
        graph: the whole network.
        groups: the groups that are chosen for.
        sampler: training images for the tables.

    Returns:
        The scorer.
    """
    config, helper = learner.config, learner.helper
    with learner.timed("tables"):
        tables = ChannelTables(graph, groups, sampler, criterion=config.criterion)
    images, _ = held_out_images(helper, config.searching.nb_smpls_search, config.nb_smpls)
    network = NetworkScorer(to_keras(graph), helper, images)
    num_steps, num_images = config.channel_search.nb_iters_tune, config.channel_search.nb_smpls_bn
    if num_steps:
        lrn_rate = learner.context.run.lrn_rate_ft
        network.tune(BriefTuning(network.model, helper, num_steps, lrn_rate))
    if num_images:
        network.estimate_batch_norm(helper.build_dataset_calibration(num_images))
    return ChannelScorer(graph, groups, tables, network)
