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
import time
from typing import Any

import keras

from learners.auto.config import AutoConfig
from learners.auto.joint import from_setting
from learners.auto.offers import PACKED_FILE, Offer, Option
from learners.auto.places import Places
from learners.auto.report import compared_rows, facts, make_search, save_setting
from learners.auto.search import TUNED, Goal, Search, sentences
from learners.auto.setup import Setup, places_of, rest_of, width_budget
from learners.auto.tuning import tuned
from learners.auto.workshop import Candidate
from learners.base import FINE_TUNING, AbstractLearner, Trained
from learners.budget import Budget
from learners.low_bits.tying import tied
from learners.search.journal import search_folder
from learners.setting import Setting
from nets.abstract_model_helper import AbstractModelHelper
from utils.command import notes
from utils.graph import from_keras, to_keras
from utils.training import fine_tune_schedule
from utils.training.latent import LatentOptimizer


class AutoLearner(AbstractLearner):
    """Measure, hunt, tune."""

    config: AutoConfig
    _held_out = True

    def train(self) -> Trained:
        """Carry out the recipe."""
        graph = from_keras(self.model, allow_unsafe=self.context.run.allow_unsafe)
        places, setup = places_of(graph, self.config), Setup(self.context, self.model)
        self.context, self._held_out = setup.context, setup.held_out
        if not setup.held_out:
            self.notes.append(
                "auto: the helper holds no training images out, so files are checked on images "
                "that training sees."
            )
        if self.context.setting is not None:
            return self.replayed(setup, places, self.context.setting)
        offer = setup.offer()
        goal = setup.goal(offer)
        with self.timed("tables"):
            tables = setup.tables(places, offer)
        workshop = setup.workshop(places, offer, tables, self.fingerprint())
        search = Search(workshop, goal, rest_of(workshop), self._say)
        with self.timed("search"):
            search.calibrate()
            winner, model = self.found(search, goal)
        if self.config.compare:
            with self.timed("comparison"):
                better = search.compare(winner)
                if better is not winner:
                    winner = self._complete(search, better)
                    model = to_keras(winner.network.graph)
        self.report(search, goal, winner)
        return self._left(model, offer)

    @classmethod
    def check(
        cls, model: keras.Model, config: Any, helper: AbstractModelHelper, *, allow_unsafe: bool
    ) -> None:
        """Refuse a network without kernels."""
        places_of(from_keras(model, allow_unsafe=allow_unsafe), config)

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
        places = places_of(from_keras(model, allow_unsafe=allow_unsafe), config)
        if setting is not None:
            from_setting(setting, places.groups, places.layers)
        else:
            width_budget(places, config, budget)

    def found(self, search: Search, goal: Goal) -> tuple[Candidate, keras.Model]:
        """Find the network; fine-tuned where there are epochs.

        Raises:
            InputError: if no file is inside.
        """
        if self.fine_tune_steps():

            def tune(candidate: Candidate, number: int) -> tuple[Candidate, keras.Model]:
                return self.fine_tuned(search, candidate, number)

            def untuned(candidate: Candidate) -> tuple[Candidate, keras.Model]:
                sentence = (
                    f"fine-tuned, its file loses {search.tuned[-1].trial.drop:.2f}, without "
                    f"{candidate.trial.drop:.2f}: it stays as it was."
                )
                self._say(sentence)
                self.notes.append(f"auto: {sentence}")
                return self._with_network(search, candidate)

            return tuned(search, goal, tune, self.config.nb_tunings, untuned)
        candidate = search.run(goal.max_drop)
        if candidate is None:
            raise search.refuse(goal.max_drop or 0.0)
        return self._with_network(search, candidate)

    def _with_network(self, search: Search, candidate: Candidate) -> tuple[Candidate, keras.Model]:
        candidate = self._complete(search, candidate)
        return candidate, to_keras(candidate.network.graph)

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
        codes = list(tied(model, built.marks(), built.layers, built.codes, allow_unsafe=unsafe))
        self.fit(
            FINE_TUNING if number == 1 else f"{FINE_TUNING}_{number}",
            model,
            schedule=schedule,
            num_steps=num_steps,
            optimizer=LatentOptimizer(inner, codes),
            keep_zeros=False,  # the optimizer does, see `Quantized.absent`
        )
        answer = search.workshop.expect(candidate.joint)
        trial = search.workshop.judged(model, answer, TUNED, candidate.trial.size, start)
        search.tell(trial)
        return dataclasses.replace(candidate, trial=trial), model

    def report(self, search: Search, goal: Goal, winner: Candidate) -> None:
        """Hand the run's report what was tried, and write the setting."""
        workshop = search.workshop
        self.search = make_search(search, winner, compared_rows(search, winner), goal.text)
        found = {
            "cost": {"bytes": float(winner.trial.num_bytes), **workshop.measured(winner.joint)},
            "drop": winner.trial.drop,
            "budget": goal.text,
            "agent": self.search.agent,
            "seed": self.context.run.seed,
        }
        folder = search_folder(self.context.stage.artefact_path)
        save_setting(winner.joint, workshop.places, folder, found)
        self.layers = facts(winner, workshop.places)
        self.notes += [
            *workshop.remarks(winner.joint),
            *sentences(search, winner, goal, held_out=self._held_out),
        ]

    def replayed(self, setup: Setup, places: Places, setting: Setting) -> Trained:
        """Make what a setting says."""
        joint = from_setting(setting, places.groups, places.layers)
        offer = setup.offer()
        most = max(option.bits for option in offer.options)
        # Of the tables only the order in which channels go is asked.
        tables = setup.tables(places, dataclasses.replace(offer, options=(Option(bits=most),)))
        workshop = setup.workshop(places, offer, tables, self.fingerprint())
        goal = Goal(max_drop=None, max_bytes=None, num_candidates=1, text=setting.path)
        search = Search(workshop, goal, 0.0, self._say)
        candidate = workshop.make(workshop.expect(joint), "setting", 0.0)
        search.tell(candidate.trial)
        candidate = self._complete(search, candidate)
        model = to_keras(candidate.network.graph)
        if self.fine_tune_steps():
            candidate, model = self.fine_tuned(search, candidate, 1)
        self.layers = facts(candidate, places)
        self.notes += sentences(search, candidate, goal, held_out=self._held_out)
        return self._left(model, offer)

    @staticmethod
    def _left(model: keras.Model, offer: Offer) -> Trained:
        """Ask for the packed file where it decided."""
        return Trained(model, packed=offer.kind == PACKED_FILE)

    @staticmethod
    def _complete(search: Search, candidate: Candidate) -> Candidate:
        """Give a candidate its network: one of an earlier session is made again, as it was."""
        built = candidate.built or search.workshop.build(candidate.joint)
        return dataclasses.replace(candidate, built=built)

    def _say(self, sentence: str) -> None:
        notes.print(f"{self.context.stage.learner}: {sentence}", markup=False)
