"""The learner `filter-pruned`: whole filters go by a criterion, in one or several steps.

The recipe, after Li et al., "Pruning Filters for Efficient ConvNets", 2017, arXiv:1608.08710, and
its followers (`learners/filters/criteria.py` names them):

1. settle how many filters of each coupled group stay after each step: ratios of the original width,
   or a budget; of all layers or of named ones;
2. at each step score the channels of the groups in the network as tuned so far and cut the lowest;
3. train to the next step.
"""

from collections.abc import Sequence
from typing import Any

import keras

from learners.base import AbstractLearner, Trained
from learners.channels.counts import ruled_counts
from learners.channels.selection import halved
from learners.filter_pruning.config import FilterPrunedConfig
from learners.filter_pruning.course import (
    Choice,
    Cut,
    FinalCounts,
    Part,
    recipe_cuts,
    training_parts,
)
from learners.filter_pruning.cutting import FilterCutting
from learners.filter_pruning.schedule import part_rate
from learners.filters.carriers import SCALE, carriers
from learners.filters.choice import all_groups
from learners.filters.criteria import CRITERIA, require_scales
from learners.identity import file_digest
from learners.labelled import labelled_batches
from nets.abstract_model_helper import AbstractModelHelper
from utils.graph import Graph, from_keras, to_keras
from utils.training import LossComposer


class FilterPrunedLearner(AbstractLearner):
    """Score, cut, train; and again."""

    def train(self) -> Trained:
        """Carry out the recipe."""
        self.notes += self.config.recipe.notes
        graph = from_keras(self.model, allow_unsafe=self.context.run.allow_unsafe)
        parts = self.parts(graph)
        model = self.saved_network()
        for index, part in enumerate(parts):
            if model is None or index:
                with self.timed("selection"):
                    model = self.without(model or self.model, part.cuts)
            rate = part_rate(
                self.config.recipe.rates,
                self.fine_tune_lrn_rate,
                num_steps=self.fine_tune_steps(),
                steps_per_epoch=self.helper.steps_per_epoch,
                first_step=part.first_step,
            )
            self.fit(
                part.name,
                model,
                schedule=rate,
                num_steps=part.num_steps,
                optimizer=self.fine_tune_optimizer(rate, model),
            )
        return Trained(model or self.model)

    @classmethod
    def trial(
        cls, model: keras.Model, config: FilterPrunedConfig, *, allow_unsafe: bool
    ) -> keras.Model | None:
        """Keep the first half of the channels of each group."""
        graph = from_keras(model, allow_unsafe=allow_unsafe)
        names = {name for cuts in _cuts(graph, config) for cut in cuts for name in cut.counts}
        return to_keras(halved(graph, [g for g in all_groups(graph) if g.name in names]))

    @classmethod
    def check(
        cls,
        model: keras.Model,
        config: FilterPrunedConfig,
        helper: AbstractModelHelper,
        *,
        allow_unsafe: bool,
    ) -> None:
        """Refuse layers that are not there, and criteria that do not find what they look at."""
        graph = from_keras(model, allow_unsafe=allow_unsafe)
        groups = {group.name: group for group in all_groups(graph)}
        for each in (each for cuts in _cuts(graph, config) for each in cuts):
            if CRITERIA[each.criterion].gradients:
                labelled_batches(helper, config.nb_smpls)
            if CRITERIA[each.criterion].scales:
                # Where a budget rules, any group may lose channels.
                lose = [n for n, kept in each.counts.items() if kept < groups[n].size]
                for name in lose if config.recipe.has_ratios else each.counts:
                    kinds = [part.kind for part in carriers(graph, groups[name])]
                    require_scales(name, kinds.count(SCALE))

    def fingerprint(self) -> dict[str, Any]:
        """Compare the content of the documents too."""
        own = {}
        if self.config.config is not None:
            own["fp_config_file"] = file_digest(self.config.config)
        return {**super().fingerprint(), **own}

    def parts(self, graph: Graph) -> list[Part]:
        """Settle the parts of the training and what is cut before each."""
        spans = training_parts(
            self.config.recipe,
            num_steps=self.fine_tune_steps(),
            steps_per_epoch=self.helper.steps_per_epoch,
        )
        cuts = _cuts(graph, self.config, self.final_counts(graph))
        cuts = [()] * (len(spans) - len(cuts)) + cuts  # training before the first step
        names = [f"part_{number}" for number in range(1, len(spans) + 1)]
        if len(spans) == 1:
            names = ["fine_tuning"]
        return [
            Part(name, first, length, own)
            for name, (first, length), own in zip(names, spans, cuts, strict=True)
        ]

    def final_counts(self, graph: Graph) -> FinalCounts | None:
        """Give what says how many channels stay in the end, where it is not the recipe's ratios."""
        if self.context.setting is None and self.context.budget is None:
            return None
        # A resumed run settles them again.
        return lambda groups: ruled_counts(self, graph, groups, keeps_costs=True) or {}

    def without(self, model: keras.Model, cuts: Sequence[Cut]) -> keras.Model:
        """Cut the filters that score lowest in a network as it is now."""
        if not cuts:
            return model
        run = self.context.run
        cutting = FilterCutting(
            self.helper, self.config, seed=run.seed, allow_unsafe=run.allow_unsafe
        )
        small = cutting.without(from_keras(model, allow_unsafe=run.allow_unsafe), cuts)
        self.layers |= {name: {"error": error} for name, error in cutting.errors.items()}
        return to_keras(small)

    @property
    def distillation_weight(self) -> float:
        """The document's share of the teacher; without one as every learner's."""
        distill = self.config.recipe.distill
        return super().distillation_weight if distill is None else 1.0 - distill.alpha

    def default_loss(self, model: keras.Model, saved: keras.Model | None = None) -> LossComposer:
        """Give the labels the document's share."""
        loss, distill = super().default_loss(model, saved), self.config.recipe.distill
        return loss if distill is None else loss.with_labels_at(distill.alpha)


def _cuts(
    graph: Graph, config: FilterPrunedConfig, final: FinalCounts | None = None
) -> list[tuple[Cut, ...]]:
    choice = Choice(residual=config.residual, skipped=config.skipped(), round_to=config.round_to)
    return recipe_cuts(graph, config.recipe, choice, final)
