"""The learner `weight-sparse`: single weights, N of M or tiles become exactly zero.

The recipe, after Zhu & Gupta, "To Prune, or Not to Prune", 2017, arXiv:1710.01878, and Frantar,
Singh & Alistarh, "Optimal Brain Compression", NeurIPS 2022, arXiv:2208.11580:

1. settle how many weights of each kernel stay (`targets.py`, `allocate.py`, `sensitivity.py`; a
   search; a setting);
2. with `ws_criterion=obs` take weights out in closed form, layer after layer, the others making up
   for them (`one_shot.py`);
3. train, while a schedule takes out more (`schedule.py`, `masking.py`), or with the masks as they
   are. What is zero stays exactly zero at every step and in every file.
"""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from learners.base import FINE_TUNING, AbstractLearner, Trained
from learners.budget import Budget
from learners.identity import file_digest
from learners.live_weights import LiveWeights
from learners.reconstruction.sampling import Sampler, flagged_sampler, training_sampler
from learners.search.stage import SearchedStage
from learners.setting import Setting
from learners.sparsity.score import SCORES, Criterion
from learners.weight_sparsification.allocate import Counts
from learners.weight_sparsification.config import OBS, WeightSparseConfig
from learners.weight_sparsification.gradients import mean_gradients
from learners.weight_sparsification.masking import Masking, MaskUpdates, masked_optimizer
from learners.weight_sparsification.one_shot import OneShot
from learners.weight_sparsification.report import facts, remarks
from learners.weight_sparsification.schedule import Once, Schedule, make_schedule
from learners.weight_sparsification.search import sparse_problem
from learners.weight_sparsification.sensitivity import NUM_IMAGES, error_tables, shares
from learners.weight_sparsification.targets import (
    Targets,
    find_targets,
    in_whole_tiles,
    num_left,
    refuse_frozen,
    settled,
)
from learners.weight_sparsification.versions import SparseVersions
from nets.abstract_model_helper import AbstractModelHelper
from utils.graph import Graph, complexity, from_keras, to_keras
from utils.progress import WorkProgress
from utils.training import fine_tune_schedule

_FEW_UPDATES = 5  # of the masks: with fewer, much goes at a time


class WeightSparseLearner(AbstractLearner):
    """Settle the shares, take weights out, train."""

    config: WeightSparseConfig

    def train(self) -> Trained:
        """Carry out the recipe."""
        schedule = self.schedule()
        graph = from_keras(self.model, allow_unsafe=self.context.run.allow_unsafe)
        targets = find_targets(graph, self.config)
        if self.config.wants_search() and self.context.setting is None:
            return self.searched(graph, targets)
        final = self.counts(graph, targets)
        start = self.counts_before(targets, final)
        model = self.saved_network()
        if model is None:
            model = self.begun(graph, targets, start)
        if isinstance(schedule, Once):
            self.fine_tune(model)
        else:
            self.thin_out(model, targets, schedule, start, final)
        weights = LiveWeights(model, allow_unsafe=self.context.run.allow_unsafe)
        self.layers = facts(weights, targets, self.layers)
        self.notes += remarks(model, weights, targets)
        return Trained(model)

    @classmethod
    def check(
        cls, model: keras.Model, config: Any, helper: AbstractModelHelper, *, allow_unsafe: bool
    ) -> None:
        """Refuse a prune dict or a granularity that is not for this network."""
        targets = find_targets(from_keras(model, allow_unsafe=allow_unsafe), config)
        if SCORES.get(config.criterion, SCORES["magnitude"]).needs_gradients:
            weights = LiveWeights(model, allow_unsafe=allow_unsafe)
            refuse_frozen(weights, targets, f"`ws_criterion` {config.criterion}")

    @classmethod
    def check_choice(
        cls,
        model: keras.Model,
        config: Any,
        *,
        budget: Budget | None,
        setting: Setting | None,
        allow_unsafe: bool,
    ) -> None:
        """Refuse a setting for other kernels or tiles, and a budget that cannot be met."""
        graph = from_keras(model, allow_unsafe=allow_unsafe)
        targets = find_targets(graph, config)
        if setting is not None:
            in_whole_tiles(setting, targets, config.grain)
        elif budget is not None and budget.text != config.own_budget():  # that counts these alone
            num_left(targets, config, budget, complexity(graph).nonzeros)

    def fingerprint(self) -> dict[str, Any]:
        """Compare the prune dict's content too."""
        own = {}
        if self.config.prune_dict:
            own["prune_dict_file"] = file_digest(self.config.prune_dict)
        return {**super().fingerprint(), **own}

    def schedule(self) -> Schedule:
        """Say when weights go; without training all at once.

        Raises:
            InputError: if the last would go after the training.
        """
        return make_schedule(self.config, self.fine_tune_steps())

    def counts(self, graph: Graph, targets: Targets) -> Counts:
        """Settle how many weights of each layer stay in the end."""
        context = self.context
        if context.setting is not None:
            return in_whole_tiles(context.setting, targets, self.config.grain)
        left = self.num_left(graph, targets)
        if self.config.wants_sensitivity():
            return self.by_sensitivity(graph, targets, left)
        return settled(targets, self.config, left)

    def by_sensitivity(self, graph: Graph, targets: Targets, left: int) -> Counts:
        """Share weights out by what errors do to the outputs; see `sensitivity.py`."""
        grain, sizes = self.config.grain, targets.sizes
        method = SparseVersions(grain, 1.0 - left / sum(sizes.values()))
        sampler = training_sampler(
            self.helper,
            num_images=min(self.config.nb_smpls, NUM_IMAGES),
            num_positions=self.config.nb_crops_per_smpl,
            seed=self.context.run.seed,
        )
        with self.timed("tables"), WorkProgress("weighing layers", "layers") as progress:
            tables = error_tables(graph, targets.layers, sampler, method, on_layer=progress.update)
        return shares(tables, sizes, left, grain.unit)

    def num_left(self, graph: Graph, targets: Targets) -> int:
        """Say how many weights of all that are up for pruning stay."""
        # `context.budget` is the flags' own where the run has none: that counts these alone.
        budget = None if self.context.run.budget is None else self.context.budget
        return num_left(targets, self.config, budget, complexity(graph).nonzeros)

    def counts_before(self, targets: Targets, final: Mapping[str, int]) -> Counts:
        """Say how many weights of each layer stay before the schedule."""
        config = self.config
        if isinstance(self.schedule(), Once):
            return dict(final)
        if config.criterion != OBS:
            return targets.sizes
        share = min(config.prune_ratio_init / max(self._ratio(targets, final), 1e-9), 1.0)
        unit = config.grain.unit
        return {
            name: size - round(share * (size - final[name]) / unit) * unit
            for name, size in targets.sizes.items()
        }

    @staticmethod
    def _ratio(targets: Targets, final: Mapping[str, int]) -> float:
        return 1.0 - sum(final.values()) / sum(targets.sizes.values())

    def begun(self, graph: Graph, targets: Targets, counts: Mapping[str, int]) -> keras.Model:
        """Take out what goes before any training.

        Args:
            graph: the network, not changed.
            targets: its kernels.
            counts: layer name -> weights that stay.

        Returns:
            The network; the learner's own where nothing goes yet.
        """
        if counts == targets.sizes:
            return self.model
        with self.timed("selection"):
            if self.config.criterion == OBS:
                return self.one_shot(graph, targets, counts)
            model = to_keras(graph)
            masking = self.masking(model, targets, counts, counts)
            masking.update(0.0, self.gradients(model, masking))
            return model

    def one_shot(self, graph: Graph, targets: Targets, counts: Mapping[str, int]) -> keras.Model:
        """Take weights out in closed form."""
        layers = {layer.name: layer for layer in targets.layers}
        with WorkProgress("removing weights", "layers") as progress:
            work = OneShot(
                graph,
                layers,
                counts,
                self.sampler(),
                self.config.grain,
                on_layer=progress.update,
            )
            model = to_keras(work.run())
        self.layers |= {name: {"error": error} for name, error in work.errors.items()}
        if work.unsampled:
            self.notes.append(
                f"weight-sparse: {', '.join(work.unsampled)} cannot be sampled and lost the "
                "smallest weights."
            )
        return model

    def thin_out(
        self,
        model: keras.Model,
        targets: Targets,
        schedule: Schedule,
        start: Mapping[str, int],
        final: Mapping[str, int],
    ) -> None:
        """Train in place while the schedule takes weights out."""
        num_steps = self.fine_tune_steps()
        rate = fine_tune_schedule(self.fine_tune_lrn_rate, num_steps)
        masking = self.masking(model, targets, start, final)
        needs = self._criterion.needs_gradients
        inner = self.fine_tune_optimizer(rate, model)
        optimizer = masked_optimizer(inner, model, masking, gradients=needs)
        if schedule.num_updates() < _FEW_UPDATES:
            note = (
                f"weight-sparse: weights went in {schedule.num_updates()} portions only; smaller "
                "ones do less harm: lower --ws_mask_update_step, or --ws_frequency."
            )
            self.notes += [] if note in self.notes else [note]  # a resumed run has it already
        self.fit(
            FINE_TUNING,
            model,
            schedule=rate,
            num_steps=num_steps,
            optimizer=optimizer,
            callbacks=[MaskUpdates(masking, schedule, optimizer)],
            keep_zeros=False,  # the optimizer does
        )

    def masking(
        self,
        model: keras.Model,
        targets: Targets,
        start: Mapping[str, int],
        final: Mapping[str, int],
    ) -> Masking:
        """Translate the flags."""
        return Masking(
            model,
            targets.layers,
            self._criterion,
            self.config.grain,
            start=start,
            final=final,
            ranked=self.config.ranking == "global",
            allow_unsafe=self.context.run.allow_unsafe,
        )

    @property
    def _criterion(self) -> Criterion:
        """The criterion of the schedule; what went in closed form goes on by magnitude."""
        return SCORES.get(self.config.criterion, SCORES["magnitude"])

    def gradients(
        self, model: keras.Model, masking: Masking
    ) -> dict[tuple[str, str], np.ndarray] | None:
        """Average gradients on training images where the criterion needs them."""
        if not self._criterion.needs_gradients:
            return None
        batches = self.helper.build_dataset_calibration(self.config.nb_smpls)
        variables = [masking.variable(*key) for key in masking.kernels()]
        found = mean_gradients(model, variables, batches, self.helper.calc_loss)
        return dict(zip(masking.kernels(), found, strict=True))

    def sampler(self) -> Sampler:
        """Draw the training images that closed forms are taken from."""
        return flagged_sampler(self.helper, self.config, seed=self.context.run.seed)

    def searched(self, graph: Graph, targets: Targets) -> Trained:
        """Let an agent settle the shares, compare with one ratio for all, keep the better.

        The first roll-outs are one ratio for all, and the shares by sensitivity.
        """
        left = self.num_left(graph, targets)
        problem = sparse_problem(
            self,
            graph,
            targets,
            left,
            self.sampler,
            lambda: self.by_sensitivity(graph, targets, left),
        )
        return SearchedStage(self, problem).run()
