"""The learner `dis-chn-pruned`: discrimination-aware channel pruning.

The recipe, after Zhuang et al., "Discrimination-aware Channel Pruning for Deep Neural Networks",
NeurIPS 2018, arXiv:1810.11809, algorithm 1, for P additional losses:

1. cut the network into P + 1 stages; all but the last end with an auxiliary classifier, the last
   with the network's own loss;
2. stage after stage
   a. fine-tune the whole network on the stage's loss and its own, L_p + L_f (block-wise);
   b. layer after layer of the stage choose channels greedily by the gradient of the joint loss
      L_M + lambda * L_p, and tune the kernel on those chosen (algorithm 2, `greedy.py`);
3. cut: the network becomes small;
4. fine-tune it.

Departs from the paper: Adam along half a cosine, not SGD, in 2a and 2b, as the documents' flags
say; layers that can only be cut together choose together, by the gradients of all of them.
"""

import functools
from collections.abc import Mapping, Sequence

import keras
import numpy as np

from learners.base import AbstractLearner, Trained
from learners.channels.counts import ruled_counts
from learners.channels.groups import prunable_groups, ratio_counts
from learners.channels.segments import cut
from learners.channels.selection import halved
from learners.discrimination_aware_pruning.config import DisChnPrunedConfig
from learners.discrimination_aware_pruning.heads import Head, num_classes, with_head
from learners.discrimination_aware_pruning.iterations import BLOCK_EPOCHS, LAYER_EPOCHS, scaled
from learners.discrimination_aware_pruning.journal import SelectionJournal, question
from learners.discrimination_aware_pruning.losses import classifying_loss, head_term, own_loss
from learners.discrimination_aware_pruning.samples import Samples, labelled_samples
from learners.discrimination_aware_pruning.selection import (
    SelectionOptions,
    StageSelection,
    WorkingNetwork,
)
from learners.discrimination_aware_pruning.stages import Stage, channel_axis, cut_into_stages
from nets.abstract_model_helper import AbstractModelHelper
from utils.graph import ChannelGroup, Graph, from_keras, to_keras
from utils.progress import WorkProgress
from utils.training import fine_tune_schedule
from utils.training.reproducible import fixed_order

_STAGES_FLAG = "dcp_nb_stages"
_STAGE = "stage_"  # the parts that train before the cut
_NUM_LABELS = 16  # that are looked at to tell what kind of task it is


class DisChnPrunedLearner(AbstractLearner):
    """Choose channels by what they tell of the classes, cut, fine-tune."""

    def train(self) -> Trained:
        """Carry out the recipe."""
        groups = prunable_groups(self.graph, self.config)
        stages = cut_into_stages(self.graph, groups, self.config.nb_stages, flag=_STAGES_FLAG)
        counts = self.counts(groups)
        self.notes.append(self.iterations_note(len(stages)))
        network = WorkingNetwork(self.graph)
        masks: dict[str, np.ndarray] = {}
        for number, stage in enumerate(stages, start=1):
            head = self.fine_tune_stage(number, stage, network)
            masks |= self.select(number, stage, network, head, counts)
        small = to_keras(cut(network.current_graph(), groups, masks))
        self.fine_tune(small)
        return Trained(small)

    @classmethod
    def trial(
        cls, model: keras.Model, config: DisChnPrunedConfig, *, allow_unsafe: bool
    ) -> keras.Model | None:
        """Keep the first half of the channels of each group."""
        graph = from_keras(model, allow_unsafe=allow_unsafe)
        return to_keras(halved(graph, prunable_groups(graph, config)))

    @classmethod
    def check(
        cls,
        model: keras.Model,
        config: DisChnPrunedConfig,
        helper: AbstractModelHelper,
        *,
        allow_unsafe: bool,
    ) -> None:
        """Refuse a network with too few places for a stage's end, and tasks without classes."""
        graph = from_keras(model, allow_unsafe=allow_unsafe)
        groups = prunable_groups(graph, config)
        cut_into_stages(graph, groups, config.nb_stages, flag=_STAGES_FLAG)
        labels = labelled_samples(helper, _NUM_LABELS).labels[0]
        if config.nb_stages:
            num_classes(graph, helper.plain_labels(labels), flag=_STAGES_FLAG)

    def counts(self, groups: Sequence[ChannelGroup]) -> dict[str, int]:
        """Settle how many channels of each group stay."""
        ruled = ruled_counts(self, self.graph, groups, keeps_costs=True)
        return ratio_counts(groups, self.config) if ruled is None else dict(ruled)

    def fine_tune_stage(self, number: int, stage: Stage, network: WorkingNetwork) -> Head | None:
        """Train the whole network, and the stage's head with it, on L_p + L_f."""
        head, model, saved, loss = None, network.model, None, None
        if stage.end is not None:
            head = with_head(
                network.model,
                network.tensors[stage.end],
                channel_axis(self.graph, stage.end),
                self.num_classes,
                seed=(self.context.run.seed + number) % 2**31,
            )
            model, saved = head.model, network.model
            loss = self.default_loss(model, saved).plus(head_term(head, self.helper))
        num_steps = self.iterations(self.config.nb_iters_block, BLOCK_EPOCHS)
        schedule = fine_tune_schedule(
            self.config.lrn_rate_adam, num_steps, num_steps_warmup=num_steps // 10
        )
        self.fit(
            f"{_STAGE}{number}",
            model,
            schedule=schedule,
            num_steps=num_steps,
            loss=loss,
            optimizer=keras.optimizers.Adam(schedule),
            saved=saved,
        )
        return head

    def select(
        self,
        number: int,
        stage: Stage,
        network: WorkingNetwork,
        head: Head | None,
        counts: Mapping[str, int],
    ) -> dict[str, np.ndarray]:
        """Choose the channels of a stage; the rows of those that go become zero.

        Returns:
            Boolean mask by group name, True = keep, of the groups that lose channels.
        """
        if head is None or stage.end is None:
            loss = own_loss(self.graph, self.helper)
        else:
            loss = classifying_loss(stage.end, head, self.helper)
        selection = StageSelection(
            network, lambda: self._second, lambda: self._samples, loss, self.options()
        )
        pruned = [group for group in stage.groups if counts[group.name] < group.size]
        masks = {}
        with (
            WorkProgress(f"stage {number}: choosing channels", "layers") as progress,
            fixed_order(),
        ):
            for index, group in enumerate(pruned, start=1):
                num_keep = counts[group.name]
                choose = functools.partial(selection.choose, group, num_keep)
                asked = self._question(network, head, group, num_keep)
                choice, seconds = self._journal.answer(f"{number}.{index}", asked, choose)
                selection.put(group, choice)
                masks[group.name] = choice.mask
                self.layers |= {
                    la: {"stage": number, "error": e} for la, e in choice.errors.items()
                }
                self.seconds["selection"] = self.seconds.get("selection", 0.0) + seconds
                progress.update(index, len(pruned), group.name)
        return masks

    def iterations(self, count: int, share: float) -> int:
        """Scale a flag's number of iterations to the data set, see `iterations.py`."""
        if not self.config.scale_iters:
            return count
        return scaled(count, share, self.helper.steps_per_epoch)

    def iterations_note(self, num_stages: int) -> str:
        """Say how many iterations are made."""
        block, layer = self.config.nb_iters_block, self.config.nb_iters_layer
        scaling = " scaled to the data set" if self.config.scale_iters else ""
        return (
            f"{num_stages} stages; iterations{scaling}: {self.iterations(block, BLOCK_EPOCHS)} of "
            f"{block} in each stage, {self.iterations(layer, LAYER_EPOCHS)} of {layer} for each "
            "layer."
        )

    def options(self) -> SelectionOptions:
        """Translate the flags."""
        return SelectionOptions(
            weight=self.config.loss_w_discr,
            num_iterations=self.iterations(self.config.nb_iters_layer, LAYER_EPOCHS),
            lrn_rate=self.config.lrn_rate_adam,
        )

    @functools.cached_property
    def graph(self) -> Graph:
        """The network that the recipe was given, which it does not change."""
        return from_keras(self.model, allow_unsafe=self.context.run.allow_unsafe)

    @functools.cached_property
    def num_classes(self) -> int:
        """How many classes the heads tell apart."""
        labels = labelled_samples(self.helper, _NUM_LABELS).labels[0]
        return num_classes(self.graph, self.helper.plain_labels(labels), flag=_STAGES_FLAG)

    @functools.cached_property
    def _samples(self) -> Samples:
        return labelled_samples(self.helper, self.config.nb_smpls)

    @functools.cached_property
    def _second(self) -> WorkingNetwork:
        return WorkingNetwork(self.graph)

    @functools.cached_property
    def _journal(self) -> SelectionJournal:
        context = self.context
        return SelectionJournal(
            context.stage.state_path, resume=context.run.resume, writes=context.workers.is_chief
        )

    def _question(
        self, network: WorkingNetwork, head: Head | None, group: ChannelGroup, num_keep: int
    ) -> str:
        iterations = self.options().num_iterations
        facts = {"group": group.name, "keep": num_keep, "iterations": iterations}
        own = [] if head is None else head.part.get_weights()
        return question({**self.fingerprint(), **facts}, [*network.model.get_weights(), *own])

    def _advice(self, part: str) -> str:
        """Stages have a rate of their own."""
        if not part.startswith(_STAGE):
            return super()._advice(part)
        rate = self.config.lrn_rate_adam
        return f"Lower --dcp_lrn_rate_adam: it was {rate:g}, try {rate / 10:g}."
