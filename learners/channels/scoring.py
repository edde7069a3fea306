"""Scoring channel counts: kernels are looked up and assigned to one network of fixed shape.

Channels are not cut for a roll-out but given zero kernel rows in every layer that reads them, which
computes the same.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from learners.base import AbstractLearner
from learners.channels.axes import dropped, read_axes
from learners.channels.tables import ChannelTables
from learners.reconstruction.sampling import Sampler
from learners.search.rewards import Score, refuse_blind
from learners.search.scoring import BriefTuning, Masks, NetworkScorer, Weight, held_out_images
from utils.graph import ChannelGroup, Graph


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
            Of its deciding metric and its loss.
        """
        return self.network.score(self._values(counts), lambda: self.masks(counts))

    def masks(self, counts: Mapping[str, int]) -> Masks:
        """Say of the layers that read channels which kernel entries a candidate keeps."""
        found = {}
        for key, (rows, axis) in self._dropped(counts).items():
            found[key] = np.ones(self.network.original[key].shape, bool)
            np.moveaxis(found[key], axis, 0)[rows] = False
        return found

    def _values(self, counts: Mapping[str, int]) -> dict[Weight, np.ndarray]:
        """Give every reading layer its kernel; all else is as in the whole network."""
        original = self.network.original
        values: dict[Weight, np.ndarray] = {}
        refitted: set[Weight] = set()
        for name, reading in self.tables.readings.items():
            kernel, offset = self.tables.refit(name, counts)
            values |= reading.refitted(kernel, offset, lambda *key: original[key])
            refitted.update((reading.layer, weight) for weight in reading.kernels)
        for key, (rows, axis) in self._dropped(counts).items():
            if key not in refitted:
                values[key] = original[key].copy()
                np.moveaxis(values[key], axis, 0)[rows] = 0.0
        return values

    def _dropped(self, counts: Mapping[str, int]) -> dict[Weight, tuple[np.ndarray, int]]:
        """Say which input channels of which kernels are dropped: mask and axis by weight."""
        found: dict[Weight, tuple[np.ndarray, int]] = {}
        for group in self._groups:
            mask = self.tables.mask(group.name, counts[group.name])
            for layer, weight, axis, channels in read_axes(self._graph, group):
                gone, known = dropped(channels, mask), found.get((layer, weight))
                found[layer, weight] = (gone if known is None else gone | known[0], axis)
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

    Raises:
        InputError: the deciding metric tells no candidate from another.
    """
    config, helper = learner.config, learner.helper
    with learner.timed("tables"):
        tables = ChannelTables(graph, groups, sampler, criterion=config.criterion)
    images, _ = held_out_images(helper, config.searching.nb_smpls_search, sampler.num_images)
    network = NetworkScorer(graph, helper, images)
    refuse_blind(network.whole(), config.searching.reward_policy)
    num_steps, num_images = config.channel_search.nb_iters_tune, config.channel_search.nb_smpls_bn
    if num_steps:
        lrn_rate = learner.context.run.lrn_rate_ft
        network.tune(BriefTuning(network.model, helper, num_steps, lrn_rate))
    if num_images:
        network.estimate_batch_norm(helper.build_dataset_calibration(num_images))
    return ChannelScorer(graph, groups, tables, network)
