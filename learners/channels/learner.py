"""What the learners share that choose channels layer after layer, refit, and cut."""

import abc
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import keras

from learners.base import AbstractLearner, Trained
from learners.channels.counts import ruled_counts
from learners.channels.gathers import gather_note
from learners.channels.groups import prunable_groups, ratio_counts
from learners.channels.problem import channel_problem
from learners.channels.selection import (
    ChannelSelection,
    SelectionOptions,
    SelectionResult,
    halved,
)
from learners.reconstruction.sampling import Sampler, training_sampler
from learners.search.stage import SearchedStage
from nets.abstract_model_helper import AbstractModelHelper
from utils.graph import ChannelGroup, Graph, from_keras, to_keras
from utils.progress import WorkProgress


class ChannelLearner(AbstractLearner):
    """Base of those learners; their configs are `ChannelFlags`.

    Attributes:
        KEEPS_COSTS: a resumed recipe settles its counts again, see `ruled_counts`.
        POSITIONS_FLAG: the flag, without its prefix, that says `num_positions`.
    """

    KEEPS_COSTS: ClassVar[bool] = False
    POSITIONS_FLAG: ClassVar[str] = "nb_crops_per_smpl"

    @abc.abstractmethod
    def options(self) -> SelectionOptions:
        """Say how channels are chosen and kernels refitted."""

    @property
    def num_images(self) -> int:
        """Training images that the statistics are taken from."""
        return self.config.nb_smpls

    @property
    def num_positions(self) -> int:
        """Output positions that are taken from each image and layer."""
        return self.config.nb_crops_per_smpl

    @classmethod
    def trial(cls, model: keras.Model, config: Any, *, allow_unsafe: bool) -> keras.Model | None:
        """Keep the first half of the channels of each group."""
        graph = from_keras(model, allow_unsafe=allow_unsafe)
        return to_keras(halved(graph, prunable_groups(graph, config)))

    @classmethod
    def check(
        cls, model: keras.Model, config: Any, helper: AbstractModelHelper, *, allow_unsafe: bool
    ) -> None:
        """Refuse a list of ratios that is not for this network."""
        if config.ratio_list() is not None:
            graph = from_keras(model, allow_unsafe=allow_unsafe)
            ratio_counts(prunable_groups(graph, config), config)

    def graph(self, model: keras.Model) -> Graph:
        """Give a network as a graph."""
        return from_keras(model, allow_unsafe=self.context.run.allow_unsafe)

    def pruned(
        self,
        graph: Graph,
        groups: Sequence[ChannelGroup] | None = None,
        counts: Mapping[str, int] | None = None,
    ) -> keras.Model:
        """Choose, refit and cut; what came of the layers is noted for the report.

        Args:
            graph: the network, not changed.
            groups: those that are pruned; None for all that the flags let be.
            counts: group name -> channels that stay; None for `counts`.

        Returns:
            The smaller network.
        """
        with self.timed("selection"):
            result = self.select(graph, groups, counts)
        self.layers |= {name: {"error": error} for name, error in result.errors.items()}
        self.notes += filter(None, [gather_note(result.graph, graph), self._scarce_note(result)])
        return to_keras(result.graph)

    def _scarce_note(self, result: SelectionResult) -> str | None:
        if not result.scarce:
            return None
        rows, inputs = min(result.scarce.values(), key=lambda pair: pair[0] / pair[1])
        flag = f"{self.config.PREFIX}{self.POSITIONS_FLAG}"
        return (
            f"{self.context.stage.learner}: least squares had fewer positions than unknowns in "
            f"{', '.join(result.scarce)} (at worst {rows:,} for {inputs:,}), so that the "
            "kernels there fit little else. Give more training images, or more positions of each "
            f"(--{flag})."
        )

    def select(
        self,
        graph: Graph,
        groups: Sequence[ChannelGroup] | None = None,
        counts: Mapping[str, int] | None = None,
    ) -> SelectionResult:
        """Choose the channels that stay and refit the kernels; see `pruned`."""
        groups = prunable_groups(graph, self.config) if groups is None else groups
        counts = self.counts(graph, groups) if counts is None else counts
        with WorkProgress("selecting channels", "layers") as progress:
            selection = ChannelSelection(
                graph,
                groups,
                counts,
                self.sampler(),
                options=self.options(),
                on_layer=progress.update,
            )
            return selection.run()

    def counts(self, graph: Graph, groups: Sequence[ChannelGroup]) -> dict[str, int]:
        """Settle how many channels of each group stay."""
        ruled = ruled_counts(self, graph, groups, keeps_costs=self.KEEPS_COSTS)
        return ratio_counts(groups, self.config) if ruled is None else dict(ruled)

    def searched(self, graph: Graph) -> Trained:
        """Let an agent settle the counts, compare with uniform ones, keep the better network."""
        groups = prunable_groups(graph, self.config)
        budget = self.context.budget
        if budget is None:
            raise ValueError("a search needs `context.budget`. Received: None.")
        problem = channel_problem(
            self, graph, groups, budget, self.sampler, num_sampled=self.num_images
        )
        return SearchedStage(self, problem).run()

    def sampler(self) -> Sampler:
        """Draw the training images that the statistics are taken from."""
        return training_sampler(
            self.helper,
            num_images=self.num_images,
            num_positions=self.num_positions,
            seed=self.context.run.seed,
        )
