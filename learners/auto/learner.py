"""The learner `auto`: the smallest file that loses no more than is allowed, or fits budgets.

1. Say what the file that decides gains from (`offers.py`), and what every choice costs: error and
   bytes of each width, share of zeros and number of bits, on one walk (`tables.py`).
2. Hunt: the best joint choice of a size by a dynamic programme (`allocate.py`), carried out on
   another walk (`build.py`), its file run on held-out training images (`files.py`); the size is
   bisected (`search.py`).
3. With epochs: fine-tune, distilling from the network before; zeros and grids stay. Then smaller
   networks serve: the hunt allows more before, and what is tuned is checked again.

Nothing is returned whose file loses more than `--max_drop` on the held-out images.
"""

import dataclasses
import functools
import math
import time
from typing import Any

import keras

from learners.auto.allocate import Answer
from learners.auto.config import AutoConfig
from learners.auto.files import DecidingFile, float_bytes
from learners.auto.joint import Joint, from_setting
from learners.auto.meter import NUM_IMAGES, OutputErrors
from learners.auto.offers import Offer, Option, make_offer
from learners.auto.places import Places, find_places
from learners.auto.record import Record
from learners.auto.report import compared_rows, facts, make_search, save_setting
from learners.auto.search import Goal, Search, sentences
from learners.auto.solving import rounded_graph
from learners.auto.tables import Tables, measure
from learners.auto.workshop import Candidate, Judge, Workshop
from learners.base import FINE_TUNING, AbstractLearner, Trained
from learners.budget import Budget
from learners.channels.budget import ChannelBudget
from learners.low_bits.tying import tied
from learners.reconstruction.sampling import Sampler, training_sampler
from learners.search.journal import search_folder
from learners.search.scoring import held_out_images
from learners.setting import Setting
from nets.abstract_model_helper import AbstractModelHelper
from utils.command import notes
from utils.errors import InputError
from utils.graph import Graph, from_keras, to_keras
from utils.progress import WorkProgress
from utils.training import fine_tune_schedule
from utils.training.latent import LatentOptimizer

LOOSE = 6.0  # times max_drop: what the network may lose that is fine-tuned afterwards


class AutoLearner(AbstractLearner):
    """Measure, hunt, tune."""

    config: AutoConfig

    def train(self) -> Trained:
        """Carry out the recipe."""
        graph = from_keras(self.model, allow_unsafe=self.context.run.allow_unsafe)
        places = self.places(graph, self.config)
        if self.context.setting is not None:
            return self.replayed(places, self.context.setting)
        workshop = self.workshop(places, self.offer())
        goal = self.goal(workshop)
        search = Search(workshop, goal, self._rest(workshop), self._say)
        with self.timed("search"):
            search.calibrate()
            candidate, model = self.found(search, goal)
        self.report(search, goal, candidate)
        return Trained(model)

    @classmethod
    def check(
        cls, model: keras.Model, config: Any, helper: AbstractModelHelper, *, allow_unsafe: bool
    ) -> None:
        """Refuse a network without kernels."""
        cls.places(from_keras(model, allow_unsafe=allow_unsafe), config)

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
        """Refuse a setting for another network, and a budget that no channels meet."""
        places = cls.places(from_keras(model, allow_unsafe=allow_unsafe), config)
        if setting is not None:
            from_setting(setting, places.groups, places.layers)
        elif budget is not None:
            width_budget(places, config, budget)

    @staticmethod
    def places(graph: Graph, config: AutoConfig) -> Places:
        """Say what is up for choice."""
        return find_places(graph, residual=config.residual, skip_op_names=config.skip_op_names)

    def offer(self) -> Offer:
        """Say what may be chosen."""
        export = self.context.run.export
        return make_offer(
            export.kinds(),
            export.convert.target,
            patterns=self.config.offered_patterns,
            bits_min=self.config.bits_min,
        )

    def workshop(self, places: Places, offer: Offer) -> Workshop:
        """Measure the tables and get everything ready to make candidates."""
        config, context = self.config, self.context
        tables = self.tables(places, offer)
        images, held_out = held_out_images(self.helper, config.nb_smpls_check, self.num_images)
        if not held_out:
            self.notes.append(
                "auto: the helper holds no training images out, so files are checked on images "
                "that training has seen."
            )
        # What decides is not trained on.
        self.context = context = dataclasses.replace(context, holds_out=held_out)
        file = DecidingFile(offer, context.run.export.convert, self.helper, images, self.model)
        record = Record(
            search_folder(context.stage.artefact_path),
            self.fingerprint(),
            resume=context.run.resume,
        )
        budget = None if context.budget is None else width_budget(places, config, context.budget)
        return Workshop(
            places,
            offer,
            tables,
            self.sampler(),
            Judge(file=file, errors=OutputErrors(self.model, images), record=record),
            widths=budget,
            round_to=config.round_to,
        )

    def tables(self, places: Places, offer: Offer) -> Tables:
        """Measure what every choice costs."""
        with self.timed("tables"), WorkProgress("measuring choices", "layers") as progress:
            return measure(
                places, offer, self.sampler(), others=self.others(), on_layer=progress.update
            )

    def others(self) -> list[Any] | None:
        """Draw training images that closed forms are not taken from; None where there are none."""
        wanted = self.num_images + NUM_IMAGES
        batches: Any = self.helper.build_dataset_calibration(wanted)
        left = batches.unbatch().skip(self.num_images).batch(NUM_IMAGES)
        found = [batch[0] if isinstance(batch, tuple) else batch for batch in left.take(1)]
        return found or None

    @functools.cached_property
    def num_images(self) -> int:
        """Training images that closed forms are taken from: half where none are held out."""
        try:
            self.helper.build_dataset_train(enbl_trn_val_split=True)
        except InputError:  # the helper cannot split
            return max(min(self.config.nb_smpls, self.helper.nb_smpls_train // 2), 1)
        return self.config.nb_smpls

    def sampler(self) -> Sampler:
        """Draw the training images that closed forms are taken from."""
        return training_sampler(
            self.helper,
            num_images=self.num_images,
            num_positions=self.config.nb_crops_per_smpl,
            seed=self.context.run.seed,
        )

    def goal(self, workshop: Workshop) -> Goal:
        """Say what is wanted."""
        budget = self.context.budget
        max_drop = self.config.max_drop(None if budget is None else budget.text)
        limits = () if budget is None else budget.limits
        max_bytes = None
        for limit in limits:
            if limit.kind == "bytes":
                full = 1.0 if limit.share is None else float_bytes(self.model, workshop.offer.kind)
                max_bytes = limit.target(full)
        words = [] if budget is None else [budget.text]
        words += [] if max_drop is None else [f"max_drop:{max_drop:g}"]
        return Goal(
            max_drop=max_drop,
            max_bytes=max_bytes,
            num_candidates=self.config.nb_candidates,
            text=",".join(words),
        )

    def found(self, search: Search, goal: Goal) -> tuple[Candidate, keras.Model]:
        """Find the network; fine-tuned where there are epochs."""
        if self.fine_tune_steps():
            return self.tuned(search, goal)
        candidate = search.run(goal.max_drop)
        if candidate is None:
            raise search.refuse(goal.max_drop or 0.0)
        candidate = self._complete(search, candidate)
        return candidate, to_keras(candidate.network.graph)

    def tuned(self, search: Search, goal: Goal) -> tuple[Candidate, keras.Model]:
        """Fine-tune, the smallest network that may be good enough first.

        Raises:
            InputError: where none is inside.
        """
        loose = None if goal.max_drop is None else LOOSE * goal.max_drop
        candidate = search.run(loose) or search.nearest()
        for number in range(1, self.config.nb_tunings + 1):
            done, model = self.fine_tuned(search, candidate, number)
            if goal.max_drop is None or done.trial.drop <= goal.max_drop:
                return done, model
            safe = search.best(goal.max_drop)  # inside without training
            larger = candidate.trial.size * (1.0 + LOOSE / 20.0)
            if safe is not None:
                larger = math.sqrt(candidate.trial.size * safe.trial.size)
            if number == self.config.nb_tunings - 1 and safe is not None:
                larger = safe.trial.size
            candidate = search.make(min(larger, search.most))
        raise search.refuse(goal.max_drop or 0.0)

    def fine_tuned(
        self, search: Search, candidate: Candidate, number: int
    ) -> tuple[Candidate, keras.Model]:
        """Train a candidate, zeros and grids as they are, and check its file again."""
        candidate = self._complete(search, candidate)
        built = candidate.network
        model, start = to_keras(built.graph), time.perf_counter()
        num_steps = self.fine_tune_steps()
        schedule = fine_tune_schedule(self.fine_tune_lrn_rate, num_steps)
        inner = self.fine_tune_optimizer(schedule, model)
        unsafe = self.context.run.allow_unsafe
        codes = list(tied(model, built.graph, built.layers, built.codes, allow_unsafe=unsafe))
        self.fit(
            FINE_TUNING if number == 1 else f"{FINE_TUNING}_{number}",
            model,
            schedule=schedule,
            num_steps=num_steps,
            optimizer=LatentOptimizer(inner, codes),
            keep_zeros=False,  # the optimizer does, see `Quantized.absent`
        )
        answer: Answer = search.workshop.expect(candidate.joint)
        trial = search.workshop.judged(model, answer, "tuned", candidate.trial.size, start)
        search.tell(trial)
        done = dataclasses.replace(candidate, trial=trial)
        search.tuned.append(done)
        return done, model

    def report(self, search: Search, goal: Goal, winner: Candidate) -> None:
        """Hand the run's report what was tried, and write the setting."""
        if self.config.compare:
            with self.timed("comparison"):
                search.compare(winner)
        workshop = search.workshop
        self.search = make_search(search, winner, compared_rows(search, winner), goal.text)
        found = {
            "cost": {"bytes": float(winner.trial.num_bytes), **workshop.measured(winner.joint)},
            "drop": winner.trial.drop,
            "budget": goal.text,
            "agent": self.search.agent,
            "seed": self.context.run.seed,
        }
        save_setting(
            winner.joint, workshop.places, search_folder(self.context.stage.artefact_path), found
        )
        self.layers = facts(winner, workshop.places)
        self.notes += [*workshop.remarks(winner.joint), *sentences(search, winner, goal)]

    def replayed(self, places: Places, setting: Setting) -> Trained:
        """Make what a setting says."""
        joint = from_setting(setting, places.groups, places.layers)
        offer = self.offer()
        most = max(option.bits for option in offer.options)
        only = dataclasses.replace(offer, options=(Option(bits=most),))  # the order of channels
        workshop = self.workshop(places, only)
        search = Search(
            workshop, Goal(max_drop=None, max_bytes=None, num_candidates=1, text=""), 0.0, self._say
        )
        candidate = workshop.make(workshop.expect(joint), "setting", 0.0)
        search.tell(candidate.trial)
        candidate = self._complete(search, candidate)
        model = to_keras(candidate.network.graph)
        if self.fine_tune_steps():
            candidate, model = self.fine_tuned(search, candidate, 1)
        self.layers = facts(candidate, places)
        self.notes.append(
            f"auto: as {setting.path} says; the {offer.kind} file has {candidate.trial.num_bytes:,}"
            f" bytes and loses {candidate.trial.drop:.2f} points on held-out training images."
        )
        return Trained(model)

    @staticmethod
    def _complete(search: Search, candidate: Candidate) -> Candidate:
        """Give a candidate its network: one of an earlier session is made again, as it was."""
        built = candidate.built or search.workshop.build(candidate.joint)
        return dataclasses.replace(candidate, built=built)

    def _rest(self, workshop: Workshop) -> float:
        """Count the bytes of a file besides its kernels: of the whole network, rounded."""
        offer, places = workshop.offer, workshop.places
        bits = max(option.bits for option in offer.options)
        graph = rounded_graph(places.graph, places.layers, bits, offer.grid)
        whole = Joint(
            widths={group.name: group.size for group in places.groups},
            options={layer.name: Option(bits=bits) for layer in places.layers},
        )
        return workshop.judge.file.count(to_keras(graph)) - workshop.expect(whole).bytes

    def _say(self, sentence: str) -> None:
        notes.print(f"{self.context.stage.learner}: {sentence}", markup=False)


def width_budget(places: Places, config: AutoConfig, budget: Budget) -> ChannelBudget | None:
    """Set the limits up that follow from channels; None where only bytes are limited.

    Raises:
        InputError: if no channels meet them.
    """
    pairs = zip(budget.text.split(","), budget.limits, strict=True)
    left = [(text.strip(), limit) for text, limit in pairs if limit.kind != "bytes"]
    if not left:
        return None
    text = ",".join(each for each, _ in left)
    if not places.groups:
        raise InputError(
            f"The budget {text} cannot be met: no channels of {places.graph.name} can go. Give a "
            "budget for bytes, or --auto_residual=joint."
        )
    limits = tuple(limit for _, limit in left)
    return ChannelBudget(
        places.graph,
        places.groups,
        Budget(text, limits, budget.target),
        round_to=config.round_to,
        latency_step=config.channel_search.latency_step,
        prefix=config.PREFIX,
    )
