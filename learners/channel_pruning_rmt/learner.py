"""The learner `chn-pruned-rmt`: channel pruning by reconstruction, remastered.

The recipe, after He, Zhang & Sun, "Channel Pruning for Accelerating Very Deep Neural Networks",
ICCV 2017, arXiv:1707.06168:

1. settle how many channels of each group stay (one ratio, or a budget);
2. layer after layer choose them by LASSO and refit the kernels by least squares
   (`learners/reconstruction`);
3. cut: the network becomes small before it is fine-tuned;
4. fine-tune, with distillation from the network before where asked.
"""

from typing import Any

import keras

from learners.abstract_learner import AbstractLearner
from learners.channel_pruning_rmt.groups import budget_counts, prunable_groups, ratio_counts
from learners.reconstruction.sampling import Sampler
from learners.reconstruction.selection import (
    ChannelSelection,
    SelectionOptions,
    SelectionResult,
)
from utils.files import load_keras_model
from utils.graph import Graph, from_keras, to_keras
from utils.progress import WorkProgress


class ChannelPrunedRmtLearner(AbstractLearner):
    """Choose channels, cut, fine-tune."""

    def train(self) -> keras.Model:
        """Carry out the recipe."""
        saved = self.saved_network()
        if saved is not None:  # a killed run: the selection is done
            model = saved
        elif self.config.warm_start:
            model = load_keras_model(self.config.save_path_ws, self.context.run.allow_unsafe)
        else:
            with self.timed("selection"):
                result = self.select(from_keras(self.model))
            self.layers = {name: {"error": error} for name, error in result.errors.items()}
            model = to_keras(result.graph)
        self.fine_tune(model)
        return model

    def select(self, graph: Graph) -> SelectionResult:
        """Choose the channels that stay and refit the kernels; the network is not changed."""
        groups = prunable_groups(graph, self.config)
        budget = self.context.budget
        counts = (
            ratio_counts(groups, self.config)
            if budget is None
            else budget_counts(graph, groups, self.config, budget)
        )
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

    def options(self) -> SelectionOptions:
        """Translate the flags."""
        return SelectionOptions(
            criterion=self.config.criterion,
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
