"""The learner `soft-pruned`: soft filter pruning by a falling threshold on redundancy.

The recipe, after He et al., "Soft Filter Pruning for Accelerating Deep Convolutional Neural
Networks", 2018, arXiv:1808.06866, with the rule of Liu et al., 2018, arXiv:1705.10748:

1. find the channels that are pruned: the inner ones of inverted-residual and squeeze-and-excite
   blocks, by topology, else those of all inner layers;
2. for each of the falling thresholds set redundant filters to zero and train; they go on learning,
   and after each epoch it is decided anew which are zero (`learners/filters/soft.py`);
3. while too many came back, train once more at the same threshold;
4. strip: cut the filters that are zero.
"""

import math

import keras

from learners.base import AbstractLearner, Trained
from learners.channels.selection import halved
from learners.filters.inner_blocks import soft_groups
from learners.filters.soft import Pruning
from learners.filters.strip import Stripped
from learners.soft_pruning.config import SoftPrunedConfig
from nets.abstract_model_helper import AbstractModelHelper
from utils.command import notes
from utils.graph import ChannelGroup, Graph, from_keras, to_keras
from utils.training import fine_tune_schedule

_NB_SMPLS_STRIP = 64  # images on which channels of zero filters are looked at; most are constant


class SoftPrunedLearner(AbstractLearner):
    """Zero, train, decide anew; in the end cut."""

    def train(self) -> Trained:
        """Carry out the recipe."""
        pruning = self.pruning(self.model)
        num_steps = math.ceil(self.fine_tune_steps() / len(self.config.falling()))
        for number, _ in enumerate(pruning, start=1):
            rate = fine_tune_schedule(self.fine_tune_lrn_rate, num_steps)
            self.fit(
                f"retrain_{number}",
                self.model,
                schedule=rate,
                num_steps=num_steps,
                optimizer=self.fine_tune_optimizer(rate, self.model),
                callbacks=[pruning.callback()],
                extra_variables=pruning.variables,
                keep_zeros=False,
            )
            self.say(f"training {number} at {pruning.summary()}")
        with self.timed("strip"):
            result = pruning.stripped(self.images())
        self.notes += self.remarks(pruning, result)
        return Trained(to_keras(result.graph))

    @classmethod
    def trial(
        cls, model: keras.Model, config: SoftPrunedConfig, *, allow_unsafe: bool
    ) -> keras.Model | None:
        """Keep the first half of the channels of each group."""
        graph = from_keras(model, allow_unsafe=allow_unsafe)
        return to_keras(halved(graph, _groups(graph, config)))

    @classmethod
    def check(
        cls,
        model: keras.Model,
        config: SoftPrunedConfig,
        helper: AbstractModelHelper,
        *,
        allow_unsafe: bool,
    ) -> None:
        """Refuse scopes that are in no name, and a network without filters that can go."""
        _groups(from_keras(model, allow_unsafe=allow_unsafe), config)

    def pruning(self, model: keras.Model) -> Pruning:
        """Translate the flags."""
        return Pruning(
            model,
            thresholds=self.config.falling(),
            scope_names=self.config.scopes(),
            max_failure_rate=self.config.failure_rate,
            max_retrains=self.config.max_retrains,
            frequency=self.config.frequency or None,
            allow_unsafe=self.context.run.allow_unsafe,
        )

    def images(self) -> object:
        """Give a batch of training images."""
        batch = next(iter(self.helper.build_dataset_calibration(_NB_SMPLS_STRIP)))
        return batch[0] if isinstance(batch, tuple) else batch

    def remarks(self, pruning: Pruning, result: Stripped) -> list[str]:
        """Say what came of it, for the report."""
        summary = pruning.summary()
        zeroed, sizes = sum(summary.zeroed.values()), sum(summary.sizes.values())
        cut = "are cut" if not result.num_held else f"{zeroed - result.num_held} are cut"
        found = f"soft pruning: {zeroed} of {sizes} filters were zero in the end and {cut}"
        if not zeroed:
            found = f"soft pruning: no filter was redundant, lower --{self.config.PREFIX}thresholds"
        back = f"{pruning.num_regrown} times one came back beyond the rule on the way"
        return [*filter(None, [pruning.note, result.note]), f"{found}; {back}."]

    def say(self, sentence: str) -> None:
        """Show a line."""
        notes.print(f"{self.context.stage.learner}: {sentence}", markup=False)


def _groups(graph: Graph, config: SoftPrunedConfig) -> list[ChannelGroup]:
    return soft_groups(graph, config.scopes(), source=f"`{config.PREFIX}scope_names`")[0]
