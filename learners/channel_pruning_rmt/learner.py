"""The learner `chn-pruned-rmt`: channel pruning by reconstruction, remastered.

The recipe, after He, Zhang & Sun, "Channel Pruning for Accelerating Very Deep Neural Networks",
ICCV 2017, arXiv:1707.06168:

1. settle how many channels of each group stay (one ratio, a budget, a search, or a setting file);
2. layer after layer choose them by the error they leave and refit the kernels by least squares
   (`learners/reconstruction`);
3. cut: the network becomes small before it is fine-tuned;
4. fine-tune, with distillation from the network before where asked.
"""

from collections.abc import Sequence
from typing import Any

import keras

from learners.base import AbstractLearner, Trained
from learners.channel_pruning_rmt.config import ChannelPrunedRmtConfig
from learners.channels.criteria import CRITERIA
from learners.channels.gathers import gather_note
from learners.channels.groups import channel_budget, prunable_groups, ratio_counts
from learners.channels.problem import channel_problem
from learners.channels.selection import (
    ChannelSelection,
    SelectionOptions,
    SelectionResult,
    halved,
)
from learners.identity import file_digest
from learners.reconstruction.sampling import Sampler
from learners.search.stage import SearchedStage
from utils.files import load_keras_model
from utils.graph import ChannelGroup, Graph, from_keras, to_keras
from utils.progress import WorkProgress


class ChannelPrunedRmtLearner(AbstractLearner):
    """Choose channels, cut, fine-tune."""

    def train(self) -> Trained:
        """Carry out the recipe."""
        if self.config.searching.search and self.context.setting is None:
            return self.searched(from_keras(self.model, allow_unsafe=self.context.run.allow_unsafe))
        saved = self.saved_network()
        if saved is not None:  # a killed run: the selection is done
            model = saved
        elif self.config.warm_start:
            model = load_keras_model(self.config.save_path_ws, self.context.run.allow_unsafe)
        else:
            graph = from_keras(self.model, allow_unsafe=self.context.run.allow_unsafe)
            with self.timed("selection"):
                result = self.select(graph)
            self.layers = {name: {"error": error} for name, error in result.errors.items()}
            self.notes += filter(None, [gather_note(result.graph, graph)])
            model = to_keras(result.graph)
        self.fine_tune(model)
        return Trained(model)

    @classmethod
    def trial(
        cls, model: keras.Model, config: ChannelPrunedRmtConfig, *, allow_unsafe: bool
    ) -> keras.Model | None:
        """Keep the first half of the channels of each group."""
        graph = from_keras(model, allow_unsafe=allow_unsafe)
        return to_keras(halved(graph, prunable_groups(graph, config)))

    def fingerprint(self) -> dict[str, Any]:
        """Compare the warm-start file's content too."""
        own = {}
        if self.config.warm_start:
            own["warm_start_file"] = file_digest(self.config.save_path_ws)
        return {**super().fingerprint(), **own}

    def select(self, graph: Graph) -> SelectionResult:
        """Choose the channels that stay and refit the kernels; the network is not changed."""
        groups = prunable_groups(graph, self.config)
        counts = self.counts(graph, groups)
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
        if self.context.setting is not None:
            return self.context.setting.values_for({group.name: group.size for group in groups})
        if self.context.budget is None:
            return ratio_counts(groups, self.config)
        channels = channel_budget(graph, groups, self.config, self.context.budget)
        values = channels.refined(channels.uniform())
        self.notes += channels.remarks(values)
        return channels.by_name(values)

    def searched(self, graph: Graph) -> Trained:
        """Let an agent settle the counts, compare with uniform ones, keep the better network."""
        groups = prunable_groups(graph, self.config)
        budget = self.context.budget
        if budget is None:
            raise ValueError("a search needs `context.budget`. Received: None.")
        problem = channel_problem(self, graph, groups, budget, self.sampler)
        return SearchedStage(self, problem).run()

    def options(self) -> SelectionOptions:
        """Translate the flags."""
        return SelectionOptions(
            criterion=CRITERIA[self.config.criterion],
            num_iterations=self.config.ista_nb_iters,
            refit_all=self.config.refit_all,
            compensate=self.config.compensate,
        )

    def sampler(self) -> Sampler:
        """Draw the training images that the statistics are taken from."""
        num_images = self.config.nb_smpls
        batches = self.helper.build_dataset_calibration(num_images)

        def images(batch: Any, *_: Any) -> Any:
            return batch

        return Sampler(
            batches.map(images),
            num_images=num_images,
            num_positions=self.config.nb_crops_per_smpl,
            seed=self.context.run.seed,
        )
