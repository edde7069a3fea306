"""The learner `filter-pruned`: whole filters go by a criterion, in one or several steps.

The recipe, after Li et al., "Pruning Filters for Efficient ConvNets", 2017, arXiv:1608.08710, and
its followers (`learners/filters/criteria.py` names them):

1. settle how many filters of each coupled group stay after each step: ratios of the original width,
   or a budget; of all layers or of named ones;
2. at each step score the channels of the groups in the network as tuned so far and cut the lowest;
3. train to the next step.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from learners.base import AbstractLearner, Trained
from learners.budget import Budget
from learners.channels.criteria import Criterion
from learners.channels.groups import channel_budget
from learners.channels.segments import cut
from learners.channels.selection import ChannelSelection, SelectionOptions, halved
from learners.filter_pruning.config import FilterPrunedConfig
from learners.filter_pruning.course import Choice, Cut, Part, recipe_cuts, training_parts
from learners.filter_pruning.schedule import PartRate, StagedRate
from learners.filters.carriers import LiveWeights, carriers
from learners.filters.choice import all_groups, best
from learners.filters.criteria import CRITERIA, Score, group_filters
from learners.filters.gradients import filter_products
from learners.identity import file_digest
from learners.reconstruction.sampling import Sampler
from utils.files import load_keras_model
from utils.graph import ChannelGroup, Graph, copy_network, from_keras, to_keras
from utils.progress import WorkProgress
from utils.training import LossComposer, distillation, fine_tune_schedule
from utils.training.logits import teacher_like


class FilterPrunedLearner(AbstractLearner):
    """Score, cut, train; and again."""

    def train(self) -> Trained:
        """Carry out the recipe."""
        self.notes += self.config.recipe.notes
        graph = from_keras(self.model, allow_unsafe=self.context.run.allow_unsafe)
        parts, teacher = self.parts(graph), self.teacher()
        model = self.saved_network()
        for index, part in enumerate(parts):
            if model is None or index:
                with self.timed("selection"):
                    model = self.without(model or self.model, part.cuts)
            self.fit(
                part.name,
                model,
                schedule=self.rate(part),
                num_steps=part.num_steps,
                loss=self.taught_by(teacher),
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

    def fingerprint(self) -> dict[str, Any]:
        """Compare the content of the documents too."""
        recipe, own = self.config.recipe, {}
        if self.config.config is not None:
            own["fp_config_file"] = file_digest(self.config.config)
        if recipe.distill is not None and recipe.distill.teacher_path is not None:
            own["fp_teacher_file"] = file_digest(recipe.distill.teacher_path)
        return {**super().fingerprint(), **own}

    def parts(self, graph: Graph) -> list[Part]:
        """Settle the parts of the training and what is cut before each."""
        recipe = self.config.recipe
        spans = training_parts(
            recipe,
            num_steps=self.fine_tune_steps(),
            steps_per_epoch=self.helper.steps_per_epoch,
        )
        cuts = _cuts(graph, self.config, self.final_counts(graph))
        cuts = [()] * (len(spans) - len(cuts)) + cuts
        names = [f"part_{n}" for n in range(1, len(spans) + 1)]
        if len(spans) == 1:
            names = ["fine_tuning"]
        return [
            Part(name, first, length, own)
            for name, (first, length), own in zip(names, spans, cuts, strict=True)
        ]

    def final_counts(self, graph: Graph) -> Any:
        """Give what says how many channels stay in the end, where it is not the recipe's ratios."""
        budget, setting = self.context.budget, self.context.setting
        if setting is not None:
            return lambda groups: setting.values_for({group.name: group.size for group in groups})
        return None if budget is None else lambda groups: self.within(budget, graph, groups)

    def within(
        self, budget: Budget, graph: Graph, groups: Sequence[ChannelGroup]
    ) -> Mapping[str, int]:
        """Settle the counts at one uniform ratio for all groups."""
        channels = channel_budget(graph, groups, self.config, budget)
        values = channels.refined(channels.uniform())
        self.notes += channels.remarks(values)
        return channels.by_name(values)

    def without(self, model: keras.Model, cuts: Sequence[Cut]) -> keras.Model:
        """Cut the filters that score lowest in a network as it is now."""
        if not cuts:
            return model
        graph = from_keras(model, allow_unsafe=self.context.run.allow_unsafe)
        keep: dict[str, np.ndarray] = {}
        for each in cuts:
            walk, score = CRITERIA[each.criterion].walk, CRITERIA[each.criterion].score
            if walk is not None:
                graph = self.eliminated(graph, each, walk)
            elif score is not None:
                keep |= self.chosen(graph, each, score)
        return to_keras(cut(graph, all_groups(graph), keep))

    def chosen(self, graph: Graph, wanted: Cut, score: Score) -> dict[str, np.ndarray]:
        """Choose by scores: bool arrays by group name, True = keep."""
        groups = _counted(graph, wanted)
        parts = {group.name: carriers(graph, group) for group in groups}
        products = None
        if CRITERIA[wanted.criterion].gradients:
            network = to_keras(graph)
            products = filter_products(
                network,
                LiveWeights(network, allow_unsafe=self.context.run.allow_unsafe),
                [part for own in parts.values() for part in own],
                self.helper.build_dataset_calibration(self.config.nb_smpls),
                self.helper.calc_loss,
            )
        keep = {}
        for number, group in enumerate(groups):
            filters = group_filters(
                group, parts[group.name], lambda *key: graph.params[key[0]][key[1]], products
            )
            generator = np.random.default_rng([self.context.run.seed, number])
            scores = score(filters, generator)
            keep[group.name] = best(scores, wanted.counts[group.name], group)
        return keep

    def eliminated(self, graph: Graph, wanted: Cut, walk: Criterion) -> Graph:
        """Choose on the walk, by what the layers behind lose; they are refitted."""
        groups = _counted(graph, wanted)
        counts = {group.name: wanted.counts[group.name] for group in groups}
        with WorkProgress("selecting filters", "layers") as progress:
            options = SelectionOptions(criterion=walk)
            result = ChannelSelection(
                graph, groups, counts, self.sampler(), options=options, on_layer=progress.update
            ).run()
        self.layers |= {name: {"error": error} for name, error in result.errors.items()}
        return result.graph

    def sampler(self) -> Sampler:
        """Draw the training images that the walk looks at."""
        batches = self.helper.build_dataset_calibration(self.config.nb_smpls)
        return Sampler(
            batches.map(lambda images, *_: images),
            num_images=self.config.nb_smpls,
            num_positions=self.config.nb_crops_per_smpl,
            seed=self.context.run.seed,
        )

    def rate(self, part: Part) -> Any:
        """Give the learning rate of a part: the document's, else a cosine over the whole."""
        rates = self.config.recipe.rates
        if rates is None:
            whole = fine_tune_schedule(self.fine_tune_lrn_rate, self.fine_tune_steps())
        else:
            whole = StagedRate(self.fine_tune_lrn_rate, rates, self.helper.steps_per_epoch)
        return PartRate(whole, part.first_step) if part.first_step else whole

    def teacher(self) -> keras.Model | None:
        """Give the teacher that the document asks for, None where it asks for none."""
        recipe = self.config.recipe
        if recipe.distill is None:
            return None
        unsafe, path = self.context.run.allow_unsafe, recipe.distill.teacher_path
        if path is None:
            return copy_network(self.model, allow_unsafe=unsafe)
        return teacher_like(load_keras_model(path, allow_unsafe=unsafe), self.model)

    def taught_by(self, teacher: keras.Model | None) -> LossComposer | None:
        """Compose (1 - alpha) * loss + alpha * T^2 * KL; None for the loss of every learner."""
        distill = self.config.recipe.distill
        if teacher is None or distill is None:
            return None
        alpha, temperature = distill.alpha, distill.temperature

        def calc_loss(labels: Any, outputs: Any, variables: Sequence[Any]) -> Any:
            loss, metrics = self.helper.calc_loss(labels, outputs, variables)
            return (1.0 - alpha) * loss, metrics

        # The term leaves out the factor T^2 of Hinton et al., which alpha is meant with.
        term = distillation(alpha * temperature**2, temperature, self.helper.logits)
        return LossComposer(calc_loss, [term], teacher=teacher)


def _cuts(graph: Graph, config: FilterPrunedConfig, final: Any = None) -> list[tuple[Cut, ...]]:
    choice = Choice(residual=config.residual, skipped=config.skipped(), round_to=config.round_to)
    return recipe_cuts(graph, config.recipe, choice, final)


def _counted(graph: Graph, wanted: Cut) -> list[ChannelGroup]:
    """List the groups of a cut that have more channels than are to stay."""
    found: Iterable[ChannelGroup] = all_groups(graph)
    return [g for g in found if wanted.counts.get(g.name, g.size) < g.size]
