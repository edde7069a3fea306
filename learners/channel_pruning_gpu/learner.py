"""The learner `chn-pruned-gpu`: channel pruning by proximal gradient descent, layer by layer.

The recipe, after the documents' learner of that name and the objective of He, Zhang & Sun, "Channel
Pruning for Accelerating Very Deep Neural Networks", ICCV 2017, arXiv:1707.06168, equation (1), with
a group norm of the kernel in the place of LASSO's scales (Yuan & Lin, 2006):

1. settle how many channels of each layer go: one ratio, a list, a budget or a setting file;
2. layer after layer, proximal gradient descent on the error of the layer's output makes channels
   zero until the wanted number is (`proximal.py`), then Adam optimizes the kernel on the channels
   that stay (`adam.py`); all on Gram matrices of the walk (`learners/reconstruction`);
3. cut;
4. fine-tune.

Departs from the documents: nothing runs on a GPU, the matrices are as small as a layer's kernel is
tall. Adam starts from the kernel as it was and not from the one that the thresholds have shrunk.
Layers that lose no channels are left as they are.
"""

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from learners.base import Trained
from learners.channel_pruning_gpu.adam import adam_kernel
from learners.channel_pruning_gpu.proximal import StepRates, proximal_descent
from learners.channels.criteria import GroupReader
from learners.channels.learner import ChannelLearner
from learners.channels.selection import SelectionOptions
from learners.identity import file_digest


class ChannelPrunedGpuLearner(ChannelLearner):
    """Descend, cut, fine-tune."""

    def train(self) -> Trained:
        """Carry out the recipe."""
        model = self.saved_network() or self.pruned(self.graph(self.model))
        self.fine_tune(model)
        return Trained(model)

    def options(self) -> SelectionOptions:
        """Translate the flags."""
        config = self.config
        refit = functools.partial(
            adam_kernel, lrn_rate=config.lrn_rate_adam, num_iterations=config.nb_iters_layer
        )
        return SelectionOptions(
            criterion=self.scores,
            num_iterations=config.nb_iters_layer,
            refit_all=False,
            compensate=False,
            refit=refit,
            fit_classes=False,
        )

    def scores(
        self,
        readers: Sequence[GroupReader],
        num_channels: int,
        num_keep: int | None,
        *,
        num_iterations: int = 100,
    ) -> np.ndarray:
        """Score channels by the norms that the descent leaves; a `Criterion`."""
        rates = StepRates(
            initial=self.config.lrn_rate_pgd_init,
            increase=self.config.lrn_rate_pgd_incr,
            decrease=self.config.lrn_rate_pgd_decr,
        )
        keep = num_channels if num_keep is None else num_keep
        return proximal_descent(
            readers, num_channels, keep, num_iterations=num_iterations, rates=rates
        ).norms

    def fingerprint(self) -> dict[str, Any]:
        """Compare the list's content too."""
        own = {}
        if self.config.ratio_list() is not None:
            own["list_of_ratios"] = file_digest(self.config.prune_ratio_file)
        return {**super().fingerprint(), **own}
