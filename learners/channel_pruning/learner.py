"""The learner `channel`: channel pruning with ratios by hand or by search, and group tuning.

The recipe, after He, Zhang & Sun, "Channel Pruning for Accelerating Very Deep Neural Networks",
ICCV 2017, arXiv:1707.06168, and He et al., "AMC", ECCV 2018, arXiv:1802.03494:

1. settle how many channels of each layer stay: one ratio, a list, or what an agent finds within
   `cp_preserve_ratio` of the multiply-adds (AMC, which compares the winner with uniform counts);
2. for the layers of a group, one after the other, choose channels by LASSO (or by the magnitude of
   their kernel slices) and refit the kernels by least squares (`learners/reconstruction`);
3. cut them: tuning is as fast as the network is small by then;
4. tune the whole network: `cp_finetune` for `cp_nb_iters_ft_ratio` of the steps at
   `cp_lrn_rate_ft`, `cp_retrain` on the network's own schedule, and go on with the next group;
5. after the last group fine-tune as every learner does.

How the documents' group tuning is read: groups are `cp_list_group` consecutive layers whose
channels can be pruned; "the whole model is fine-tuned (or re-trained)" after each of them, so one
or the other; after the last group the fine-tuning of the learner is that tuning. The counts of all
layers are settled before the first group, on the network as given.

Selection samples the inputs of a layer in the network as pruned and tuned so far, as the paper does
(section 3.2). Its targets are the outputs of the network as tuned before the group at hand.

Departs from the paper: with group tuning targets are not those of the unpruned network, whose
kernels the tuning has left behind, and whose outputs would undo it. Whatever group: lambda by
bisection, see `learners/channels/lasso.py`; an offset is fitted together with the kernels; layers
that lose no inputs are refitted where what is in front of them changed, and the last layer of a
residual branch to the sum with its shortcut (the paper's "multi-branch enhancement").
Departs from AMC: one agent of several, and tables of refitted kernels instead of magnitudes, see
`learners/search`.
"""

from typing import Any

import keras

from learners.base import FINE_TUNING, Trained
from learners.channels.criteria import CRITERIA
from learners.channels.groups import prunable_groups
from learners.channels.learner import ChannelLearner
from learners.channels.selection import SelectionOptions
from learners.identity import file_digest
from utils.training import fine_tune_schedule


class ChannelPrunedLearner(ChannelLearner):
    """Prune a group of layers, tune, prune the next."""

    KEEPS_COSTS = True
    POSITIONS_FLAG = "nb_points_per_layer"

    def train(self) -> Trained:
        """Carry out the recipe."""
        if self.config.wants_search() and self.context.setting is None:
            return self.searched(self.graph(self.model))
        portions = self.portions()
        model = self.model
        for number, counts in enumerate(portions, start=1):
            is_last = number == len(portions)
            part = FINE_TUNING if is_last else f"group_{number}"
            model = self.saved_network(part) or self.pruned_by(model, counts)
            if is_last:
                self.fine_tune(model)
            else:
                self.tune(part, model)
        return Trained(model)

    def portions(self) -> list[dict[str, int]]:
        """Settle what stays of each layer, and put layers that are pruned at once together."""
        graph = self.graph(self.model)
        groups = prunable_groups(graph, self.config)
        settled = self.counts(graph, groups)
        counts = [(group.name, settled[group.name]) for group in groups]
        tunes = self.config.finetune or self.config.retrain
        size = self.config.list_group if tunes else len(counts)
        if tunes and size >= len(counts):
            self.notes.append(
                f"group tuning had no effect: all {len(counts)} layers are one group at "
                f"cp_list_group={size}."
            )
        return [dict(counts[first : first + size]) for first in range(0, len(counts), size)]

    def pruned_by(self, model: keras.Model, counts: dict[str, int]) -> keras.Model:
        """Prune some groups of channels of a network, which is not changed."""
        graph = self.graph(model)
        groups = [g for g in prunable_groups(graph, self.config) if g.name in counts]
        return self.pruned(graph, groups, counts)

    def tune(self, part: str, model: keras.Model) -> None:
        """Tune the whole network, in place, after a group of layers."""
        epochs, num_steps = self.context.stage.num_epochs, self.fine_tune_steps()
        if self.config.retrain:
            schedule = self.helper.setup_lrn_rate(epochs)[0] if num_steps else 0.0
            optimizer = self.helper.build_optimizer(schedule)
        else:
            num_steps = round(self.config.nb_iters_ft_ratio * num_steps)
            schedule = fine_tune_schedule(self.config.lrn_rate_ft, num_steps)
            optimizer = self.fine_tune_optimizer(schedule, model)
        self.fit(part, model, schedule=schedule, num_steps=num_steps, optimizer=optimizer)

    def _advice(self, part: str) -> str:
        if part == FINE_TUNING or self.config.retrain:
            return super()._advice(part)
        rate = self.config.lrn_rate_ft
        return f"Lower --cp_lrn_rate_ft: it was {rate:g}, try --cp_lrn_rate_ft={rate / 10:g}."

    def fingerprint(self) -> dict[str, Any]:
        """Compare the list's content too."""
        own = {}
        if self.config.prune_option == "list":
            own["list_of_ratios"] = file_digest(self.config.prune_list_file)
        return {**super().fingerprint(), **own}

    @property
    def num_images(self) -> int:
        """Training images that the statistics are taken from."""
        return self.config.nb_batches * self.helper.config.batch_size

    @property
    def num_positions(self) -> int:
        """Output positions that are taken from each image and layer."""
        return self.config.nb_points_per_layer

    def options(self) -> SelectionOptions:
        """Translate the flags."""
        return SelectionOptions(criterion=CRITERIA[self.config.criterion])
